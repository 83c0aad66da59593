//! A request in memory, and its effect on the connection.

use std::borrow::Cow;

use crate::fields::{Fields, field, fields, head_end};
use crate::head::{is_chunked, parse_length};
use crate::{Chunks, Field};

/// A request in its parts.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The target in the first line.
    pub target: &'a [u8],
    /// `HTTP/1.1` with its line end.
    pub version: &'a [u8],
    /// The lines of the fields, without the empty one.
    pub fields: &'a [u8],
    /// The empty line, and the body.
    pub rest: &'a [u8],
}

/// How the body of a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// It has this many bytes.
    Length(u64),
    /// It is chunked.
    Chunked,
}

impl<'a> Request<'a> {
    /// Splits a request; `None` if the bytes aren't HTTP.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let line_bytes = memchr::memchr(b'\n', bytes)? + 1;
        let (line, text) = bytes.split_at(line_bytes);
        let method_bytes = memchr::memchr(b' ', line)?;
        let target_bytes = memchr::memrchr(b' ', line.trim_ascii_end())?;
        let version = &line[target_bytes + 1..];
        if target_bytes <= method_bytes || !version.starts_with(b"HTTP/") {
            return None;
        }
        let mut lines = fields(text);
        let fields_bytes = lines
            .by_ref()
            .last()
            .map_or(0, |last| last.start + last.lines.len());
        Some(Self {
            method: &line[..method_bytes],
            target: &line[method_bytes + 1..target_bytes],
            version,
            fields: &text[..fields_bytes],
            rest: &text[fields_bytes..],
        })
    }

    /// The line end that it uses.
    pub fn line_end(&self) -> &'static [u8] {
        match self.version.ends_with(b"\r\n") {
            true => b"\r\n",
            false => b"\n",
        }
    }

    /// Its fields.
    pub fn fields(&self) -> Fields<'a> {
        fields(self.fields)
    }

    /// The value of the first field with this name.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        field(self.fields, name)
    }

    /// Its body, and anything after it; `None` if the head has no end.
    pub fn body(&self) -> Option<&'a [u8]> {
        let end = match self.rest {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ => return None,
        };
        Some(&self.rest[end..])
    }

    /// How its body ends; `None` if its lengths contradict each other.
    pub fn framing(&self) -> Option<RequestBody> {
        let mut length = None;
        let mut chunked = false;
        for field in self.fields() {
            match field.name.len() {
                14 if field.is("content-length") => {
                    let value = parse_length(field.value)?;
                    if length.is_some_and(|other| other != value) {
                        return None;
                    }
                    length = Some(value);
                }
                17 if field.is("transfer-encoding") => chunked = is_chunked(field.value),
                _ => {}
            }
        }
        Some(match chunked {
            true => RequestBody::Chunked,
            false => RequestBody::Length(length.unwrap_or(0)),
        })
    }

    /// Its body without the coding of its transfer, if it is there to its end and nothing
    /// follows it but line ends.
    pub fn whole_body(&self) -> Result<Cow<'a, [u8]>, String> {
        let rest = self.body().ok_or("its head has no end")?;
        let framing = self.framing();
        let framing = framing.ok_or("its lengths aren't numbers, or contradict one another")?;
        let (body, rest) = match framing {
            RequestBody::Length(length) => {
                let split = usize::try_from(length).ok();
                let split = split.and_then(|length| rest.split_at_checked(length));
                let (body, rest) = split.ok_or_else(|| {
                    let there = rest.len();
                    format!("its Content-Length is {length}, and its body has {there} bytes")
                })?;
                (Cow::Borrowed(body), rest)
            }
            RequestBody::Chunked => {
                let (mut chunks, mut rest, mut body) = (Chunks::default(), rest, Vec::new());
                while !chunks.is_complete() {
                    let decoded = match rest {
                        [] => None,
                        rest => chunks.next(rest),
                    };
                    let decoded = decoded.ok_or("its chunks have no end, or aren't chunks")?;
                    body.extend_from_slice(decoded.data);
                    rest = decoded.rest;
                }
                (Cow::Owned(body), rest)
            }
        };
        match rest.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            true => Ok(body),
            false => Err("more follows it: a record is one request".to_owned()),
        }
    }

    /// Whether the client wants the connection closed after the response.
    pub fn wants_close(&self) -> bool {
        let version = self.version.trim_ascii_end();
        let mut close = matches!(version, b"HTTP/1.0" | b"HTTP/0.9");
        for field in self.fields().filter(Field::is_connection) {
            for option in field.value.split(|&byte| byte == b',') {
                let option = option.trim_ascii();
                if option.eq_ignore_ascii_case(b"close") {
                    return true;
                }
                close &= !option.eq_ignore_ascii_case(b"keep-alive");
            }
        }
        close
    }

    /// Whether the bytes end where the request ends. `total_bytes` is the length of all
    /// bytes. Line ends after the request don't count, because servers skip them.
    fn is_alone(&self, bytes: &[u8], total_bytes: u64) -> bool {
        let Some(body) = self.body() else {
            return false;
        };
        match self.framing() {
            None => false,
            Some(RequestBody::Length(length)) => {
                let head_bytes = (bytes.len() - body.len()) as u64;
                match usize::try_from(length)
                    .ok()
                    .and_then(|length| body.get(length..))
                {
                    Some(after) if bytes.len() as u64 == total_bytes => {
                        after.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
                    }
                    _ => head_bytes.checked_add(length) == Some(total_bytes),
                }
            }
            Some(RequestBody::Chunked) => {
                let (mut chunks, mut rest) = (Chunks::default(), body);
                while !rest.is_empty() && !chunks.is_complete() {
                    match chunks.next(rest) {
                        Some(decoded) => rest = decoded.rest,
                        None => return false,
                    }
                }
                chunks.is_complete() && rest.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
            }
        }
    }
}

