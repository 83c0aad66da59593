//! The request that follows a redirect (RFC 9110, 15.4).

use bytes::{BufMut, BytesMut};
use encarno_http1::Request;
use url::{Position, Url};

/// The destination of a redirect.
#[derive(Debug)]
pub(super) struct Redirect {
    url: Url,
    /// Whether scheme, host or port differ. The request then needs another connection,
    /// and loses headers of the record.
    pub(super) leaves: bool,
    status: u16,
}

/// The headers that a request may keep on the way to another host or from https to http:
/// those that browsers set by themselves. Other headers may be secrets.
const TRAVELS: [&str; 16] = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-encoding",
    "content-language",
    "content-length",
    "content-type",
    "dnt",
    "pragma",
    "range",
    "transfer-encoding",
    "upgrade-insecure-requests",
    "user-agent",
];

/// The headers that belong to a body.
const OF_BODY: [&str; 6] = [
    "content-length",
    "content-type",
    "content-encoding",
    "content-language",
    "transfer-encoding",
    "expect",
];

impl Redirect {
    /// Whether the status is a redirect.
    pub(super) fn is_status(status: u16) -> bool {
        matches!(status, 301 | 302 | 303 | 307 | 308)
    }

    /// The redirect from a URL; `None` if the Location isn't an HTTP URL.
    pub(super) fn new(status: u16, from: &Url, location: &[u8]) -> Option<Self> {
        let url = from.join(&text_of(location)).ok()?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return None;
        }
        Some(Self {
            leaves: url.origin() != from.origin(),
            status,
            url,
        })
    }

    /// The destination of a request whose first line has a whole URL. The request itself
    /// stays complete.
    pub(super) fn to_whole_url(target: &[u8]) -> Option<Self> {
        let url = Url::parse(std::str::from_utf8(target).ok()?).ok()?;
        let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
        is_http.then_some(Self {
            leaves: false,
            status: 307,
            url,
        })
    }

    /// The address to connect to.
    pub(super) fn address(&self) -> String {
        format!(
            "{}://{}",
            self.url.scheme(),
            &self.url[Position::BeforeHost..Position::BeforePath]
        )
    }

    /// Whether method and body stay. They change after See Other, and for a POST that
    /// browsers turn into a GET.
    fn keeps_body(&self, method: &[u8]) -> bool {
        match self.status {
            301 | 302 => method != b"POST",
            303 => matches!(method, b"GET" | b"HEAD"),
            _ => true,
        }
    }

    /// Writes the next request.
    pub(super) fn write(&self, request: &Request<'_>, out: &mut BytesMut) {
        let keeps_body = self.keeps_body(request.method);
        let method = if keeps_body { request.method } else { b"GET" };
        out.put_slice(method);
        out.put_u8(b' ');
        out.put_slice(self.url[Position::BeforePath..Position::AfterQuery].as_bytes());
        out.put_u8(b' ');
        out.put_slice(request.version);
        // A user in the Location is meant for its destination.
        let authorization = encarno_input::basic(&self.url);
        for field in request.fields() {
            let is = |names: &[&str]| names.iter().any(|name| field.is(name));
            if is(&["host"]) {
                out.put_slice(b"Host: ");
                let host = &self.url[Position::BeforeHost..Position::AfterPort];
                out.put_slice(host.as_bytes());
                out.put_slice(request.line_end());
            } else if authorization.is_some() && is(&["authorization"]) {
                continue;
            } else if (!self.leaves || is(&TRAVELS)) && (keeps_body || !is(&OF_BODY)) {
                out.put_slice(field.lines);
            }
        }
        if let Some(authorization) = authorization {
            out.put_slice(b"Authorization: ");
            out.put_slice(authorization.expose().as_bytes());
            out.put_slice(request.line_end());
        }
        if keeps_body {
            out.put_slice(request.rest);
        } else {
            out.put_slice(request.line_end());
        }
    }
}

