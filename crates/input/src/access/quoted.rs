//! A line with the request between `"`, anywhere in the line.

use std::borrow::Cow;

use super::{Logged, request_line};

/// In nginx's error log, this precedes the request that caused the error. The access log
/// has that request too.
const OF_ERROR: &[u8] = b", request: \"";

/// The content of the line; `None` if it has no quoted field.
pub(super) fn logged(line: &[u8]) -> Option<Logged<'_>> {
    let mut fields = Fields(line).peekable();
    fields.peek()?;
    if memchr::memmem::find(line, OF_ERROR).is_some() {
        return Some(Logged::NoRequest);
    }
    let request = fields.find_map(|field| match field {
        Cow::Borrowed(field) => {
            request_line(field).map(|(method, url)| (method.into(), url.into()))
        }
        Cow::Owned(field) => {
            request_line(&field).map(|(method, url)| (method.to_vec().into(), url.to_vec().into()))
        }
    });
    Some(match request {
        Some((method, url)) => Logged::Request {
            method,
            url,
            host: Cow::Borrowed(b""),
        },
        None => Logged::NoRequest,
    })
}

/// The fields between `"`, with their escapes undone.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Cow<'a, [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = memchr::memchr(b'"', self.0)? + 1;
        let rest = &self.0[start..];
        let mut end = 0;
        loop {
            end += memchr::memchr2(b'"', b'\\', rest.get(end..)?)?;
            if rest[end] == b'"' {
                break;
            }
            // The byte after a backslash doesn't end a field.
            end += 2;
        }
        self.0 = &rest[end + 1..];
        Some(unescaped(&rest[..end]))
    }
}

/// Decodes `\xHH`, `\"`, `\\` and the letter escapes of nginx and Apache.
fn unescaped(field: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', field).is_none() {
        return Cow::Borrowed(field);
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        match after {
            [b'x', high, low, after @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                let digit = |byte| hex(byte).unwrap_or_default();
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            [letter, after @ ..] => {
                bytes.push(match letter {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 0x0b,
                    b'b' => 0x08,
                    other => *other,
                });
                rest = after;
            }
            [] => bytes.push(b'\\'),
        }
    }
    Cow::Owned(bytes)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| digit.try_into().ok())
}
