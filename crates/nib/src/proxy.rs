//! HTTP proxies: a tunnel for TLS (CONNECT), and for plain HTTP requests with the whole
//! URL of the target (RFC 9110, 9.3.6; RFC 9112, 3.2.2).

use encarno_record::Payload;
use encarno_secret::Secret;

use crate::Scheme;

/// The schemes of a proxy's URL.
pub const PROXY_SCHEMES: &[Scheme] = &[Scheme::new("http", Some(8080))];

/// An HTTP proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    /// `http://host:port`.
    pub address: String,
    /// The value of Proxy-Authorization.
    pub authorization: Option<Secret>,
}

impl ProxySettings {
    /// The Proxy-Authorization field; empty without credentials.
    pub(crate) fn authorization_line(&self) -> String {
        match &self.authorization {
            None => String::new(),
            Some(value) => format!("Proxy-Authorization: {}\r\n", value.expose()),
        }
    }

    /// The request for a target without TLS in the form for a proxy; `None` if its bytes
    /// aren't in memory. Bytes that aren't a request stay as they are.
    pub fn absolute(&self, payload: &Payload, authority: &str) -> Option<Payload> {
        let Payload::Memory(bytes) = payload else {
            return None;
        };
        let is_path = |at: &usize| bytes.get(at + 1) == Some(&b'/');
        let Some(space) = memchr::memchr(b' ', bytes).filter(is_path) else {
            return Some(payload.clone());
        };
        let Some(line) = memchr::memchr(b'\n', bytes).filter(|&line| line > space) else {
            return Some(payload.clone());
        };
        let (method, rest) = bytes.split_at(space + 1);
        let (target, fields) = rest.split_at(line - space);
        let authorization = self.authorization_line();
        let parts = [
            method,
            b"http://",
            authority.as_bytes(),
            target,
            authorization.as_bytes(),
            fields,
        ];
        Some(Payload::Memory(parts.concat().into()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)] // a test that can't go on says why

    use encarno_record::Payload;

    use super::ProxySettings;

    #[test]
    fn requests_name_their_target() {
        let proxy = ProxySettings {
            address: "http://p".into(),
            authorization: Some("Basic eA==".parse().expect("a text")),
        };
        let sent = |text: &'static str| {
            let payload = Payload::Memory(text.into());
            match proxy.absolute(&payload, "h:80") {
                Some(Payload::Memory(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
                _ => String::new(),
            }
        };
        assert_eq!(
            sent("GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n"),
            "GET http://h:80/a?b HTTP/1.1\r\nProxy-Authorization: Basic eA==\r\nHost: x\r\n\r\n"
        );
        for text in [
            "",
            "GET",
            "GET /",
            "OPTIONS * HTTP/1.1\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(sent(text), text);
        }
    }
}
