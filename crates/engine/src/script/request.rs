//! Reads parts of a request, and adds to it.

use bytes::{BufMut, BytesMut};
use encarno_http1::Request;
use url::Url;

/// The URL of a request as a browser would show it: the scheme from the address, the host
/// from the Host field or else the address, and the path from the first line.
pub(super) fn url_of(request: &Request<'_>, address: &str) -> Option<Url> {
    let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
    let scheme = match scheme.eq_ignore_ascii_case("https") {
        true => "https",
        false => "http",
    };
    let host = match request.field("host").map(std::str::from_utf8) {
        Some(Ok(host)) if !host.is_empty() => host,
        _ => {
            let authority = rest.split(['/', '?', '#']).next()?;
            authority
                .rsplit_once('@')
                .map_or(authority, |(_, host)| host)
        }
    };
    let target = std::str::from_utf8(request.target).ok()?;
    // A request to a proxy has the whole URL.
    if !target.starts_with('/') {
        return Url::parse(target).ok();
    }
    Url::parse(&format!("{scheme}://{host}{target}")).ok()
}

/// Writes the request with cookies. The cookies of its own field stay, and come first.
pub(super) fn with_cookies(request: &Request<'_>, cookies: &str, out: &mut BytesMut) {
    out.put_slice(request.method);
    out.put_u8(b' ');
    out.put_slice(request.target);
    out.put_u8(b' ');
    out.put_slice(request.version);
    match request.fields().find(|field| field.is("cookie")) {
        Some(own) => {
            let end = own.start + own.lines.trim_ascii_end().len();
            out.put_slice(&request.fields[..end]);
            out.put_slice(b"; ");
            out.put_slice(cookies.as_bytes());
            out.put_slice(&request.fields[end..]);
        }
        None => {
            out.put_slice(request.fields);
            out.put_slice(b"Cookie: ");
            out.put_slice(cookies.as_bytes());
            out.put_slice(request.line_end());
        }
    }
    out.put_slice(request.rest);
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use encarno_http1::Request;

    use super::{url_of, with_cookies};

    #[test]
    fn where_a_request_goes() {
        let url = |text: &str, address: &str| {
            let request = Request::parse(text.as_bytes()).expect("a request");
            url_of(&request, address)
                .map(String::from)
                .unwrap_or_default()
        };
        for (text, address, expected) in [
            (
                "POST /a?b HTTP/1.1\r\nhost: [::1]:80\r\n\r\n",
                "HTTPS://10.0.0.1:8443",
                "https://[::1]:80/a?b",
            ),
            (
                "GET http://a/b?http://c HTTP/1.1\r\n\r\n",
                "",
                "http://a/b?http://c",
            ),
            (
                "GET /b?http://c HTTP/1.1\r\n\r\n",
                "http://h",
                "http://h/b?http://c",
            ),
            ("GET / HTTP/1.0\n\n", "h:8/x", "http://h:8/"),
            ("GET / HTTP/1.0\n\n", "http://user:pass@h/x", "http://h/"),
        ] {
            assert_eq!(url(text, address), expected, "{text}");
        }
    }

    #[test]
    fn cookies_are_added() {
        let add = |text: &[u8]| {
            let mut out = BytesMut::new();
            let request = Request::parse(text).expect("a request");
            with_cookies(&request, "a=b; c=d", &mut out);
            String::from_utf8(out.to_vec()).expect("text")
        };
        assert_eq!(
            add(b"GET / HTTP/1.1\r\nCookie: x=y\r\nA: b\r\n\r\nz"),
            "GET / HTTP/1.1\r\nCookie: x=y; a=b; c=d\r\nA: b\r\n\r\nz"
        );
        assert_eq!(
            add(b"GET / HTTP/1.1\nA: b\n\n"),
            "GET / HTTP/1.1\nA: b\nCookie: a=b; c=d\n\n"
        );
    }
}
