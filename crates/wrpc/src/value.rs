//! The encoding of component-model values: LEB128 integers, length-prefixed
//! strings and lists, little-endian floats, UTF-8 characters.
//!
//! [`Reader`] never allocates and never trusts a length: a length is compared
//! with the bytes that have arrived before anyone acts on it.

use std::str;

/// Why bytes can't be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The value continues after the end of the bytes.
    #[error("truncated at byte {at}: at least {missing} more expected")]
    Truncated {
        /// The position of the reader.
        at: usize,
        /// At least this many bytes are missing.
        missing: u64,
    },
    /// The bytes aren't such a value, whatever follows.
    #[error("invalid {what} at byte {at}")]
    Invalid {
        /// The start of the value.
        at: usize,
        /// The expected value.
        what: &'static str,
    },
    /// Bytes are left after the value.
    #[error("{left} bytes left over after the value")]
    Trailing {
        /// The number of bytes that are left.
        left: usize,
    },
}

/// Reads values from a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The offset of the next byte.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The number of bytes that are left.
    pub fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Fails if bytes are left.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing { left }),
        }
    }

    /// An error about the value that should begin at `at`.
    pub fn invalid(at: usize, what: &'static str) -> DecodeError {
        DecodeError::Invalid { at, what }
    }

    /// The next `count` bytes.
    #[inline]
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        if count > self.remaining() {
            return Err(DecodeError::Truncated {
                at: self.at,
                missing: (count - self.remaining()) as u64,
            });
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    /// One byte.
    #[inline]
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }

    /// A byte that is 0 or 1: `bool`, and the header of `option` and `result`.
    #[inline]
    pub fn bit(&mut self, what: &'static str) -> Result<bool, DecodeError> {
        let at = self.at;
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Self::invalid(at, what)),
        }
    }

    /// An unsigned LEB128 integer of at most `bits` bits.
    #[inline]
    pub fn unsigned(&mut self, bits: u32, what: &'static str) -> Result<u64, DecodeError> {
        let at = self.at;
        let mut value = 0u64;
        let mut shift = 0;
        loop {
            let byte = self.u8()?;
            let payload = u64::from(byte & 0x7f);
            // The last byte that fits may use only the remaining bits.
            if shift >= bits || (bits - shift < 7 && payload >> (bits - shift) != 0) {
                return Err(Self::invalid(at, what));
            }
            value |= payload << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
            shift += 7;
        }
    }

    /// A signed LEB128 integer of at most `bits` bits.
    #[inline]
    pub fn signed(&mut self, bits: u32, what: &'static str) -> Result<i64, DecodeError> {
        let at = self.at;
        let mut value = 0i64;
        let mut shift = 0;
        loop {
            let byte = self.u8()?;
            if shift >= bits {
                return Err(Self::invalid(at, what));
            }
            value |= i64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                if shift < 64 && byte & 0x40 != 0 {
                    value |= -1 << shift;
                }
                let spare = 64 - bits;
                // Ten bytes hold 70 bits: the last may only repeat the sign.
                let fits = (value << spare) >> spare == value
                    && (shift <= 64 || matches!(byte, 0x00 | 0x7f));
                return if fits {
                    Ok(value)
                } else {
                    Err(Self::invalid(at, what))
                };
            }
        }
    }

    /// A little-endian 32-bit float.
    pub fn f32(&mut self) -> Result<f32, DecodeError> {
        Ok(f32::from_le_bytes(self.array()?))
    }

    /// A little-endian 64-bit float.
    pub fn f64(&mut self) -> Result<f64, DecodeError> {
        Ok(f64::from_le_bytes(self.array()?))
    }

    /// A character, as its UTF-8 bytes.
    pub fn char(&mut self) -> Result<char, DecodeError> {
        let at = self.at;
        let first = self.u8()?;
        let length = match first {
            0x00..=0x7f => 1,
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => return Err(Self::invalid(at, "char")),
        };
        self.take(length - 1)?;
        str::from_utf8(&self.bytes[at..self.at])
            .ok()
            .and_then(|text| text.chars().next())
            .ok_or_else(|| Self::invalid(at, "char"))
    }

    /// The length of a list whose elements take at least one byte each. On return, at
    /// least this many bytes are known to have arrived.
    #[inline]
    pub fn length(&mut self) -> Result<usize, DecodeError> {
        let length = self.unsigned(32, "length")?;
        let left = self.remaining() as u64;
        if length > left {
            return Err(DecodeError::Truncated {
                at: self.at,
                missing: length - left,
            });
        }
        Ok(length as usize)
    }

    /// A `list<u8>`.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.length()?;
        self.take(length)
    }

    /// A string.
    #[inline]
    pub fn string(&mut self) -> Result<&'a str, DecodeError> {
        let length = self.length()?;
        let at = self.at;
        str::from_utf8(self.take(length)?).map_err(|_| Self::invalid(at, "UTF-8 in string"))
    }
}

