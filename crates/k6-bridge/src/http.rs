//! HTTP requests: from what a script wrote to a response.

use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::http::fields::{is_field_value, is_token};
use encarno_wrpc::http::{Body, Field, Outcome, RequestHead};
use encarno_wrpc::{Error, ErrorCode};

use crate::completion::Ticket;

/// More headers can't be meant.
const HEADERS_MAX: usize = 1024;

/// Heads beyond this are refused.
const HEAD_BYTES_MAX: usize = 256 << 10;

/// What becomes of the body of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// It is kept, unless it is larger than that.
    Keep(usize),
    /// It is read to its end and not kept.
    Discard,
    /// Nobody reads it: the call ends with the head of the response.
    Ignore,
}

/// A request to make.
pub(crate) struct Request {
    pub(crate) head: RequestHead,
    pub(crate) body: Bytes,
    pub(crate) reading: Reading,
}

/// A response, as far as it was to be read.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<Field>,
    pub(crate) trailers: Vec<Field>,
    pub(crate) body: Bytes,
    /// Of the body, kept or not.
    pub(crate) body_bytes: u64,
    /// From the submission to the head.
    pub(crate) head_at: Duration,
}

/// Reads a head: method, scheme, authority and path, then the names and values of the
/// headers; each a length of 32 bits, little-endian, and so many bytes.
pub(crate) fn head(encoded: &[u8]) -> Result<RequestHead, String> {
    if encoded.len() > HEAD_BYTES_MAX {
        return Err(format!(
            "the headers are longer than {HEAD_BYTES_MAX} bytes"
        ));
    }
    let mut rest = encoded;
    let mut next = || -> Result<&[u8], String> {
        let cut = || "the head of the request ends in the middle".to_owned();
        let (length, after) = rest.split_first_chunk().ok_or_else(cut)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (part, after) = after.split_at_checked(length).ok_or_else(cut)?;
        rest = after;
        Ok(part)
    };
    let text = |what: &str, bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains(|char: char| char.is_control() || char == ' ') => {
            Ok(text.to_owned())
        }
        _ => Err(format!(
            "{what} {:?} must not hold spaces or control characters",
            String::from_utf8_lossy(bytes)
        )),
    };
    let method = text("the method", next()?)?;
    if !is_token(method.as_bytes()) {
        return Err(format!("the method {method:?} is not a token"));
    }
    let scheme = text("the scheme", next()?)?;
    let authority = text("the host", next()?)?;
    if authority.is_empty() {
        return Err("the URL has no host".into());
    }
    let path = text("the path", next()?)?;
    if !path.is_empty() && !path.starts_with('/') {
        return Err(format!("the path {path:?} does not begin with a slash"));
    }
    let mut headers = Vec::new();
    // What is left are pairs.
    loop {
        let name = match next() {
            Ok(name) => name,
            Err(_) if rest.is_empty() => break,
            Err(error) => return Err(error),
        };
        let value = next()?;
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

/// Fields in the form that [`head`] reads.
pub(crate) fn encode_fields(fields: &[Field]) -> Vec<u8> {
    let mut encoded = Vec::new();
    let mut part = |bytes: &[u8]| {
        // A field came in a message, which is shorter than that.
        encoded.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        encoded.extend_from_slice(bytes);
    };
    for field in fields {
        part(field.name.as_bytes());
        part(&field.value);
    }
    encoded
}

/// Reads the response and completes the call.
pub(crate) async fn complete(outcome: Outcome, reading: Reading, ticket: Ticket) {
    let (mut timing, mut traffic) = (outcome.timing, outcome.traffic);
    let mut response = match outcome.result {
        Ok(response) => response,
        Err(error) => return ticket.finish_http(timing, traffic, Err(error)),
    };
    let head_at = timing.finished.unwrap_or_else(Instant::now);
    let head_at = head_at.saturating_duration_since(ticket.submitted);
    let read = read(&mut response.body, reading).await;
    if let Some(last) = response.body.traffic() {
        traffic = last;
        timing.finished = Some(Instant::now());
    }
    let result = read.map(|(body, body_bytes)| Response {
        status: response.head.status,
        headers: std::mem::take(&mut response.head.headers),
        trailers: response.body.trailers().unwrap_or_default().to_vec(),
        body,
        body_bytes,
        head_at,
    });
    ticket.finish_http(timing, traffic, result);
}

/// What is kept of the body, and how many bytes it had, as far as it was read.
async fn read(body: &mut Body, reading: Reading) -> Result<(Bytes, u64), Error> {
    let mut kept = Vec::new();
    let mut bytes = 0u64;
    if reading == Reading::Ignore {
        return Ok((Bytes::new(), bytes));
    }
    while let Some(chunk) = body.chunk().await? {
        bytes += chunk.len() as u64;
        if let Reading::Keep(bytes_max) = reading {
            if bytes > bytes_max as u64 {
                let text = format!("the body of the response is larger than {bytes_max} bytes");
                return Err(Error::new(ErrorCode::PayloadTooLarge, text));
            }
            kept.push(chunk);
        }
    }
    let kept = match kept.len() {
        1 => kept.remove(0),
        _ => kept.concat().into(),
    };
    Ok((kept, bytes))
}

#[cfg(test)]
mod tests {
    use encarno_wrpc::http::Field;

    use super::{encode_fields, head};

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
        assert!(encoded.ends_with(&encode_fields(&read.headers)));
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
        assert!(encode_fields(&[]).is_empty());
        let field = Field {
            name: "a".into(),
            value: "b".into(),
        };
        assert_eq!(encode_fields(&[field]), b"\x01\0\0\0a\x01\0\0\0b");
    }
}
