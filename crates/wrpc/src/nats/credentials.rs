//! The credentials for a NATS server as a user gives them. They are checked, and never
//! shown.

use std::path::Path;

use encarno_secret::{FileOrText, Secret};

use crate::core_nats::Credentials;

/// Credentials as a user gives them: nothing, or one kind.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// A user, who has a password.
    pub user: Option<String>,
    /// The password of the user.
    pub password: Option<Secret>,
    /// A token.
    pub token: Option<Secret>,
    /// A credentials file, as `nsc` makes them, or its text: a JWT and the seed of its
    /// nkey.
    pub credentials: Option<FileOrText>,
    /// The seed of an nkey, `SU…`, or the name of a file with it.
    pub nkey: Option<Secret>,
    /// A user's JWT, or the name of a file with it. Its nkey must be given too.
    pub jwt: Option<Secret>,
}

/// Why credentials can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The name of the field of [`Given`], or of the option.
    pub option: &'static str,
    /// The rest of the sentence.
    pub reason: String,
}

impl Invalid {
    pub(super) fn new(option: &'static str, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { option, reason }
    }
}

impl Given {
    /// The one kind of credentials that was given. This reads files, once.
    pub fn check(self) -> Result<Credentials, Invalid> {
        let kinds = [
            ("user", self.user.is_some()),
            ("token", self.token.is_some()),
            ("credentials", self.credentials.is_some()),
            ("nkey", self.nkey.is_some()),
        ];
        let mut given = kinds.iter().filter(|(_, is_given)| *is_given);
        if let (Some((first, _)), Some((second, _))) = (given.next(), given.next()) {
            let reason = format!("{first} is given already: one kind of credentials is enough");
            return Err(Invalid::new(second, reason));
        }
        if self.password.is_some() && self.user.is_none() {
            return Err(Invalid::new("password", "the user is missing"));
        }
        if self.jwt.is_some() && self.nkey.is_none() {
            return Err(Invalid::new(
                "jwt",
                "its nkey is missing, which signs for it",
            ));
        }
        if let Some(user) = self.user {
            let password = self.password;
            let password =
                password.ok_or_else(|| Invalid::new("user", "the password is missing"))?;
            return Ok(Credentials::Password { user, password });
        }
        if let Some(token) = self.token {
            return Ok(Credentials::Token(token));
        }
        if let Some(file) = self.credentials {
            let text = file.read().map_err(|error| {
                let reason = format!("cannot read {file}: {error}");
                Invalid::new("credentials", reason)
            })?;
            return jwt("credentials", &text, "a JWT and the seed of its nkey");
        }
        let Some(nkey) = self.nkey else {
            return Ok(Credentials::None);
        };
        let seed = text_or_file("nkey", &nkey, is_seed)?;
        // A seed is checked together with a JWT.
        jwt("nkey", &decorated("none", &seed), "the seed of an nkey")?;
        match self.jwt {
            None => Ok(Credentials::Nkey(Secret::new(seed))),
            Some(given) => {
                let token = text_or_file("jwt", &given, is_jwt)?;
                jwt("jwt", &decorated(&token, &seed), "a JWT")
            }
        }
    }
}

/// The credentials in a URL, before its host: `user:password`, or a token.
pub(super) fn of_url(user: Secret, password: Option<Secret>) -> Credentials {
    match password {
        Some(password) => Credentials::Password {
            user: user.expose().to_owned(),
            password,
        },
        None => Credentials::Token(user),
    }
}

/// Parses a text in the form of credentials files.
fn jwt(option: &'static str, text: &str, what: &str) -> Result<Credentials, Invalid> {
    Credentials::from_file(text).ok_or_else(|| Invalid::new(option, format!("it is not {what}")))
}

