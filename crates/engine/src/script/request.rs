//! The head of an HTTP request, as it lies in a payload.

use bytes::{BufMut, BytesMut};
use url::Url;

/// A request in its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    /// `HTTP/1.1` and its line end.
    pub(super) version: &'a [u8],
    /// The lines of the headers, without the empty one.
    pub(super) headers: &'a [u8],
    /// The empty line, and the body.
    pub(super) rest: &'a [u8],
}

impl<'a> Request<'a> {
    /// None if it isn't HTTP.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let line_bytes = memchr::memchr(b'\n', bytes)? + 1;
        let line = &bytes[..line_bytes];
        let method_bytes = memchr::memchr(b' ', line)?;
        let target_bytes = memchr::memchr(b' ', &line[method_bytes + 1..])?;
        let version = &line[method_bytes + 1 + target_bytes + 1..];
        if !version.starts_with(b"HTTP/") {
            return None;
        }
        let headers = &bytes[line_bytes..];
        let mut headers_bytes = 0;
        for (start, line) in lines(headers) {
            headers_bytes = start;
            if line.trim_ascii_end().is_empty() {
                break;
            }
            headers_bytes = start + line.len();
        }
        Some(Self {
            method: &line[..method_bytes],
            target: &line[method_bytes + 1..method_bytes + 1 + target_bytes],
            version,
            headers: &headers[..headers_bytes],
            rest: &headers[headers_bytes..],
        })
    }

    /// The line end that it uses.
    pub(super) fn line_end(&self) -> &'static [u8] {
        if self.version.ends_with(b"\r\n") {
            b"\r\n"
        } else {
            b"\n"
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&'a [u8]> {
        header(self.headers, name)
    }

    /// Where it goes, as a browser would say: the address says how, the Host
    /// header (or else the address) whom, the first line what.
    pub(super) fn url(&self, address: &str) -> Option<Url> {
        let (scheme, rest) = address.split_once("://").unwrap_or(("http", address));
        let scheme = match scheme {
            "https" => "https",
            _ => "http",
        };
        let host = match self.header("host").map(std::str::from_utf8) {
            Some(Ok(host)) if !host.is_empty() => host,
            _ => rest.split(['/', '?', '#']).next()?,
        };
        let target = std::str::from_utf8(self.target).ok()?;
        // A proxy is asked with the whole URL.
        if !target.starts_with('/') {
            return Url::parse(target).ok();
        }
        Url::parse(&format!("{scheme}://{host}{target}")).ok()
    }

    /// The same with cookies: those of its own header stay, and come first.
    pub(super) fn with_cookies(&self, cookies: &str, out: &mut BytesMut) {
        let own = lines(self.headers).find(|(_, line)| is_header(line, "cookie"));
        out.put_slice(self.method);
        out.put_u8(b' ');
        out.put_slice(self.target);
        out.put_u8(b' ');
        out.put_slice(self.version);
        match own {
            Some((start, line)) => {
                let end = start + line.trim_ascii_end().len();
                out.put_slice(&self.headers[..end]);
                out.put_slice(b"; ");
                out.put_slice(cookies.as_bytes());
                out.put_slice(&self.headers[end..]);
            }
            None => {
                out.put_slice(self.headers);
                out.put_slice(b"Cookie: ");
                out.put_slice(cookies.as_bytes());
                out.put_slice(self.line_end());
            }
        }
        out.put_slice(self.rest);
    }
}

/// Each line with its end, and where it starts.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr(b'\n', rest).map_or(rest.len(), |length| length + 1);
        let line = (start, &rest[..length]);
        start += length;
        Some(line)
    })
}

/// Whether the line is that header.
pub(super) fn is_header(line: &[u8], name: &str) -> bool {
    line.len() > name.len()
        && line[name.len()] == b':'
        && line[..name.len()].eq_ignore_ascii_case(name.as_bytes())
}

/// The value of a header among these lines.
pub(super) fn header<'a>(headers: &'a [u8], name: &str) -> Option<&'a [u8]> {
    lines(headers)
        .find(|(_, line)| is_header(line, name))
        .map(|(_, line)| line[name.len() + 1..].trim_ascii())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use encarno_record::template::body_start;

    use super::Request;

    #[test]
    fn a_request_in_its_parts() {
        let request =
            Request::parse(b"POST /a?b HTTP/1.1\r\nhost: [::1]:80\r\nX: y\r\n\r\nbody").unwrap();
        assert_eq!(
            (request.method, request.target),
            (&b"POST"[..], &b"/a?b"[..])
        );
        assert_eq!(request.header("Host"), Some(&b"[::1]:80"[..]));
        assert_eq!(request.rest, b"\r\nbody");
        let url = request.url("https://10.0.0.1:8443").unwrap();
        assert_eq!(url.as_str(), "https://[::1]:80/a?b");
        let proxied = Request::parse(b"GET http://a/b?http://c HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(proxied.url("").unwrap().as_str(), "http://a/b?http://c");
        let nested = Request::parse(b"GET /b?http://c HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(
            nested.url("http://h").unwrap().as_str(),
            "http://h/b?http://c"
        );
        let bare = Request::parse(b"GET / HTTP/1.0\n\n").unwrap();
        assert_eq!((bare.headers, bare.rest), (&b""[..], &b"\n"[..]));
        assert_eq!(bare.url("h:8/x").unwrap().as_str(), "http://h:8/");
        assert!(Request::parse(b"ping").is_none());
        assert!(Request::parse(b"GET /\n").is_none());
        assert_eq!(body_start(b"a\r\n\r\nb"), 5);
        assert_eq!(body_start(b"a"), 1);
    }

    #[test]
    fn cookies_are_added() {
        let add = |text: &[u8]| {
            let mut out = BytesMut::new();
            Request::parse(text)
                .unwrap()
                .with_cookies("a=b; c=d", &mut out);
            String::from_utf8(out.to_vec()).unwrap()
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
