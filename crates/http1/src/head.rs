//! The head of a response, and how its body ends (RFC 9112, 6.3).

use crate::error::ResponseError;
use crate::fields::fields;

/// How a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
    /// The lengths aren't numbers, or contradict each other.
    Unknown,
}

/// The status line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StatusLine {
    pub(crate) status: u16,
    /// Whether it is HTTP/1.1, or a later version of HTTP/1.
    pub(crate) is_11: bool,
    /// The line's length with its end.
    pub(crate) bytes: usize,
}

impl StatusLine {
    /// The error for bytes that don't begin like a response.
    pub(crate) fn other(head: &[u8]) -> ResponseError {
        match head {
            // An alert or a handshake message of SSL 3.0 to TLS 1.3.
            [0x15 | 0x16, 3, 0..=4, ..] => ResponseError::Tls,
            _ => ResponseError::StatusLine,
        }
    }

    /// Parses a complete head.
    #[inline]
    pub(crate) fn parse(head: &[u8]) -> Result<Self, ResponseError> {
        let bytes = memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1);
        let text = head[..bytes]
            .strip_prefix(b"HTTP/1.")
            .ok_or_else(|| Self::other(head))?;
        let [version @ b'0'..=b'9', b' ', text @ ..] = text else {
            return Err(ResponseError::StatusLine);
        };
        let text = text.trim_ascii_start();
        let (Some(digits), after) = (text.get(..3), text.get(3)) else {
            return Err(ResponseError::StatusLine);
        };
        if !digits.iter().all(u8::is_ascii_digit)
            || !matches!(after, None | Some(b' ' | b'\t' | b'\r' | b'\n'))
        {
            return Err(ResponseError::StatusLine);
        }
        let status = digits
            .iter()
            .fold(0, |status, digit| 10 * status + u16::from(digit - b'0'));
        Ok(Self {
            status,
            is_11: *version != b'0',
            bytes,
        })
    }

    /// Whether another head follows.
    pub(crate) fn is_interim(&self) -> bool {
        matches!(self.status, 100..200) && self.status != 101
    }

    /// Whether these bytes can be the start of a status line.
    pub(crate) fn is_possible(start: &[u8]) -> bool {
        const START: &[u8] = b"HTTP/1.";
        let bytes = start.len().min(START.len());
        start[..bytes] == START[..bytes]
    }
}

/// How the body ends, and whether the connection stays open. `text` is the head without
/// its first line.
#[inline]
pub(crate) fn framing(text: &[u8], is_11: bool) -> Result<(Framing, bool), ResponseError> {
    let mut length: Option<u64> = None;
    let mut contradiction = false;
    let mut encoded = false;
    let mut chunked = false;
    let mut keep_alive = is_11;
    let mut close = false;
    if matches!(text.first(), Some(b' ' | b'\t')) {
        return Err(ResponseError::Field);
    }
    let mut lines = fields(text);
    while let Some(field) = lines.next_of(b"cCtT")? {
        match field.name.len() {
            14 if field.is("content-length") => {
                // A proxy may join two fields into a list of equal lengths.
                for value in field.value.split(|&byte| byte == b',') {
                    let value = parse_length(value);
                    contradiction |= value.is_none() || length.is_some() && length != value;
                    length = length.or(value);
                }
            }
            // `identity` means no coding in old versions of HTTP/1.1.
            17 if field.is("transfer-encoding")
                && !field.value.eq_ignore_ascii_case(b"identity") =>
            {
                encoded = true;
                chunked = is_chunked(field.value);
            }
            10 if field.is("connection") => {
                for option in field.value.split(|&byte| byte == b',') {
                    let option = option.trim_ascii();
                    close |= option.eq_ignore_ascii_case(b"close");
                    keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            _ => {}
        }
    }
    let framing = match (encoded, length) {
        (true, _) if chunked => Framing::Chunked,
        (false, _) if contradiction => Framing::Unknown,
        (false, Some(length)) => Framing::Length(length),
        _ => Framing::UntilClose,
    };
    // HTTP/1.0 has no transfer codings, so a sender there may mean something else by one.
    Ok((framing, keep_alive && !close && (is_11 || !encoded)))
}

/// Whether the last coding is chunked.
pub(crate) fn is_chunked(value: &[u8]) -> bool {
    let last = value.rsplit(|&byte| byte == b',').next();
    last.is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"))
}

pub(crate) fn parse_length(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}
