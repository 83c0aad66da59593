//! URLs and headers as users write them. They may contain passwords.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use encarno_input::basic;
use encarno_nib::address::Address;
use encarno_nib::{Kind, ProxySettings};
use encarno_record::mask::{Shown, masked_url};
use encarno_secret::{MASK, Secret};
use serde::{Deserialize, Serialize, Serializer};
use url::Url;

use crate::protocols;

/// A URL whose user, password and query are never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub(crate) struct UrlText(Secret);

impl FromStr for UrlText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        text.parse().map(Self)
    }
}

impl fmt::Debug for UrlText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked_url(self.0.expose()))
    }
}

impl Serialize for UrlText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&masked_url(self.0.expose()))
    }
}

/// The parts of a URL that a run needs.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `http`, `https`, `udp`, `dummy` …
    pub(crate) scheme: String,
    /// Scheme, host and port, in the form of [`Address`].
    pub(crate) address: String,
    /// Host and port, in the form of the Host header.
    pub(crate) host: String,
    /// Path and query, in the form of a request.
    pub(crate) path: String,
    /// The value of an Authorization header, if the URL names a user.
    pub(crate) authorization: Option<Secret>,
}

impl UrlText {
    /// The URL as it was written, with its secrets.
    pub(crate) fn exposed(&self) -> &str {
        self.0.expose()
    }

    /// Parses it as the URL of an HTTP proxy.
    pub(crate) fn proxy(&self) -> Result<ProxySettings, String> {
        let target = self.target(protocols::KINDS[0])?;
        if target.scheme != "http" {
            return Err("a proxy's URL is http://[USER:PASSWORD@]HOST:PORT".to_owned());
        }
        Ok(ProxySettings {
            address: target.address,
            authorization: target.authorization,
        })
    }

    /// Parses it; the error says why it can't be used. A URL without a scheme gets the
    /// first scheme of `usual`.
    pub(crate) fn target(&self, usual: &'static Kind) -> Result<Target, String> {
        let text = self.0.expose().trim();
        let (kind, scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if usual.has_scheme(scheme) => (usual, scheme, rest),
            Some((scheme, rest)) => (protocols::of_scheme(scheme)?, scheme, rest),
            None => match text.split_once(':').map(|(name, _)| protocols::named(name)) {
                Some(Some(kind)) if !kind.network => (kind, kind.name, ""),
                _ => (
                    usual,
                    usual.schemes.first().map_or("", |scheme| scheme.name),
                    text,
                ),
            },
        };
        let scheme = scheme.to_ascii_lowercase();
        if !kind.network {
            return Ok(Target::without_host(&scheme, text));
        }
        Address::parse(text, kind.schemes).map_err(|error| error.to_string())?;
        if kind.scheme(&scheme).is_some_and(|scheme| scheme.unix) {
            if rest
                .split('/')
                .next()
                .is_some_and(|host| host.contains('@'))
            {
                return Err(format!("a unix socket has no user: write {scheme}:///PATH"));
            }
            return Ok(Target::without_host(&scheme, text));
        }
        if text.bytes().any(|byte| byte.is_ascii_control()) {
            return Err("the URL has a control character in it".to_owned());
        }
        let url = Url::parse(&format!("{scheme}://{rest}"))
            .map_err(|error| format!("the URL {} can't be used: {error}", masked_url(text)))?;
        let host = url.host_str().unwrap_or_default();
        let host = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        let path = match (url.path(), url.query()) {
            ("", None) => "/".to_owned(),
            ("", Some(query)) => format!("/?{query}"),
            (path, None) => path.to_owned(),
            (path, Some(query)) => format!("{path}?{query}"),
        };
        Ok(Target {
            address: format!("{scheme}://{host}"),
            scheme,
            host,
            path,
            authorization: basic(&url),
        })
    }
}

impl Target {
    /// A target with only the protocol, because each record names its own host.
    pub(crate) fn of_records(kind: &Kind) -> Self {
        Self {
            scheme: kind.schemes.first().map_or("", |it| it.name).to_owned(),
            address: String::new(),
            host: String::new(),
            path: "/".to_owned(),
            authorization: None,
        }
    }

    fn without_host(scheme: &str, address: &str) -> Self {
        Self {
            scheme: scheme.to_owned(),
            address: address.to_owned(),
            host: "localhost".to_owned(),
            path: "/".to_owned(),
            authorization: None,
        }
    }
}

/// `Name: value`. Only names, and values that can't be secret, are shown.
#[derive(Clone)]
pub(crate) struct HeaderText(Secret);

impl FromStr for HeaderText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        text.parse().map(Self)
    }
}

