//! Lists of texts in the form of the C ABI: each text is a length of 32 bits,
//! little-endian, and that many bytes.

use bytes::Bytes;
use encarno_wrpc::Headers;
use encarno_wrpc::http::{Field, RequestHead, is_field_value, is_token};

/// The most headers.
const HEADERS_MAX: usize = 1024;

/// The most bytes of a head.
const HEAD_BYTES_MAX: usize = 256 << 10;

/// The rest of a list.
struct Texts<'a>(&'a [u8]);

impl<'a> Texts<'a> {
    fn next(&mut self) -> Result<&'a [u8], String> {
        let cut = || "a list of texts ends in the middle".to_owned();
        let (length, after) = self.0.split_first_chunk().ok_or_else(cut)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (text, after) = after.split_at_checked(length).ok_or_else(cut)?;
        self.0 = after;
        Ok(text)
    }
}

/// Reads the headers of a call: names and values in turn.
pub(super) fn headers(encoded: &[u8]) -> Result<Headers, String> {
    let mut headers = Headers::default();
    let mut texts = Texts(encoded);
    while !texts.0.is_empty() {
        let name = String::from_utf8_lossy(texts.next()?);
        let value = str::from_utf8(texts.next()?)
            .map_err(|_| format!("the value of the header {name:?} of the call is not UTF-8"))?;
        headers.add(&name, value).map_err(|error| error.message)?;
    }
    Ok(headers)
}

/// Reads texts two by two.
pub(super) fn pairs(encoded: &[u8]) -> Result<Vec<(&str, &str)>, String> {
    let mut pairs = Vec::new();
    let mut texts = Texts(encoded);
    while !texts.0.is_empty() {
        let name = str::from_utf8(texts.next()?).map_err(|_| "a name is not UTF-8")?;
        let text = str::from_utf8(texts.next()?).map_err(|_| format!("{name} is not UTF-8"))?;
        pairs.push((name, text));
    }
    Ok(pairs)
}

/// Reads a head: method, scheme, authority and path, then the names and values of the
/// headers. Each is a length of 32 bits, little-endian, and that many bytes.
pub(super) fn head(encoded: &[u8]) -> Result<RequestHead, String> {
    if encoded.len() > HEAD_BYTES_MAX {
        return Err(format!(
            "the headers are longer than {HEAD_BYTES_MAX} bytes"
        ));
    }
    let mut texts = Texts(encoded);
    let text = |what: &str, bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(|char: char| char.is_control() || char == ' ') => {
            Ok(text.to_owned())
        }
        _ => Err(format!(
            "{what} {:?} must not hold spaces or control characters",
            String::from_utf8_lossy(bytes)
        )),
    };
    let method = text("the method", texts.next()?)?;
    if !is_token(method.as_bytes()) {
        return Err(format!("the method {method:?} is not a token"));
    }
    let scheme = text("the scheme", texts.next()?)?;
    let authority = text("the host", texts.next()?)?;
    if authority.is_empty() {
        return Err("the URL has no host".into());
    }
    let path = text("the path", texts.next()?)?;
    if !path.is_empty() && !path.starts_with('/') {
        return Err(format!("the path {path:?} does not begin with a slash"));
    }
    let mut headers = Vec::new();
    // The rest are pairs.
    while !texts.0.is_empty() {
        let name = texts.next()?;
        let value = texts.next()?;
        let shown = String::from_utf8_lossy(name);
        if !is_token(name) {
            return Err(format!("the header name {shown:?} is not a token"));
        }
        if !is_field_value(value) {
            return Err(format!(
                "the value of the header {shown:?} holds a line break or another control character"
            ));
        }
        if headers.len() == HEADERS_MAX {
            return Err(format!("there are more than {HEADERS_MAX} headers"));
        }
        headers.push(Field {
            name: shown.into_owned(),
            value: Bytes::copy_from_slice(value),
        });
    }
    Ok(RequestHead {
        method,
        scheme: (!scheme.is_empty()).then_some(scheme),
        authority: Some(authority),
        path_with_query: Some(path).filter(|path| !path.is_empty()),
        headers,
    })
}

