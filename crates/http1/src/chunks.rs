//! Decodes the chunked coding (RFC 9112, 7.1) as it arrives.

/// The position in a chunked body. The default is its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks(State);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The digits of a length, with their number.
    Length(u64, u8),
    /// Blanks after the digits; an extension or the line's end follows.
    Blank(u64),
    Extension(u64),
    /// After the CR of the length's line.
    LengthEnd(u64),
    Data(u64),
    DataEnd,
    /// After the CR that follows the data.
    DataLineFeed,
    /// A line of the trailer, and whether it contains anything.
    Trailer(bool),
    End,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// Bytes of the body; there may be none.
    pub data: &'a [u8],
    /// The bytes that weren't read yet.
    pub rest: &'a [u8],
}

/// The most digits of a length, which fit into 64 bits.
const LENGTH_DIGITS_MAX: u8 = 16;

impl Default for Chunks {
    fn default() -> Self {
        Self(State::Length(0, 0))
    }
}

impl Chunks {
    /// Whether the body is complete.
    #[inline]
    pub fn is_complete(&self) -> bool {
        self.0 == State::End
    }

    /// Decodes until there is data, the end, or nothing left; `None` if it isn't a
    /// chunked body.
    #[inline]
    pub fn next<'a>(&mut self, mut bytes: &'a [u8]) -> Option<Decoded<'a>> {
        loop {
            if let State::Data(left) = self.0 {
                let taken = left.min(bytes.len() as u64);
                self.0 = if taken == left {
                    State::DataEnd
                } else {
                    State::Data(left - taken)
                };
                let (data, rest) = bytes.split_at(taken as usize);
                return Some(Decoded { data, rest });
            }
            let Some((&byte, rest)) = bytes.split_first().filter(|_| !self.is_complete()) else {
                return Some(Decoded {
                    data: &[],
                    rest: bytes,
                });
            };
            self.0 = self.0.after(byte)?;
            bytes = rest;
        }
    }
}

impl State {
    fn after(self, byte: u8) -> Option<Self> {
        let data = |length| match length {
            0 => Self::Trailer(false),
            length => Self::Data(length),
        };
        Some(match (self, byte) {
            (Self::Length(length, 1..) | Self::Blank(length), b' ' | b'\t') => Self::Blank(length),
            (Self::Length(length, 1..) | Self::Blank(length), b';') => Self::Extension(length),
            (Self::Length(length, 1..) | Self::Blank(length) | Self::Extension(length), b'\r') => {
                Self::LengthEnd(length)
            }
            // A bare LF is accepted, as in Go and curl.
            (
                Self::Length(length, 1..)
                | Self::Blank(length)
                | Self::Extension(length)
                | Self::LengthEnd(length),
                b'\n',
            ) => data(length),
            (Self::Length(length, digits), _) if digits < LENGTH_DIGITS_MAX => {
                let digit = (byte as char).to_digit(16)?;
                Self::Length(length << 4 | u64::from(digit), digits + 1)
            }
            (Self::Extension(length), _) => Self::Extension(length),
            (Self::DataEnd, b'\r') => Self::DataLineFeed,
            (Self::DataEnd | Self::DataLineFeed, b'\n') => Self::Length(0, 0),
            (Self::Trailer(false), b'\n') => Self::End,
            (Self::Trailer(true), b'\n') => Self::Trailer(false),
            (Self::Trailer(some), b'\r') => Self::Trailer(some),
            (Self::Trailer(_), _) => Self::Trailer(true),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Chunks;

    /// The body and the length of what follows it; `None` if it isn't one.
    fn decode(text: &[u8], size: usize) -> Option<(Vec<u8>, usize)> {
        let (mut chunks, mut body, mut after) = (Chunks::default(), Vec::new(), 0);
        for mut piece in text.chunks(size) {
            while !piece.is_empty() && !chunks.is_complete() {
                let decoded = chunks.next(piece)?;
                body.extend_from_slice(decoded.data);
                piece = decoded.rest;
            }
            after += piece.len();
        }
        chunks.is_complete().then_some((body, after))
    }

    #[test]
    fn bodies_and_what_is_none() {
        for (text, body) in [
            (
                "3\r\nabc\r\n2;x=\"y\"\r\nde\r\n0\r\n\r\nmore",
                Some(("abcde", 4)),
            ),
            (
                "03 \t; x\r\nabc\r\n0\r\nT: v\r\nU: w\r\n\r\n",
                Some(("abc", 0)),
            ),
            ("A\n0123456789\n0\n\n", Some(("0123456789", 0))),
            ("0\r\n", None),
            ("2 garbage\r\nab\r\n0\r\n\r\n", None),
            ("3\r3\r\nabc\r\n0\r\n\r\n", None),
            ("3\r\nabc\r\r\n0\r\n\r\n", None),
            ("1\r\nab\r\n", None),
            ("1\r\nz", None),
            ("\r\n", None),
            (";x\r\n", None),
            ("11111111111111111\r\n", None),
        ] {
            for size in [1, 2, 3, 1000] {
                let found = decode(text.as_bytes(), size);
                let expected = body.map(|(body, after)| (body.as_bytes().to_vec(), after));
                assert_eq!(found, expected, "{text:?} in pieces of {size}");
            }
        }
    }
}