impl fmt::Debug for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.expose().split_once(':') {
            Some((name, value)) if Shown::default().shows_header(name) => {
                write!(f, "{name:?}: {:?}", value.trim())
            }
            Some((name, _)) => write!(f, "{name:?}: {MASK}"),
            None => f.write_str(MASK),
        }
    }
}

impl HeaderText {
    /// The header for messages, without what may be secret.
    pub(crate) fn shown(&self) -> String {
        match self.0.expose().split_once(':') {
            Some((name, value)) if Shown::default().shows_header(name) => {
                format!("{name}: {}", value.trim())
            }
            Some((name, _)) => format!("{name}: {MASK}"),
            None => MASK.to_owned(),
        }
    }

    /// Name and value. The error names the header, if it has a name.
    pub(crate) fn parts(&self) -> Result<(String, Secret), String> {
        let (name, value) = self
            .0
            .expose()
            .split_once(':')
            .ok_or("a header has no colon: write 'Name: value'")?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(format!("'{name}' can't be a header's name"));
        }
        if value.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(format!("header '{name}' has a control character"));
        }
        Ok((name.to_owned(), Secret::new(value)))
    }
}

/// `NAME=TEXT`. Only the name is shown.
#[derive(Clone)]
pub(crate) struct ValueText(Secret);

impl FromStr for ValueText {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        text.parse().map(Self)
    }
}

impl fmt::Debug for ValueText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.expose().split_once('=') {
            Some((name, _)) => write!(f, "{name}={MASK}"),
            None => f.write_str(MASK),
        }
    }
}

impl ValueText {
    /// Name and text.
    pub(crate) fn parts(&self) -> Result<(String, Secret), String> {
        let (name, text) = self
            .0
            .expose()
            .split_once('=')
            .ok_or("a value has no '=': write NAME=TEXT")?;
        Ok((name.to_owned(), Secret::new(text)))
    }
}

/// Whether the byte is a tchar of RFC 9110, section 5.6.2.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{HeaderText, UrlText, ValueText};
    use crate::protocols::KINDS;

    fn url(text: &str) -> UrlText {
        text.parse().expect("any text")
    }

    #[test]
    fn what_a_url_comes_to() {
        for (text, address, host, path) in [
            ("http://h", "http://h", "h", "/"),
            ("h:8070/a?b=c#d", "http://h:8070", "h:8070", "/a?b=c"),
            ("HTTP://h?x=1", "http://h", "h", "/?x=1"),
            (
                "https://u:p@[::1]:8443/a b\"",
                "https://[::1]:8443",
                "[::1]:8443",
                "/a%20b%22",
            ),
            (
                "http://bücher.example/",
                "http://xn--bcher-kva.example",
                "xn--bcher-kva.example",
                "/",
            ),
            (
                "udp://127.0.0.1:53",
                "udp://127.0.0.1:53",
                "127.0.0.1:53",
                "/",
            ),
            (
                "http+unix:///run/a.sock",
                "http+unix:///run/a.sock",
                "localhost",
                "/",
            ),
        ] {
            let target = url(text).target(KINDS[0]).expect(text);
            assert_eq!(
                (&*target.address, &*target.host, &*target.path),
                (address, host, path)
            );
        }
        let basic = url("http://user:p%40ss@h/")
            .target(KINDS[0])
            .expect("a URL")
            .authorization;
        assert_eq!(basic.expect("a user").expose(), "Basic dXNlcjpwQHNz");
    }

    #[test]
    fn nothing_of_it_is_shown() {
        let shown = [
            format!("{:?}", url("http://user:hunter2@h/a?key=hunter2")),
            url("http://user:hunter2@h:port/")
                .target(KINDS[0])
                .expect_err("no port"),
            url("user:hun#hunter2@h/")
                .target(KINDS[0])
                .expect_err("no port"),
            url("http+unix://user:hunter2@/x")
                .target(KINDS[0])
                .expect_err("a user"),
            url("gopher://user:hunter2@h/")
                .target(KINDS[0])
                .expect_err("no scheme"),
            format!(
                "{:?}",
                "Authorization: Bearer hunter2".parse::<HeaderText>()
            ),
            "Authorization hunter2"
                .parse::<HeaderText>()
                .expect("any")
                .parts()
                .expect_err("no colon"),
            format!("{:?}", "password=hunter2".parse::<ValueText>()),
            "hunter2"
                .parse::<ValueText>()
                .expect("any")
                .parts()
                .expect_err("no ="),
        ];
        assert!(
            shown.iter().all(|text| !text.contains("hunter2")),
            "{shown:?}"
        );
        assert_eq!(shown[0], "http://************@h/a?key=*******");
    }
}
