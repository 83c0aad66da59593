//! Frames (RFC 9114, 7).

use crate::varint;

pub(crate) const DATA: u64 = 0;
pub(crate) const HEADERS: u64 = 1;
pub(crate) const CANCEL_PUSH: u64 = 3;
pub(crate) const SETTINGS: u64 = 4;
pub(crate) const PUSH_PROMISE: u64 = 5;
pub(crate) const GOAWAY: u64 = 7;
pub(crate) const MAX_PUSH_ID: u64 = 0xd;

/// Whether this was a type of HTTP/2, which must not come.
pub(crate) fn is_of_http2(kind: u64) -> bool {
    matches!(kind, 2 | 6 | 8 | 9)
}

/// Appends the beginning of a frame with a payload of this length.
pub fn write_head(kind: u64, length: usize, out: &mut Vec<u8>) {
    varint::write(kind, out);
    varint::write(length as u64, out);
}

/// Appends a frame.
pub fn write_frame(kind: u64, payload: &[u8], out: &mut Vec<u8>) {
    write_head(kind, payload.len(), out);
    out.extend_from_slice(payload);
}

/// Cuts the bytes of a stream into frames, in whatever pieces they come. It holds no
/// payload.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    /// The beginning of an incomplete head.
    held: [u8; 2 * varint::BYTES_MAX],
    held_count: usize,
    kind: u64,
    length: u64,
    /// The bytes of the payload that are missing.
    left: u64,
}

/// A piece of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) kind: u64,
    /// The length of the whole payload.
    pub(crate) length: u64,
    /// The bytes of the frame's head, if it begins with this piece; else 0.
    pub(crate) head_bytes: usize,
    /// The next part of the payload.
    pub(crate) bytes: &'a [u8],
    /// Whether it is the last one.
    pub(crate) ends: bool,
}

impl FrameReader {
    /// The next piece, if there is one.
    pub(crate) fn next<'a>(&mut self, rest: &mut &'a [u8]) -> Option<Piece<'a>> {
        let mut head_bytes = 0;
        if self.left == 0 {
            head_bytes = self.head(rest)?;
            self.left = self.length;
        } else if rest.is_empty() {
            return None;
        }
        let count = usize::try_from(self.left).map_or(rest.len(), |left| left.min(rest.len()));
        let (bytes, after) = rest.split_at(count);
        *rest = after;
        self.left -= count as u64;
        Some(Piece {
            kind: self.kind,
            length: self.length,
            head_bytes,
            bytes,
            ends: self.left == 0,
        })
    }

    /// Whether the stream may not end here.
    pub(crate) fn is_cut(&self) -> bool {
        self.left > 0 || self.held_count > 0
    }

    fn head(&mut self, rest: &mut &[u8]) -> Option<usize> {
        loop {
            let held = &self.held[..self.held_count];
            // Usually, all of it is there.
            let source = if held.is_empty() { *rest } else { held };
            let found = varint::read(source).and_then(|(kind, count)| {
                let (length, more) = varint::read(&source[count..])?;
                Some((kind, length, count + more))
            });
            if let Some((kind, length, count)) = found {
                (self.kind, self.length) = (kind, length);
                if self.held_count == 0 {
                    *rest = &rest[count..];
                }
                self.held_count = 0;
                return Some(count);
            }
            let (&byte, after) = rest.split_first()?;
            *rest = after;
            self.held[self.held_count] = byte;
            self.held_count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameReader, write_frame};

    #[test]
    fn frames_come_out_whole_however_they_come_in() {
        let mut bytes = Vec::new();
        let frames = [
            (0, vec![1; 100]),
            (0x21, vec![]),
            (1, vec![2; 70_000]),
            (0x1234_5678, vec![3]),
        ];
        for (kind, payload) in &frames {
            write_frame(*kind, payload, &mut bytes);
        }
        for size in [1, 2, 3, 7, 1000, 100_000] {
            let mut reader = FrameReader::default();
            let (mut found, mut payload) = (Vec::new(), Vec::new());
            let mut heads = 0;
            for chunk in bytes.chunks(size) {
                let mut rest = chunk;
                while let Some(piece) = reader.next(&mut rest) {
                    heads += piece.head_bytes;
                    payload.extend_from_slice(piece.bytes);
                    if piece.ends {
                        assert_eq!(piece.length, payload.len() as u64);
                        found.push((piece.kind, std::mem::take(&mut payload)));
                    }
                }
                assert!(rest.is_empty());
            }
            assert_eq!(found, frames, "in pieces of {size}");
            assert!(!reader.is_cut());
            let payloads: usize = frames.iter().map(|(_, payload)| payload.len()).sum();
            assert_eq!(heads + payloads, bytes.len());
        }
    }
}
