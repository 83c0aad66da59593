//! URLs and addresses of peers, as users write them.

use encarno_secret::Secret;
use percent_encoding::percent_decode_str;
use url::Url;

/// The parts of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// The URL without credentials.
    pub(crate) url: Url,
    /// A host name or an IP address, an IPv6 one without brackets.
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) user: Option<Secret>,
    pub(crate) password: Option<Secret>,
}

impl Location {
    /// Parses a URL with one of these schemes; without a scheme, the first one applies.
    /// The error never quotes what may be credentials.
    pub(crate) fn parse(text: &str, schemes: &[&str]) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty".into());
        }
        let url = match text.contains("://") {
            true => Url::parse(text),
            false => Url::parse(&format!("{}://{text}", schemes[0])),
        };
        let mut url = url.map_err(|error| error.to_string())?;
        if !schemes.contains(&url.scheme()) {
            let expected = schemes.join(" or ");
            return Err(format!(
                "the scheme must be {expected}, not {}",
                url.scheme()
            ));
        }
        let host = url.host_str().unwrap_or_default();
        // The host contains characters that names don't have, which are written as `%xx`.
        if host.is_empty() || host.contains('%') {
            return Err("it needs a host name or an IP address".into());
        }
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("nothing may follow the port".into());
        }
        let user = Some(url.username()).filter(|user| !user.is_empty());
        let user = user.map(decoded);
        let password = url.password().map(decoded);
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| "it can't have credentials")?;
        Ok(Self {
            host,
            port: url.port(),
            user,
            password,
            url,
        })
    }
}

/// A URL for an error: without credentials, or nothing if it isn't clear which part of it
/// they are.
pub(crate) fn shown(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if url.has_host() => {
            let cleared = url.set_username("").and_then(|()| url.set_password(None));
            let shown = url.as_str().trim_end_matches('/').to_owned();
            cleared.map_or_else(|()| "…".into(), |()| shown)
        }
        _ => match text.contains(|char: char| "@:".contains(char)) {
            true => "…".into(),
            false => text.into(),
        },
    }
}

/// Decodes `%xx`. If the result isn't text, the part stays as it is.
fn decoded(part: &str) -> Secret {
    let decoded = percent_decode_str(part).decode_utf8();
    Secret::new(decoded.map_or_else(|_| part.to_owned(), Into::into))
}

#[cfg(test)]
mod tests {
    use super::{Location, Secret, shown};

    fn parse(text: &str) -> Result<Location, String> {
        Location::parse(text, &["nats", "tls"])
    }

    #[test]
    fn parts() {
        let location = parse("tls://me:hid%20den@[::1]:1").expect("a URL");
        assert_eq!((&location.host[..], location.port), ("::1", Some(1)));
        assert_eq!(location.user, Some(Secret::new("me")));
        assert_eq!(location.password, Some(Secret::new("hid den")));
        assert_eq!(location.url.as_str(), "tls://[::1]:1");
        let location = parse("host").expect("a host");
        assert_eq!(
            (location.url.as_str(), location.port),
            ("nats://host", None)
        );
    }

    #[test]
    fn what_is_no_place_is_an_error_without_secrets() {
        for wrong in [
            "",
            "http://me:hidden@host:1",
            "nats://",
            "nats://me:hidden",
            "nats://me:hid/den@host",
            "me:hidden@:1",
            "nats://me:hidden@a b",
            "nats://me:hidden@host:port",
            "nats://me:hidden@host:99999",
            "nats://me:hidden@host/path",
            "nats://me:hidden@host?query",
            "nats://h%C3%B6st",
        ] {
            let error = parse(wrong).expect_err(wrong);
            let text = format!("{} {error}", shown(wrong));
            assert!(
                !text.contains("hidden") && !text.contains("hid/den"),
                "{text}"
            );
        }
        assert_eq!(shown("http://me:hidden@host:1"), "http://host:1");
        assert_eq!(shown("a b"), "a b");
    }
}
