//! Parses requests of browsers; only a small part of the head is needed.

use std::io::{self, Read};
use std::time::{Duration, Instant};

/// The longest head.
const HEAD_BYTES_MAX: usize = 16 << 10;
const HEADERS_MAX: usize = 64;
/// How long a head may take.
const HEAD_TIME_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    query: String,
    pub(super) host: String,
    authorization: String,
    /// The types that may be answered.
    pub(super) accept: String,
    /// The header that no page of others can send.
    pub(crate) is_ours: bool,
}

impl Request {
    /// Reads a request; `None` if it isn't one.
    pub(super) fn read(source: &mut impl Read) -> io::Result<Option<Self>> {
        let begun = Instant::now();
        let mut head = Vec::new();
        let mut part = [0; 4096];
        while head.len() < HEAD_BYTES_MAX && begun.elapsed() < HEAD_TIME_MAX {
            let read = source.read(&mut part)?;
            if read == 0 {
                return Ok(None);
            }
            head.extend_from_slice(&part[..read]);
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut parsed = httparse::Request::new(&mut headers);
            match parsed.parse(&head) {
                Ok(httparse::Status::Complete(_)) => return Ok(Self::of(&parsed)),
                Ok(httparse::Status::Partial) => {}
                Err(_) => return Ok(None),
            }
        }
        Ok(None)
    }

    fn of(parsed: &httparse::Request<'_, '_>) -> Option<Self> {
        let target = parsed.path?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header = |name: &str| {
            let mut headers = parsed.headers.iter();
            let found = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
            str::from_utf8(found.value).ok()
        };
        Some(Self {
            method: parsed.method?.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            host: header("host").unwrap_or_default().to_ascii_lowercase(),
            authorization: header("authorization").unwrap_or_default().to_owned(),
            accept: header("accept").unwrap_or_default().to_owned(),
            is_ours: header("x-encarno").is_some(),
        })
    }

    /// The token of a header `Authorization: Bearer …`.
    pub(super) fn bearer(&self) -> Option<&str> {
        let (scheme, token) = self.authorization.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    }

    /// A value of the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let mut pairs = self.query.split('&');
        pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

#[cfg(test)]
mod tests {
    use super::Request;

    #[test]
    fn a_head_is_read_and_nonsense_is_not() {
        let read = |text: &str| Request::read(&mut text.as_bytes()).expect("no error");
        let text = "POST /stop?a=1&token=t HTTP/1.1\r\nHost: A:1\r\nX-Encarno: 1\r\n\r\nmore";
        let request = read(text).expect("a request");
        assert_eq!(
            (&*request.method, &*request.path, &*request.host),
            ("POST", "/stop", "a:1")
        );
        assert_eq!(
            (request.query("token"), request.query("b")),
            (Some("t"), None)
        );
        assert!(request.is_ours);
        let text = "GET / HTTP/1.1\r\nAuthorization: bearer  t\r\nAccept: a, b\r\n\r\n";
        let request = read(text).expect("a request");
        assert_eq!((request.bearer(), &*request.accept), (Some("t"), "a, b"));
        assert_eq!(read("GET / HTTP/1.1\r\n"), None);
        assert_eq!(read("\0\r\n\r\n"), None);
        assert_eq!(read(&"x".repeat(1 << 20)), None);
    }
}