impl Field<'_> {
    fn is_connection(&self) -> bool {
        self.name.len() == 10 && self.is("connection")
    }
}

/// The properties of the response to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    /// Whether it has no body, because the request is HEAD.
    pub head_only: bool,
    /// Whether the data after a 2xx aren't HTTP, because the request is CONNECT.
    pub tunnel: bool,
    /// Whether the connection can't be used again: the request says so, or the bytes
    /// aren't exactly one request.
    pub last: bool,
}

impl Expected {
    /// The properties for a request that has this many bytes in all, and starts with
    /// these.
    #[inline]
    pub fn of(bytes: &[u8], total_bytes: u64) -> Self {
        match Self::of_plain(bytes, total_bytes) {
            Some(expected) => expected,
            None => Self::of_any(bytes, total_bytes),
        }
    }

    /// The properties for the usual kind of request: HTTP/1.1, complete, without fields
    /// about connection or body. This is called before each hit, so it is fast.
    #[inline]
    fn of_plain(bytes: &[u8], total_bytes: u64) -> Option<Self> {
        const VERSION: &[u8] = b" HTTP/1.1\r";
        let mut at = memchr::memchr(b'\n', bytes)?;
        let target = bytes[..at].strip_suffix(VERSION)?;
        if !target.contains(&b' ') || bytes.len() as u64 != total_bytes {
            return None;
        }
        loop {
            let rest = &bytes[at + 1..];
            match rest {
                b"\r\n" => break,
                [b'C' | b'c', b'O' | b'o', b'N' | b'n', ..]
                | [b'T' | b't', b'R' | b'r', ..]
                | [b'\r' | b'\n', ..]
                | [] => return None,
                _ => at += 1 + memchr::memchr(b'\n', rest)?,
            }
        }
        Some(Self {
            head_only: bytes.starts_with(b"HEAD "),
            tunnel: bytes.starts_with(b"CONNECT "),
            last: false,
        })
    }

    fn of_any(bytes: &[u8], total_bytes: u64) -> Self {
        let Some(request) = Request::parse(bytes) else {
            return Self {
                last: true,
                ..Self::default()
            };
        };
        Self {
            head_only: request.method == b"HEAD",
            tunnel: request.method == b"CONNECT",
            last: request.wants_close() || !request.is_alone(bytes, total_bytes),
        }
    }
}

