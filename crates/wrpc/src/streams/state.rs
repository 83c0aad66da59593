//! The streams of a call at one end.

use std::collections::VecDeque;
use std::task::Waker;

use bytes::{Bytes, BytesMut};

use super::{BUFFER_BYTES_MAX, TRAILERS_BYTES_MAX, WINDOW_BYTES, Which};
use crate::memory::{Memory, Reservation};
use crate::{Error, ErrorCode};

/// Pieces up to this size are copied together, because each keeps the buffer of a whole
/// read, which is up to four times as large.
const COPY_MAX: usize = 32 << 10;

pub(crate) struct Streams {
    body: Channel,
    trailers: Channel,
    /// The number of bytes that may be sent now; `None` if the other end sets no limit.
    window: Option<u64>,
    /// Whether the other end supports windows.
    pub(crate) has_window: bool,
    pub(crate) is_cancelled: bool,
    wakers: Vec<Waker>,
}

/// The part of a stream that wasn't read yet.
struct Channel {
    pieces: VecDeque<Bytes>,
    /// The bytes after `pieces`.
    tail: BytesMut,
    bytes: usize,
    bytes_max: usize,
    /// The reservation for the kept bytes, if they are counted.
    reserved: Option<Reservation>,
    end: Option<Result<(), Error>>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            body: Channel::new(BUFFER_BYTES_MAX),
            trailers: Channel::new(TRAILERS_BYTES_MAX),
            window: None,
            has_window: false,
            is_cancelled: false,
            wakers: Vec::new(),
        }
    }
}

impl Streams {
    /// The streams of a call whose other end has this window, if it supports windows.
    pub(crate) fn with_window(window: Option<u64>) -> Self {
        let mut streams = Self::default();
        streams.open_window(window);
        streams
    }

    /// Counts the kept bytes of the body in this account.
    pub(crate) fn count_in(&mut self, memory: &Memory) {
        self.body.reserved = Some(memory.nothing());
    }

    /// Sets the window of the other end.
    pub(crate) fn open_window(&mut self, window: Option<u64>) {
        self.window = window;
        self.has_window = window.is_some();
        if self.has_window {
            // The other end was told the same window; allow for the overhead of both
            // ends.
            self.body.bytes_max = 2 * WINDOW_BYTES as usize;
        }
        self.wake();
    }

    /// Grows the window of the other end.
    pub(crate) fn grow_window(&mut self, more: u64) {
        if let Some(window) = &mut self.window {
            *window = window.saturating_add(more);
        }
        self.wake();
    }

    /// Takes a chunk of up to `wanted` bytes, with its length, from the window; `None` if
    /// nothing may be sent now.
    pub(super) fn take_window(&mut self, wanted: usize) -> Option<usize> {
        let Some(window) = &mut self.window else {
            return Some(wanted);
        };
        let room = usize::try_from(*window).unwrap_or(usize::MAX);
        let chunk = wanted.min(room.saturating_sub(length_bytes(wanted.min(room))));
        if chunk == 0 {
            return None;
        }
        *window -= (chunk + length_bytes(chunk)) as u64;
        Some(chunk)
    }

    /// Notes that the other end has stopped reading.
    pub(crate) fn cancel(&mut self) {
        self.is_cancelled = true;
        self.wake();
    }

    /// Takes more of a stream.
    pub(crate) fn push(&mut self, which: Which, data: Bytes) {
        self.channel(which).push(data);
        self.wake();
    }

    /// Ends a stream.
    pub(crate) fn end(&mut self, which: Which, end: Result<(), Error>) {
        self.channel(which).end.get_or_insert(end);
        self.wake();
    }

    /// Fails everything that hasn't ended.
    pub(crate) fn fail(&mut self, error: &Error) {
        for which in [Which::Body, Which::Trailers] {
            self.end(which, Err(error.clone()));
        }
    }

    /// The next piece of a stream, or its end; `None` if it hasn't arrived yet.
    pub(super) fn next(&mut self, which: Which) -> Option<Result<Option<Bytes>, Error>> {
        let channel = self.channel(which);
        match channel.pop() {
            Some(piece) => Some(Ok(Some(piece))),
            None => channel.end.clone().map(|end| end.map(|()| None)),
        }
    }

    fn channel(&mut self, which: Which) -> &mut Channel {
        match which {
            Which::Body => &mut self.body,
            Which::Trailers => &mut self.trailers,
        }
    }

    pub(super) fn wake_by(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|known| known.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }

    pub(crate) fn wake(&mut self) {
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }
}

