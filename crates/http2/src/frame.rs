//! Frames (RFC 9113, 4 and 6).

use crate::ErrorCode;

/// The head of a frame.
pub(crate) const HEAD_BYTES: usize = 9;
/// The longest payload without other settings, which ours don't change.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 16_384;
/// The first bytes of a client.
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// DATA and HEADERS: the last frame of its side.
pub(crate) const END_STREAM: u8 = 1;
/// SETTINGS and PING: an answer.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;
pub(crate) const WITH_PRIORITY: u8 = 32;

/// A received frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The payload length of the frame that begins here; `None` if its head is incomplete.
#[inline]
pub(crate) fn payload_len(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [a, b, c, rest @ ..] if rest.len() >= HEAD_BYTES - 3 => {
            Some(usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c))
        }
        _ => None,
    }
}

/// The frame that begins here, with this payload length; `None` if it is incomplete.
#[inline]
pub(crate) fn frame(bytes: &[u8], length: usize) -> Option<(Frame<'_>, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
    let (payload, rest) = rest.split_at_checked(length)?;
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & 0x7fff_ffff;
    let frame = Frame {
        kind: head[3],
        flags: head[4],
        stream,
        payload,
    };
    Some((frame, rest))
}

/// Appends the head of a frame.
#[inline]
pub(crate) fn write_head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    let [w, x, y, z] = stream.to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags, w, x, y, z]);
}

pub(crate) fn write_u32(out: &mut Vec<u8>, kind: u8, stream: u32, value: u32) {
    write_head(out, 4, kind, 0, stream);
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn write_go_away(out: &mut Vec<u8>, last: u32, code: ErrorCode, text: &str) {
    write_head(out, 8 + text.len(), GOAWAY, 0, 0);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Appends a block as HEADERS, followed by CONTINUATION if it is long.
pub(crate) fn write_block(out: &mut Vec<u8>, stream: u32, block: &[u8], end_stream: bool) {
    let (mut kind, mut rest) = (HEADERS, block);
    let mut flags = if end_stream { END_STREAM } else { 0 };
    loop {
        let (piece, after) = rest.split_at(rest.len().min(PAYLOAD_BYTES_MAX));
        if after.is_empty() {
            flags |= END_HEADERS;
        }
        write_head(out, piece.len(), kind, flags, stream);
        out.extend_from_slice(piece);
        if after.is_empty() {
            return;
        }
        (kind, rest, flags) = (CONTINUATION, after, 0);
    }
}