/// Appends values to a buffer.
pub trait Write {
    /// An unsigned LEB128 integer.
    fn unsigned(&mut self, value: u64);
    /// A signed LEB128 integer.
    fn signed(&mut self, value: i64);
    /// A `list<u8>`, or the bytes of a string.
    fn bytes(&mut self, bytes: &[u8]);
    /// A character.
    fn char(&mut self, value: char);
}

impl Write for Vec<u8> {
    #[inline]
    fn unsigned(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.push(value as u8);
    }

    #[inline]
    fn signed(&mut self, mut value: i64) {
        loop {
            let byte = value as u8 & 0x7f;
            value >>= 7;
            if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) {
                return self.push(byte);
            }
            self.push(byte | 0x80);
        }
    }

    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.unsigned(bytes.len() as u64);
        self.extend_from_slice(bytes);
    }

    fn char(&mut self, value: char) {
        self.extend_from_slice(value.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{DecodeError, Reader, Write};

    #[test]
    fn unsigned_known_answers() {
        // The examples of DWARF 5, section 7.6.
        for (value, encoded) in [
            (2u64, &[2u8][..]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (129, &[0x81, 1]),
            (12857, &[0xb9, 0x64]),
        ] {
            let mut written = Vec::new();
            written.unsigned(value);
            assert_eq!(written, encoded);
            assert_eq!(Reader::new(encoded).unsigned(64, "u64"), Ok(value));
        }
    }

    #[test]
    fn signed_known_answers() {
        for (value, encoded) in [
            (2i64, &[2u8][..]),
            (-2, &[0x7e]),
            (127, &[0xff, 0]),
            (-127, &[0x81, 0x7f]),
            (128, &[0x80, 1]),
            (-128, &[0x80, 0x7f]),
            (-129, &[0xff, 0x7e]),
        ] {
            let mut written = Vec::new();
            written.signed(value);
            assert_eq!(written, encoded);
            assert_eq!(Reader::new(encoded).signed(64, "s64"), Ok(value));
        }
    }

    #[test]
    fn extremes_survive_a_round_trip() {
        for bits in [8, 16, 32, 64] {
            for value in [i64::MIN >> (64 - bits), i64::MAX >> (64 - bits)] {
                let mut written = Vec::new();
                written.signed(value);
                assert_eq!(Reader::new(&written).signed(bits, "signed"), Ok(value));
            }
            let largest = u64::MAX >> (64 - bits);
            let mut written = Vec::new();
            written.unsigned(largest);
            assert_eq!(
                Reader::new(&written).unsigned(bits, "unsigned"),
                Ok(largest)
            );
        }
    }

    #[test]
    fn integers_that_are_too_wide_are_invalid() {
        let mut wide = Vec::new();
        wide.unsigned(1 << 16);
        assert!(matches!(
            Reader::new(&wide).unsigned(16, "u16"),
            Err(DecodeError::Invalid { at: 0, what: "u16" })
        ));
        let mut wide = Vec::new();
        wide.signed(-(1 << 15) - 1);
        assert!(Reader::new(&wide).signed(16, "s16").is_err());
        assert!(Reader::new(&[0x80; 11]).unsigned(64, "u64").is_err());
        assert!(Reader::new(&[0x80; 11]).signed(64, "s64").is_err());
    }

    #[test]
    fn a_length_bomb_is_just_truncated() {
        let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(
            Reader::new(&bomb).bytes(),
            Err(DecodeError::Truncated {
                at: 5,
                missing: u64::from(u32::MAX)
            })
        );
    }

    #[test]
    fn characters() {
        for value in ['a', 'ß', '€', '🦀', '\0', char::MAX] {
            let mut written = Vec::new();
            written.char(value);
            assert_eq!(Reader::new(&written).char(), Ok(value));
        }
        for invalid in [&[0xff][..], &[0xc0, 0x80], &[0xed, 0xa0, 0x80]] {
            assert!(Reader::new(invalid).char().is_err());
        }
    }
}