/// The number of bytes of a chunk's length.
fn length_bytes(chunk: usize) -> usize {
    let bits = usize::BITS - chunk.leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

impl Channel {
    fn new(bytes_max: usize) -> Self {
        Self {
            pieces: VecDeque::new(),
            tail: BytesMut::new(),
            bytes: 0,
            bytes_max,
            reserved: None,
            end: None,
        }
    }

    fn push(&mut self, data: Bytes) {
        if self.end.is_some() {
            return;
        }
        let bytes = self.bytes + data.len();
        if bytes > self.bytes_max {
            let text = format!(
                "a body came faster than it was read, and more than {} bytes of it would have to be kept",
                self.bytes_max
            );
            return self.give_up(Error::new(ErrorCode::PayloadTooLarge, text));
        }
        if let Some(reserved) = &mut self.reserved
            && !reserved.resize(bytes)
        {
            let error = reserved.used_up();
            return self.give_up(error);
        }
        self.bytes = bytes;
        if data.len() <= COPY_MAX {
            return self.tail.extend_from_slice(&data);
        }
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
        self.pieces.push_back(data);
    }

    fn give_up(&mut self, error: Error) {
        self.pieces.clear();
        self.tail = BytesMut::new();
        self.forget(self.bytes);
        self.end = Some(Err(error));
    }

    /// Notes that this many fewer bytes are kept.
    fn forget(&mut self, bytes: usize) {
        self.bytes -= bytes;
        if let Some(reserved) = &mut self.reserved {
            let _less = reserved.resize(self.bytes);
        }
    }

    fn pop(&mut self) -> Option<Bytes> {
        let piece = match self.pieces.pop_front() {
            Some(piece) => piece,
            None if self.tail.is_empty() => return None,
            None => self.tail.split().freeze(),
        };
        self.forget(piece.len());
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Streams, WINDOW_BYTES, Which};
    use crate::ErrorCode;
    use crate::memory::Memory;
    use crate::value::Write as _;

    #[test]
    fn pieces_keep_their_order_and_small_ones_become_one() {
        let mut streams = Streams::default();
        for length in [1, 2, 50_000, 3, 4] {
            streams.push(Which::Body, vec![length as u8; length].into());
        }
        streams.end(Which::Body, Ok(()));
        let mut lengths = Vec::new();
        while let Some(Ok(Some(piece))) = streams.next(Which::Body) {
            lengths.push(piece.len());
        }
        assert_eq!(lengths, [3, 50_000, 7]);
        assert_eq!(streams.next(Which::Body), Some(Ok(None)));
        assert_eq!(streams.next(Which::Trailers), None);
    }

    /// A kept part of a buffer must not keep the whole buffer.
    #[test]
    fn a_small_part_of_what_was_read_keeps_none_of_the_rest() {
        let buffer = std::sync::Arc::new(vec![0; 64 << 10]);
        let read = Bytes::from_owner(Buffer(std::sync::Arc::clone(&buffer)));
        let mut streams = Streams::default();
        streams.push(Which::Body, read.slice(..20 << 10));
        drop(read);
        assert_eq!(std::sync::Arc::strong_count(&buffer), 1);
        assert!(
            matches!(streams.next(Which::Body), Some(Ok(Some(piece))) if piece.len() == 20 << 10)
        );
    }

    struct Buffer(std::sync::Arc<Vec<u8>>);

    impl AsRef<[u8]> for Buffer {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    #[test]
    fn a_window_is_used_up_and_grows() {
        let mut streams = Streams::with_window(Some(10));
        assert_eq!(streams.take_window(8), Some(8));
        assert_eq!(streams.take_window(8), None);
        streams.grow_window(4);
        assert_eq!(streams.take_window(8), Some(4));
        streams.grow_window(u64::MAX);
        streams.grow_window(u64::MAX);
        assert_eq!(streams.take_window(8), Some(8));
        assert_eq!(Streams::default().take_window(8), Some(8));
    }

    #[test]
    fn what_is_taken_is_what_travels() {
        for window in (0..300u64).chain(16_380..16_400) {
            for wanted in [1, 126, 127, 128, 129, 16_383, 16_384, 20_000] {
                let mut streams = Streams::with_window(Some(window));
                let mut travelled = 0;
                while let Some(chunk) = streams.take_window(wanted) {
                    let mut encoded = Vec::new();
                    encoded.bytes(&vec![0; chunk]);
                    travelled += encoded.len() as u64;
                }
                let left = window - travelled; // and not less than nothing
                assert_eq!(streams.window, Some(left));
                assert!(left < 2, "{left} of {window}");
            }
        }
    }

    #[test]
    fn what_is_kept_is_reserved() {
        let memory = Memory::new(100_000);
        let mut streams = Streams::with_window(Some(WINDOW_BYTES));
        streams.count_in(&memory);
        streams.push(Which::Body, Bytes::from(vec![0; 60_000]));
        streams.push(Which::Body, Bytes::from(vec![0; 30_000]));
        assert_eq!(memory.reserved(), 90_000);
        assert!(matches!(streams.next(Which::Body), Some(Ok(Some(_)))));
        assert_eq!(memory.reserved(), 30_000);
        streams.push(Which::Body, Bytes::from(vec![0; 80_000]));
        assert_eq!(memory.reserved(), 0);
        let ended = streams.next(Which::Body).expect("an end");
        assert_eq!(ended.expect_err("an error").code, ErrorCode::ReceiverBusy);
    }

    #[test]
    fn a_sender_that_ignores_its_window_is_stopped() {
        let mut streams = Streams::with_window(Some(WINDOW_BYTES));
        let piece = Bytes::from(vec![0; 64 << 10]);
        for _ in 0..17 {
            streams.push(Which::Body, piece.clone());
        }
        let ended = streams.next(Which::Body).expect("an end");
        assert_eq!(
            ended.expect_err("an error").code,
            ErrorCode::PayloadTooLarge
        );
    }
}
