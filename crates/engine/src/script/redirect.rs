//! The request that follows a redirect (RFC 9110, 15.4).

use bytes::{BufMut, BytesMut};
use url::{Position, Url};

use super::request::{Request, is_header, lines};

/// Where a redirect leads.
#[derive(Debug)]
pub(super) struct Redirect {
    url: Url,
    /// Another scheme, host or port: another connection, and no credentials.
    pub(super) leaves: bool,
    /// Method and body stay.
    keeps_body: bool,
}

impl Redirect {
    /// None: the status is no redirect.
    pub(super) fn is_status(status: u16) -> bool {
        matches!(status, 301 | 302 | 303 | 307 | 308)
    }

    /// From that URL; none if the Location leads nowhere that HTTP goes.
    pub(super) fn new(status: u16, from: &Url, location: &[u8]) -> Option<Self> {
        let url = from.join(std::str::from_utf8(location).ok()?).ok()?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return None;
        }
        Some(Self {
            leaves: url.origin() != from.origin(),
            keeps_body: matches!(status, 307 | 308),
            url,
        })
    }

    /// The address to connect to.
    pub(super) fn address(&self) -> &str {
        &self.url[..Position::BeforePath]
    }

    /// The next request.
    pub(super) fn write(&self, request: &Request<'_>, out: &mut BytesMut) {
        let keeps_body = self.keeps_body || matches!(request.method, b"GET" | b"HEAD");
        let method = if keeps_body { request.method } else { b"GET" };
        out.put_slice(method);
        out.put_u8(b' ');
        out.put_slice(self.url[Position::BeforePath..Position::AfterQuery].as_bytes());
        out.put_u8(b' ');
        out.put_slice(request.version);
        for (_, line) in lines(request.headers) {
            let is = |names: &[&str]| names.iter().any(|name| is_header(line, name));
            if is(&["host"]) {
                out.put_slice(b"Host: ");
                let host = &self.url[Position::BeforeHost..Position::AfterPort];
                out.put_slice(host.as_bytes());
                out.put_slice(request.line_end());
            } else if !(self.leaves && is(&["authorization", "cookie", "proxy-authorization"])
                || !keeps_body
                    && is(&[
                        "content-length",
                        "content-type",
                        "content-encoding",
                        "content-language",
                        "transfer-encoding",
                        "expect",
                    ]))
            {
                out.put_slice(line);
            }
        }
        if keeps_body {
            out.put_slice(request.rest);
        } else {
            out.put_slice(request.line_end());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use url::Url;

    use super::{Redirect, Request};

    const POST: &[u8] = b"POST /a/b HTTP/1.1\r\nHost: h.test\r\nAuthorization: x\r\nCookie: c\r\nContent-Length: 2\r\nContent-Type: t\r\nX: y\r\n\r\nab";

    fn follow(status: u16, request: &[u8], location: &str) -> Option<(String, String)> {
        let from = Url::parse("http://h.test/a/b").expect("a URL");
        let redirect = Redirect::new(status, &from, location.as_bytes())?;
        let mut out = BytesMut::new();
        redirect.write(&Request::parse(request).expect("a request"), &mut out);
        let text = String::from_utf8(out.to_vec()).expect("text");
        Some((redirect.address().to_owned(), text))
    }

    #[test]
    fn method_body_and_credentials() {
        for status in [301, 302, 303] {
            assert_eq!(
                follow(status, POST, "c?q=1#f"),
                Some((
                    "http://h.test".to_owned(),
                    "GET /a/c?q=1 HTTP/1.1\r\nHost: h.test\r\nAuthorization: x\r\nCookie: c\r\nX: y\r\n\r\n".to_owned()
                ))
            );
        }
        for status in [307, 308] {
            assert_eq!(
                follow(status, POST, "https://[::1]:8443"),
                Some((
                    "https://[::1]:8443".to_owned(),
                    "POST / HTTP/1.1\r\nHost: [::1]:8443\r\nContent-Length: 2\r\nContent-Type: t\r\nX: y\r\n\r\nab".to_owned()
                ))
            );
        }
        let head = follow(301, b"HEAD / HTTP/1.1\nhost: h\n\n", "/x").expect("followed");
        assert_eq!(head.1, "HEAD /x HTTP/1.1\nHost: h.test\n\n");
    }

    #[test]
    fn not_everywhere() {
        for location in ["ftp://h/", "http://", "javascript:alert(1)", "mailto:a@b"] {
            assert_eq!(follow(302, POST, location), None, "{location}");
        }
        let crlf = follow(302, POST, "/x\r\nEvil: 1").expect("followed");
        assert!(
            crlf.1.starts_with("GET /xEvil:%201 HTTP/1.1\r\nHost"),
            "{}",
            crlf.1
        );
    }
}