/// The path in the first line of a request, without the query.
pub fn path(request: &[u8]) -> String {
    let line = request
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let target = line.split(|&byte| byte == b' ').nth(1).unwrap_or_default();
    let path = target
        .split(|byte| b"?#".contains(byte))
        .next()
        .unwrap_or_default();
    String::from_utf8_lossy(path).into_owned()
}

/// The Host field of a request, unless it is empty.
pub fn host(request: &[u8]) -> Option<&[u8]> {
    let line_bytes = memchr::memchr(b'\n', request)? + 1;
    let text = &request[line_bytes..];
    let text = &text[..head_end(text, 0).unwrap_or(text.len())];
    field(text, "host").filter(|host| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Expected, Request, host, path};

    #[test]
    fn a_request_in_its_parts() {
        let text = b"POST /a?b HTTP/1.1\r\nhost: [::1]:80\r\nX: y\r\n\r\nbody";
        let request = Request::parse(text).unwrap();
        assert_eq!(
            (request.method, request.target),
            (&b"POST"[..], &b"/a?b"[..])
        );
        assert_eq!(request.field("Host"), Some(&b"[::1]:80"[..]));
        assert_eq!(request.rest, b"\r\nbody");
        assert_eq!(request.body(), Some(&b"body"[..]));
        let bare = Request::parse(b"GET / HTTP/1.0\n\n").unwrap();
        assert_eq!((bare.fields, bare.rest), (&b""[..], &b"\n"[..]));
        assert!(Request::parse(b"ping").is_none());
        assert!(Request::parse(b"GET /\n").is_none());
        assert!(Request::parse(b"GET HTTP/1.1\n").is_none());
        assert_eq!(
            (path(text), host(text)),
            ("/a".to_owned(), Some(&b"[::1]:80"[..]))
        );
        assert_eq!(host(b"GET / HTTP/1.1\r\n\r\nHost: x"), None);
    }

    #[test]
    fn what_is_expected_of_a_response() {
        let of = |text: &str| {
            let expected = Expected::of(text.as_bytes(), text.len() as u64);
            (expected.head_only, expected.tunnel, expected.last)
        };
        for (text, expected) in [
            ("GET / HTTP/1.1\r\n\r\n", (false, false, false)),
            (
                "HEAD / HTTP/1.1\r\nHost: h\r\nAccept: x\r\nCache-Control: y\r\n\r\n",
                (true, false, false),
            ),
            ("HEAD / HTTP/1.1\r\n\r\n\r\n", (true, false, false)),
            ("CONNECT h:1 HTTP/1.1\r\n\r\n", (false, true, false)),
            (
                "GET / HTTP/1.1\r\nConnection: Close\r\n\r\n",
                (false, false, true),
            ),
            (
                "GET / HTTP/1.1\r\nconnection : foo , close\r\n\r\n",
                (false, false, true),
            ),
            ("GET / HTTP/1.0\r\n\r\n", (false, false, true)),
            (
                "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
                (false, false, false),
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab",
                (false, false, false),
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nab\r\n",
                (false, false, false),
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\na",
                (false, false, true),
            ),
            (
                "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\na",
                (false, false, true),
            ),
            (
                "GET / HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n",
                (false, false, true),
            ),
            ("GET / HTTP/1.1\r\n", (false, false, true)),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
                (false, false, false),
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
                (false, false, true),
            ),
            ("ping", (false, false, true)),
        ] {
            assert_eq!(of(text), expected, "{text}");
            let any = Expected::of_any(text.as_bytes(), text.len() as u64);
            assert_eq!(
                Expected::of(text.as_bytes(), text.len() as u64),
                any,
                "{text}"
            );
        }
        // Only the start of a long body is in memory.
        let start = b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\nab";
        let total_bytes = start.len() as u64 - 2 + 1000;
        assert!(!Expected::of(start, total_bytes).last);
        assert!(Expected::of(start, total_bytes + 1).last);
    }
}