/// A text in the form of credentials files.
fn decorated(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

fn is_seed(text: &str) -> bool {
    let of_base32 = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
    text.len() > 40 && text.starts_with('S') && text.bytes().all(of_base32)
}

fn is_jwt(text: &str) -> bool {
    text.starts_with("ey") && text.split('.').count() == 3
}

/// If the text doesn't look like a secret, it is the name of a file with one line. The
/// error doesn't show the text, because it may be a secret with a typing error.
fn text_or_file(
    option: &'static str,
    given: &Secret,
    is_meant: fn(&str) -> bool,
) -> Result<String, Invalid> {
    let given = given.expose().trim();
    let line = |text: &str| {
        let mut lines = text.lines().map(str::trim);
        lines.find(|line| is_meant(line)).map(str::to_owned)
    };
    // It may be the file's content.
    if let Some(line) = line(given) {
        return Ok(line);
    }
    let text = encarno_secret::read(Path::new(given)).map_err(|error| {
        let reason = format!("it is neither the text itself nor a file that can be read: {error}");
        Invalid::new(option, reason)
    })?;
    line(&text).ok_or_else(|| {
        let reason = "the file has no line that could be it";
        Invalid::new(option, reason)
    })
}

#[cfg(test)]
mod tests {
    use super::{Credentials, Given, Secret};

    /// A seed made for this test, which no server knows.
    const SEED: &str = "SUACH75SWCM5D2JMJM6EKLR2WDARVGZT4QC6LX3AGHSWOMVAKERABBBRWM";

    fn given() -> Given {
        Given::default()
    }

    #[test]
    fn one_kind_is_chosen() {
        let secret = |text: &str| Some(Secret::new(text));
        assert_eq!(given().check(), Ok(Credentials::None));
        let password = Given {
            user: Some("me".into()),
            password: secret("hidden"),
            ..given()
        };
        assert!(matches!(
            password.check(),
            Ok(Credentials::Password { user, .. }) if user == "me"
        ));
        let nkey = Given {
            nkey: secret(SEED),
            ..given()
        };
        assert_eq!(nkey.check(), Ok(Credentials::Nkey(Secret::new(SEED))));
        let text_of_file = Given {
            nkey: secret(&format!("# of the lab\n{SEED}\n")),
            ..given()
        };
        assert_eq!(
            text_of_file.check(),
            Ok(Credentials::Nkey(Secret::new(SEED)))
        );
        let jwt = Given {
            nkey: secret(SEED),
            jwt: secret("eyJ0eXAi.eyJqdGki.c2ln"),
            ..given()
        };
        assert!(matches!(jwt.check(), Ok(Credentials::Jwt { .. })));
    }

    #[test]
    fn what_is_wrong_is_named_and_not_shown() {
        let secret = |text: &str| Some(Secret::new(text));
        let user = Some("me".to_owned());
        let wrong_sum = SEED.replace("SUAC", "SUAD");
        for (wrong, option, about) in [
            (
                Given {
                    user: user.clone(),
                    ..given()
                },
                "user",
                "the password is missing",
            ),
            (
                Given {
                    password: secret("hidden"),
                    ..given()
                },
                "password",
                "the user is missing",
            ),
            (
                Given {
                    user,
                    password: secret("hidden"),
                    token: secret("hidden"),
                    ..given()
                },
                "token",
                "user is given already",
            ),
            (
                Given {
                    jwt: secret("hidden"),
                    ..given()
                },
                "jwt",
                "nkey is missing",
            ),
            (
                Given {
                    nkey: secret("hidden"),
                    ..given()
                },
                "nkey",
                "neither the text itself nor a file",
            ),
            (
                Given {
                    nkey: secret(&wrong_sum),
                    ..given()
                },
                "nkey",
                "not the seed of an nkey",
            ),
            (
                Given {
                    nkey: secret(SEED),
                    jwt: secret("hidden"),
                    ..given()
                },
                "jwt",
                "neither the text itself nor a file",
            ),
            (
                Given {
                    credentials: Some("/no/such/file".into()),
                    ..given()
                },
                "credentials",
                "cannot read /no/such/file",
            ),
            (
                Given {
                    credentials: Some("/proc/self/status".into()),
                    ..given()
                },
                "credentials",
                "not a JWT and the seed",
            ),
        ] {
            let shown = format!("{wrong:?}");
            let invalid = wrong.check().expect_err(about);
            assert_eq!(invalid.option, option, "{invalid:?}");
            assert!(invalid.reason.contains(about), "{invalid:?}");
            for text in [shown, format!("{invalid:?}")] {
                for hidden in ["hidden", SEED, &wrong_sum] {
                    assert!(!text.contains(hidden), "{text}");
                }
            }
        }
    }
}
