//! Reads and writes bodies, a piece at a time.

use crate::bindings::wasi::http::types::{IncomingRequest, OutgoingBody};
use crate::bindings::wasi::io::streams::OutputStream;

const PIECE_BYTES: usize = 64 << 10;

/// Hands the pieces of a request's body to `give`, until it returns `false`.
fn read(request: &IncomingRequest, mut give: impl FnMut(&[u8]) -> bool) {
    let Ok(body) = request.consume() else { return };
    let Ok(stream) = body.stream() else { return };
    // An error ends the body; the response shows how much was read.
    while let Ok(piece) = stream.blocking_read(PIECE_BYTES as u64) {
        if !give(&piece) {
            return;
        }
    }
}

/// The number of bytes of a request's body.
pub(crate) fn count(request: &IncomingRequest) -> u64 {
    let mut count = 0;
    read(request, |piece| {
        count += piece.len() as u64;
        true
    });
    count
}

/// The whole body of a request.
pub(crate) fn collect(request: &IncomingRequest) -> Vec<u8> {
    let mut whole = Vec::new();
    read(request, |piece| {
        whole.extend_from_slice(piece);
        true
    });
    whole
}

/// Copies a request's body.
pub(crate) fn copy(request: &IncomingRequest, body: &Option<OutgoingBody>) {
    with_stream(body, |stream| {
        read(request, |piece| write_all(stream, piece));
    });
}

/// Writes a body.
pub(crate) fn write(body: &Option<OutgoingBody>, bytes: &[u8]) {
    with_stream(body, |stream| {
        write_all(stream, bytes);
    });
}

/// Writes this many bytes: 0, 1, … 250, 0, 1, …
pub(crate) fn pattern(body: &Option<OutgoingBody>, count: u64) {
    const PERIOD: usize = 251;
    let piece: Vec<u8> = (0..PERIOD * (PIECE_BYTES / PERIOD))
        .map(|index| (index % PERIOD) as u8)
        .collect();
    with_stream(body, |stream| {
        let mut left = count;
        while left > 0 {
            let taken = left.min(piece.len() as u64);
            if !write_all(stream, &piece[..taken as usize]) {
                return;
            }
            left -= taken;
        }
    });
}

fn with_stream(body: &Option<OutgoingBody>, write: impl FnOnce(&OutputStream)) {
    let Some(body) = body else { return };
    if let Ok(stream) = body.write() {
        write(&stream);
        // This fails if the caller has stopped reading, and nobody needs to know.
        let _ = stream.blocking_flush();
    }
}

/// `false` if the caller has stopped reading.
fn write_all(stream: &OutputStream, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match stream.check_write() {
            Ok(0) => stream.subscribe().block(),
            Ok(allowed) => {
                let taken = bytes
                    .len()
                    .min(usize::try_from(allowed).unwrap_or(usize::MAX));
                let (now, later) = bytes.split_at(taken);
                if stream.write(now).is_err() {
                    return false;
                }
                bytes = later;
            }
            Err(_) => return false,
        }
    }
    true
}