/// Fields as names and values in turn.
pub(super) fn of_fields(fields: &[Field]) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut part = |bytes: &[u8]| {
        // This can't overflow: a field came in a message, which is shorter.
        encoded.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        encoded.extend_from_slice(bytes);
    };
    for field in fields {
        part(field.name.as_bytes());
        part(&field.value);
    }
    encoded
}

#[cfg(test)]
mod tests {
    use encarno_wrpc::http::Field;

    use super::{head, headers, of_fields};

    fn encode(parts: &[&str]) -> Vec<u8> {
        let mut encoded = Vec::new();
        for part in parts {
            encoded.extend_from_slice(&(part.len() as u32).to_le_bytes());
            encoded.extend_from_slice(part.as_bytes());
        }
        encoded
    }

    #[test]
    fn heads() {
        let encoded = encode(&["GET", "http", "host:1", "/a?b", "x-y", "z", "x-y", ""]);
        let read = head(&encoded).expect("a head");
        assert_eq!(read.method, "GET");
        assert_eq!(read.authority.as_deref(), Some("host:1"));
        assert_eq!(read.headers.len(), 2);
        assert!(encoded.ends_with(&of_fields(&read.headers)));
        assert!(head(&encode(&["GET", "", "h", ""])).is_ok());
        for cut in 1..encoded.len() {
            let whole = head(&encoded[..cut]).is_ok();
            let at = ["GET", "http", "host:1", "/a?b"].map(|part| part.len() + 4);
            let head_ends = at.iter().sum::<usize>();
            assert_eq!(whole, cut == head_ends || cut == head_ends + 12, "{cut}");
        }
    }

    #[test]
    fn what_no_request_may_say() {
        for (parts, about) in [
            (&["G T", "http", "h", "/"][..], "the method"),
            (&["", "http", "h", "/"], "the method"),
            (&["GET", "http", "", "/"], "no host"),
            (&["GET", "http", "h", "a"], "slash"),
            (&["GET", "http", "h", "/a b"], "the path"),
            (&["GET", "http", "h", "/", "a b", "c"], "\"a b\""),
            (&["GET", "http", "h", "/", "a", "b\r\nc: d"], "line break"),
            (&["GET", "http", "h", "/", "a"], "in the middle"),
        ] {
            let error = head(&encode(parts)).expect_err(about);
            assert!(error.contains(about), "{error}");
        }
        let many: Vec<&str> = ["GET", "", "h", "/"]
            .into_iter()
            .chain(std::iter::repeat_n("a", 2 * 1025))
            .collect();
        assert!(head(&encode(&many)).is_err());
        assert!(head(&[0xff; 8]).is_err());
    }

    #[test]
    fn no_fields_are_no_bytes() {
        assert!(of_fields(&[]).is_empty());
        let field = Field {
            name: "a".into(),
            value: "b".into(),
        };
        assert_eq!(of_fields(&[field]), b"\x01\0\0\0a\x01\0\0\0b");
    }

    #[test]
    fn headers_of_a_call() {
        let read = headers(&encode(&["traceparent", "00-1", "x", ""])).expect("headers");
        let read: Vec<_> = read.iter().collect();
        assert_eq!(read, [("traceparent", "00-1"), ("x", "")]);
        assert!(headers(&[]).expect("none").is_empty());
        for (parts, about) in [
            (&["traceparent"][..], "in the middle"),
            (&["a b", "c"], "\"a b\""),
            (&["a", "b\nc"], "line break"),
        ] {
            let error = headers(&encode(parts)).expect_err(about);
            assert!(error.contains(about), "{error}");
        }
        assert!(headers(b"\x01\0\0\0a\x01\0\0\0\xff").is_err());
    }
}