/// A Location as text; bytes that aren't UTF-8 are percent-encoded.
fn text_of(location: &[u8]) -> String {
    let mut text = String::with_capacity(location.len());
    for chunk in location.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
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
        Some((redirect.address(), text))
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
                    "POST / HTTP/1.1\r\nHost: [::1]:8443\r\nContent-Length: 2\r\nContent-Type: t\r\n\r\nab".to_owned()
                ))
            );
        }
        let head = follow(301, b"HEAD / HTTP/1.1\nhost: h\n\n", "/x").expect("followed");
        assert_eq!(head.1, "HEAD /x HTTP/1.1\nHost: h.test\n\n");
    }

    #[test]
    fn a_user_in_the_location_is_who_asks_there() {
        let get = b"GET /a HTTP/1.1\r\nHost: h.test\r\nAuthorization: own\r\n\r\n";
        let (address, text) = follow(302, get, "http://user:p%40ss@h.test/b").expect("followed");
        assert_eq!(address, "http://h.test");
        let expected =
            "GET /b HTTP/1.1\r\nHost: h.test\r\nAuthorization: Basic dXNlcjpwQHNz\r\n\r\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn only_post_becomes_get() {
        let put = b"PUT /a HTTP/1.1\r\nHost: h.test\r\nContent-Length: 2\r\n\r\nab";
        let delete = b"DELETE /a HTTP/1.1\r\nHost: h.test\r\n\r\n";
        for status in [301, 302, 307, 308] {
            let put = follow(status, put, "/b").expect("followed").1;
            assert!(
                put.starts_with("PUT /b ") && put.ends_with("\r\n\r\nab"),
                "{put}"
            );
            let delete = follow(status, delete, "/b").expect("followed").1;
            assert!(delete.starts_with("DELETE /b "), "{delete}");
        }
        let put = follow(303, put, "/b").expect("followed").1;
        assert_eq!(put, "GET /b HTTP/1.1\r\nHost: h.test\r\n\r\n");
    }

    #[test]
    fn own_fields_stay_at_home() {
        let get = b"GET /a HTTP/1.1\r\nHost: h.test\r\nX-Session: s\r\nCookie: c\r\nUser-Agent: u\r\n\r\n";
        let at_home =
            "GET /b HTTP/1.1\r\nHost: h.test\r\nX-Session: s\r\nCookie: c\r\nUser-Agent: u\r\n\r\n";
        assert_eq!(follow(302, get, "/b").expect("followed").1, at_home);
        for location in [
            "http://other.test/b",
            "http://h.test:81/b",
            "https://h.test/b",
        ] {
            let text = follow(302, get, location).expect("followed").1;
            let fields = text.split_once("\r\n").expect("lines").1;
            let fields = fields.split_once("\r\n").expect("lines").1;
            assert_eq!(fields, "User-Agent: u\r\n\r\n", "{location}");
        }
    }

    #[test]
    fn locations_are_encoded() {
        let target = |location: &[u8]| {
            let from = Url::parse("http://h.test/a/b").expect("a URL");
            let redirect = Redirect::new(302, &from, location).expect("a place");
            let mut out = BytesMut::new();
            redirect.write(&Request::parse(POST).expect("a request"), &mut out);
            let text = String::from_utf8(out.to_vec()).expect("text");
            let target = text.split(' ').nth(1).expect("a target").to_owned();
            (redirect.address(), target)
        };
        for (location, address, path) in [
            (&b"/caf\xe9?q=\xff"[..], "http://h.test", "/caf%E9?q=%FF"),
            ("/café".as_bytes(), "http://h.test", "/caf%C3%A9"),
            (b"/a b\"<>", "http://h.test", "/a%20b%22%3C%3E"),
            (
                "HTTP://bücher.test/x#f".as_bytes(),
                "http://xn--bcher-kva.test",
                "/x",
            ),
            (b"http://h?x=1", "http://h", "/?x=1"),
            (b"http://user:pass@h:8/x", "http://h:8", "/x"),
        ] {
            let expected = (address.to_owned(), path.to_owned());
            assert_eq!(target(location), expected, "{}", location.escape_ascii());
        }
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
