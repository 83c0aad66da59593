//! The heads of frames, and masks.

use crate::error::{CloseCode, ConnectionError};
use crate::role::Role;

/// The most bytes of a control frame's payload.
pub const CONTROL_BYTES_MAX: usize = 125;
/// The most bytes of a head: two bytes, a length, a mask.
const HEAD_BYTES_MAX: usize = 14;
/// The bit of a compressed message: RSV1.
const COMPRESSED: u8 = 0x40;

pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) is_last: bool,
    /// Whether the message that begins with this frame is compressed (RSV1, RFC 7692, 6).
    pub(crate) is_compressed: bool,
    pub(crate) opcode: u8,
    pub(crate) mask: Option<[u8; 4]>,
    pub(crate) length: u64,
}

impl Head {
    /// Reads a head that `role` received. Returns it with the number of its bytes, if it
    /// is complete. `deflates` says whether messages may be compressed.
    pub(crate) fn read(
        bytes: &[u8],
        role: Role,
        deflates: bool,
    ) -> Result<Option<(Self, usize)>, ConnectionError> {
        let bad = |text| ConnectionError {
            code: CloseCode::PROTOCOL,
            text,
        };
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        let (is_last, opcode) = (first & 0x80 != 0, first & 0x0f);
        let is_compressed = first & COMPRESSED != 0;
        if first & 0x30 != 0 || is_compressed && !deflates {
            return Err(bad(
                "a frame has a bit of an extension, and none was agreed on",
            ));
        }
        if !matches!(opcode, CONTINUATION..=BINARY | CLOSE..=PONG) {
            return Err(bad("a frame has an unknown opcode"));
        }
        if is_compressed && !matches!(opcode, TEXT | BINARY) {
            let text = "only the first frame of a message says that the message is compressed";
            return Err(bad(text));
        }
        let is_masked = second & 0x80 != 0;
        match (role, is_masked) {
            (Role::Client, true) => return Err(bad("a frame of the server's is masked")),
            (Role::Server, false) => return Err(bad("a frame of the client's isn't masked")),
            _ => {}
        }
        let short = second & 0x7f;
        if opcode >= CLOSE && (!is_last || usize::from(short) > CONTROL_BYTES_MAX) {
            return Err(bad("a control frame is in pieces, or too long"));
        }
        let (length, after) = match short {
            126 => {
                let Some((&length, after)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                (u64::from(u16::from_be_bytes(length)), after)
            }
            127 => {
                let Some((&length, after)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                (u64::from_be_bytes(length), after)
            }
            short => (u64::from(short), rest),
        };
        let is_shortest = match short {
            126 => length > 125,
            127 => length > 0xffff && length < 1 << 63,
            _ => true,
        };
        if !is_shortest {
            return Err(bad("a frame's length isn't written as short as it can be"));
        }
        let (mask, after) = match (is_masked, after.split_first_chunk()) {
            (false, _) => (None, after),
            (true, Some((&mask, after))) => (Some(mask), after),
            (true, None) => return Ok(None),
        };
        let head = Self {
            is_last,
            is_compressed,
            opcode,
            mask,
            length,
        };
        Ok(Some((head, bytes.len() - after.len())))
    }

    /// Writes the head.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.reserve(HEAD_BYTES_MAX);
        let compressed = if self.is_compressed { COMPRESSED } else { 0 };
        out.push(u8::from(self.is_last) << 7 | compressed | self.opcode);
        let is_masked = u8::from(self.mask.is_some()) << 7;
        match self.length {
            length @ 0..=125 => out.push(is_masked | length as u8),
            length @ 126..=0xffff => {
                out.push(is_masked | 126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                out.push(is_masked | 127);
                out.extend_from_slice(&length.to_be_bytes());
            }
        }
        out.extend(self.mask.iter().flatten());
    }
}

/// Masks bytes, or unmasks them. `at` is their offset in the payload.
pub(crate) fn mask(bytes: &mut [u8], mask: [u8; 4], at: u64) {
    let shift = (at % 4) as usize;
    let mask: [u8; 4] = std::array::from_fn(|place| mask[(place + shift) % 4]);
    let wide = u64::from_ne_bytes(std::array::from_fn(|place| mask[place % 4]));
    let (whole, rest) = bytes.as_chunks_mut::<8>();
    for chunk in whole {
        *chunk = (u64::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use super::{BINARY, Head, mask};
    use crate::Role;

    #[test]
    fn heads_are_read_as_they_are_written() {
        for length in [0, 125, 126, 0xffff, 0x1_0000, (1 << 63) - 1] {
            for (role, mask) in [(Role::Client, None), (Role::Server, Some([1, 2, 3, 4]))] {
                let head = Head {
                    is_last: length % 2 == 0,
                    is_compressed: length % 3 == 0,
                    opcode: BINARY,
                    mask,
                    length,
                };
                let mut bytes = Vec::new();
                head.write(&mut bytes);
                for cut in 0..bytes.len() {
                    assert_eq!(Head::read(&bytes[..cut], role, true), Ok(None), "{length}");
                }
                let whole = Head::read(&bytes, role, true).unwrap();
                assert_eq!(whole, Some((head, bytes.len())));
            }
        }
    }

    #[test]
    fn masks_go_on_where_they_stopped() {
        let bytes: Vec<u8> = (0..100).collect();
        let key = [7, 99, 0, 255];
        for cut in 0..bytes.len() {
            let mut masked = bytes.clone();
            let (first, second) = masked.split_at_mut(cut);
            mask(first, key, 0);
            mask(second, key, cut as u64);
            let plain: Vec<u8> = masked
                .iter()
                .enumerate()
                .map(|(at, byte)| byte ^ key[at % 4])
                .collect();
            assert_eq!(plain, bytes);
        }
    }
}
