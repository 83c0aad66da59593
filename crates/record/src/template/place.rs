//! Where in a request a value goes, and how it is encoded there.
//!
//! A value that fits stays as it is, because it may be encoded already, or be more than a
//! value (a whole query, an object). A value that would end the part into which it is
//! inserted, and start another part, is encoded; in a head it is refused.

use bytes::{BufMut, BytesMut};

/// A place for a value, with the state of the text before it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// A text that isn't a request.
    Text,
    /// The first line.
    Target,
    /// The header fields.
    Head,
    /// A body in JSON: whether a string is open, and whether a backslash precedes.
    Json { string: bool, escape: bool },
    /// A body of a form: whether a `=` has come since the last `&`.
    Form { value: bool },
}

/// The error for a value that doesn't fit into its place.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unfit;

impl Place {
    /// Whether an empty line would end this part.
    pub(super) fn is_head(self) -> bool {
        matches!(self, Self::Head)
    }

    /// The place for a body of this type.
    pub(super) fn of_body(content_type: &[u8]) -> Self {
        let kind = content_type.split(|&byte| byte == b';').next();
        let kind = kind.unwrap_or_default().trim_ascii().to_ascii_lowercase();
        if kind.ends_with(b"/json") || kind.ends_with(b"+json") {
            Self::Json {
                string: false,
                escape: false,
            }
        } else if kind == b"application/x-www-form-urlencoded" {
            Self::Form { value: false }
        } else {
            Self::Text
        }
    }

    /// Takes literal text of the template.
    pub(super) fn pass(&mut self, literal: &[u8]) {
        match self {
            Self::Json { string, escape } => {
                for &byte in literal {
                    let escaped = std::mem::take(escape);
                    match byte {
                        b'"' if !escaped => *string = !*string,
                        b'\\' if *string && !escaped => *escape = true,
                        _ => {}
                    }
                }
            }
            Self::Form { value } => {
                for &byte in literal {
                    *value = byte == b'=' || *value && byte != b'&';
                }
            }
            Self::Text | Self::Target | Self::Head => {}
        }
    }

    /// Appends the value, encoded for this place.
    pub(super) fn write(self, value: &[u8], out: &mut BytesMut) -> Result<(), Unfit> {
        match self {
            Self::Head if value.iter().any(|byte| b"\r\n\0".contains(byte)) => return Err(Unfit),
            Self::Target if value.iter().any(ends_target) => encode(value, ends_target, out),
            Self::Json { string: true, .. } if !is_inside_string(value) => escape(value, out),
            Self::Form { value: true } if !is_form_value(value) => {
                let is_other = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"-._~".contains(byte);
                encode(value, is_other, out);
            }
            _ => out.put_slice(value),
        }
        Ok(())
    }
}

/// Whether the byte can't be within the first line, or starts a fragment.
fn ends_target(byte: &u8) -> bool {
    matches!(byte, 0..=b' ' | 0x7f.. | b'"' | b'<' | b'>' | b'#')
}

fn encode(value: &[u8], is_encoded: impl Fn(&u8) -> bool, out: &mut BytesMut) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in value {
        if is_encoded(byte) {
            let (high, low) = (byte >> 4, byte & 15);
            out.put_slice(&[b'%', DIGITS[usize::from(high)], DIGITS[usize::from(low)]]);
        } else {
            out.put_u8(*byte);
        }
    }
}

/// Whether the bytes can stand between the quotes of a JSON string.
fn is_inside_string(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'"' | 0..0x20, _) => return false,
            (
                b'\\',
                [
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                    after @ ..,
                ],
            ) => after,
            (b'\\', [b'u', digits @ ..]) => match digits.split_at_checked(4) {
                Some((digits, after)) if digits.iter().all(u8::is_ascii_hexdigit) => after,
                _ => return false,
            },
            (b'\\', _) => return false,
            _ => after,
        };
    }
    true
}

fn escape(value: &[u8], out: &mut BytesMut) {
    for &byte in value {
        match byte {
            b'"' | b'\\' => out.put_slice(&[b'\\', byte]),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            0..0x20 => out.put_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.put_u8(byte),
        }
    }
}

/// Whether the bytes are one value of a form, however they were encoded.
fn is_form_value(value: &[u8]) -> bool {
    let mut rest = value;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (0..=b' ' | 0x7f.. | b'&' | b'#', _) => return false,
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                after
            }
            (b'%', _) => return false,
            _ => after,
        };
    }
    true
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::{Place, Unfit};

    fn written(mut place: Place, literal: &str, value: &str) -> Result<String, Unfit> {
        let mut out = BytesMut::new();
        place.pass(literal.as_bytes());
        place.write(value.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out.to_vec()).expect("text"))
    }

    #[test]
    fn values_by_where_they_go() {
        let json = || Place::of_body(b"Application/JSON; charset=utf-8");
        let form = || Place::of_body(b"application/x-www-form-urlencoded");
        for (place, literal, value, expected) in [
            (
                Place::Target,
                "GET /?q=",
                "a b\r\nX: y",
                "a%20b%0D%0AX:%20y",
            ),
            (Place::Target, "GET ", "/a?b=%20&c", "/a?b=%20&c"),
            (Place::Target, "GET /", "é#\"", "%C3%A9%23%22"),
            (Place::Head, "A: ", "b: c", "b: c"),
            (
                json(),
                "{\"a\": \"",
                "say \"hi\"\\\n",
                "say \\\"hi\\\"\\\\\\n",
            ),
            (
                json(),
                "{\"a\": \"",
                "\\u00e9 \\\"x\\\" é",
                "\\u00e9 \\\"x\\\" é",
            ),
            (json(), "{\"a\\\"\": ", "{\"b\": 1}", "{\"b\": 1}"),
            (json(), "{\"a\": \"\\\\\", \"b\": ", "\"c\"", "\"c\""),
            (json(), "[\"", "\u{1}", "\\u0001"),
            (form(), "a=1&b=", "c&d=e", "c%26d%3De"),
            (form(), "a=", "x%20y+z==", "x%20y+z=="),
            (form(), "a=", "100%", "100%25"),
            (form(), "a=1&", "b=2&c=3", "b=2&c=3"),
            (Place::of_body(b"text/plain"), "a=", "x\r\n&\"", "x\r\n&\""),
        ] {
            let found = written(place, literal, value);
            assert_eq!(found.as_deref(), Ok(expected), "{literal}{value}");
        }
        for value in ["x\r\nEvil: 1", "x\ny", "\0"] {
            assert_eq!(written(Place::Head, "A: ", value), Err(Unfit), "{value:?}");
        }
    }
}
