//! Encodings of bytes as text: escapes, hexadecimal digits, base64.

use std::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

/// How a text represents bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The text is the bytes.
    Text,
    /// With the escapes `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH`.
    Escaped,
    /// Two hexadecimal digits for each byte; blanks and line ends between them are
    /// ignored.
    Hex,
    /// Base64 with its padding; blanks and line ends are ignored.
    Base64,
}

impl FromStr for Encoding {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "escaped" => Ok(Self::Escaped),
            "hex" => Ok(Self::Hex),
            "base64" => Ok(Self::Base64),
            _ => Err("write text, escaped, hex or base64".to_owned()),
        }
    }
}

impl Encoding {
    /// Decodes a text; the error names the place where it is invalid.
    pub fn decode(self, text: &[u8]) -> Result<Vec<u8>, String> {
        let dense = || {
            text.iter()
                .copied()
                .filter(|byte| !byte.is_ascii_whitespace())
        };
        match self {
            Self::Text => Ok(text.to_vec()),
            Self::Escaped => unescape(text),
            Self::Hex => unhex(&dense().collect::<Vec<_>>()),
            Self::Base64 => BASE64_STANDARD
                .decode(dense().collect::<Vec<_>>())
                .map_err(|error| format!("that isn't base64: {error}")),
        }
    }
}

fn unescape(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let at = text.len() - rest.len() - 1;
        let unknown = || {
            format!(
                "the backslash at byte {at} begins no escape: there are \\r \\n \\t \\0 \\xHH, and \
                 \\\\ for a backslash"
            )
        };
        let (&name, after) = rest.split_first().ok_or_else(unknown)?;
        rest = after;
        bytes.push(match name {
            b'r' => b'\r',
            b'n' => b'\n',
            b't' => b'\t',
            b'0' => 0,
            b'\\' => b'\\',
            b'x' => {
                let (digits, after) = rest.split_at_checked(2).ok_or_else(unknown)?;
                rest = after;
                unhex(digits)
                    .ok()
                    .and_then(|byte| byte.first().copied())
                    .ok_or_else(unknown)?
            }
            _ => return Err(unknown()),
        });
    }
    Ok(bytes)
}

fn unhex(digits: &[u8]) -> Result<Vec<u8>, String> {
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let pairs = digits.chunks(2).map(|pair| match pair {
        [high, low] => Some(value(*high)? << 4 | value(*low)?),
        _ => None,
    });
    pairs
        .collect::<Option<Vec<u8>>>()
        .ok_or_else(|| "that isn't hexadecimal: two digits for each byte".to_owned())
}

#[cfg(test)]
mod tests {
    use super::Encoding;

    #[test]
    fn texts_stand_for_bytes() {
        for (encoding, text, bytes) in [
            (Encoding::Text, r"a\n", &b"a\\n"[..]),
            (Encoding::Escaped, r"PING\r\n", b"PING\r\n"),
            (Encoding::Escaped, r"\x00\xFf\t\0\\x41", b"\0\xff\t\0\\x41"),
            (Encoding::Hex, "50 49\n4e47", b"PING"),
            (Encoding::Base64, "UElORw ==\n", b"PING"),
        ] {
            assert_eq!(
                encoding.decode(text.as_bytes()).as_deref(),
                Ok(bytes),
                "{text}"
            );
        }
        for (encoding, text) in [
            (Encoding::Escaped, r"a\"),
            (Encoding::Escaped, r"\q"),
            (Encoding::Escaped, r"\x0"),
            (Encoding::Escaped, r"\xzz"),
            (Encoding::Hex, "505"),
            (Encoding::Hex, "5g"),
            (Encoding::Base64, "a"),
        ] {
            assert!(encoding.decode(text.as_bytes()).is_err(), "{text}");
        }
    }
}
