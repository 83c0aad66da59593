//! Payloads as HTTP requests: the text of HTTP/1, as every format of records has it, to
//! what `wrpc:http` carries.

use bytes::Bytes;
use encarno_http1::Request;
use encarno_nib::Prepare;
use encarno_record::Payload;
use encarno_wrpc::http::{Field, RequestHead, is_field_value, is_token};

/// Looks at requests on the thread that reads the input.
#[derive(Debug)]
pub(crate) struct Requests;

impl Prepare for Requests {
    fn prepare(&self, payload: Payload) -> Result<Payload, String> {
        match &payload {
            Payload::Memory(text) => read(text).map(|_| payload),
            Payload::File { .. } => {
                Err("with wRPC a request is held in memory, and this one is too long".to_owned())
            }
        }
    }
}

/// A request in its parts.
pub(crate) fn read(text: &Bytes) -> Result<(RequestHead, Bytes), String> {
    let request = Request::parse(text).ok_or("it isn't an HTTP request")?;
    let body = match request.whole_body()? {
        std::borrow::Cow::Borrowed(body) => text.slice_ref(body),
        std::borrow::Cow::Owned(body) => body.into(),
    };
    let token = |text: &[u8], what: &str| match is_token(text) {
        true => Ok(String::from_utf8_lossy(text).into_owned()),
        false => Err(format!(
            "{what} {:?} isn't one",
            String::from_utf8_lossy(text)
        )),
    };
    let visible = |text: &[u8], what: &str| match text.iter().all(u8::is_ascii_graphic) {
        true => Ok(String::from_utf8_lossy(text).into_owned()),
        false => Err(format!(
            "{what} {:?} has characters that must be written as %XX",
            String::from_utf8_lossy(text)
        )),
    };
    let (authority, path) = split_target(request.target);
    let authority = authority.or_else(|| request.field("host"));
    let mut headers = Vec::new();
    for field in request.fields() {
        if field.name.is_empty() {
            return Err("a line of its head is no field".to_owned());
        }
        let name = token(field.name, "the name of a header")?.to_ascii_lowercase();
        if is_of_connection(&name) {
            continue;
        }
        // A value on several lines is the same with blanks.
        let value: Bytes = match field.value.contains(&b'\n') {
            false => text.slice_ref(field.value),
            true => {
                let blank = |&byte: &u8| {
                    if matches!(byte, b'\r' | b'\n') {
                        b' '
                    } else {
                        byte
                    }
                };
                field.value.iter().map(blank).collect()
            }
        };
        if !is_field_value(&value) {
            return Err(format!("the header {name} has a control character"));
        }
        headers.push(Field { name, value });
    }
    let head = RequestHead {
        method: token(request.method, "the method")?,
        scheme: Some("http".to_owned()),
        authority: authority
            .filter(|authority| !authority.is_empty())
            .map(|authority| visible(authority, "the host"))
            .transpose()?,
        path_with_query: Some(visible(path, "the path")?),
        headers,
    };
    Ok((head, body))
}

/// Authority, if the target has one, and path with query.
fn split_target(target: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let Some(rest) = target
        .strip_prefix(b"http://")
        .or_else(|| target.strip_prefix(b"https://"))
    else {
        return (None, target);
    };
    match rest.iter().position(|byte| matches!(byte, b'/' | b'?')) {
        Some(end) => (Some(&rest[..end]), &rest[end..]),
        None => (Some(rest), b"/"),
    }
}

/// Headers that say something of an HTTP/1 connection, which components may not be sent.
fn is_of_connection(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
            | "host"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use super::read;

    #[test]
    fn a_request_in_its_parts() {
        let text = "POST /a?b=%20 HTTP/1.1\r\nHost: h:1\r\nConnection: close\r\nX-Long: a\r\n b\r\n\
                    Content-Length: 4\r\n\r\nbody";
        let (head, body) = read(&text.into()).unwrap();
        assert_eq!(head.method, "POST");
        assert_eq!(head.authority.as_deref(), Some("h:1"));
        assert_eq!(head.path_with_query.as_deref(), Some("/a?b=%20"));
        let headers = head.headers.iter().map(|it| (&*it.name, &*it.value));
        let headers: Vec<_> = headers.collect();
        assert_eq!(
            headers,
            [("x-long", &b"a   b"[..]), ("content-length", b"4")]
        );
        assert_eq!(body, "body");
        let chunked =
            "POST http://h/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
        let (head, body) = read(&chunked.into()).unwrap();
        assert_eq!((head.authority.as_deref(), &*body), (Some("h"), &b"ab"[..]));
    }

    #[test]
    fn what_no_request_is() {
        for (text, part) in [
            ("ping", "isn't an HTTP request"),
            ("GET / HTTP/1.1\r\n", "no end"),
            (
                "GET / HTTP/1.1\r\nContent-Length: 5\r\n\r\na",
                "Content-Length is 5",
            ),
            (
                "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                "more follows",
            ),
            ("G(T / HTTP/1.1\r\n\r\n", "the method \"G(T\" isn't one"),
            ("GET /a b HTTP/1.1\r\n\r\n", "must be written as %XX"),
            ("GET / HTTP/1.1\r\nA b: c\r\n\r\n", "the name of a header"),
            (
                "GET / HTTP/1.1\r\nA: \0\r\n\r\n",
                "the header a has a control",
            ),
        ] {
            let error = read(&text.into()).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
}
