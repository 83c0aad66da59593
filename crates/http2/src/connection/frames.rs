//! Parses frames from bytes, which may be incomplete.

use super::{Connection, FUTILE_MAX, Handler, UNSENT_BYTES_MAX};
use crate::frame::{self, Frame, HEAD_BYTES, PAYLOAD_BYTES_MAX, PREFACE};
use crate::{ConnectionError, ErrorCode, Role};

impl<T> Connection<T> {
    pub(super) fn take(
        &mut self,
        mut bytes: &[u8],
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        if self.preface_left > 0 {
            let count = self.preface_left.min(bytes.len());
            let start = PREFACE.len() - self.preface_left;
            if bytes[..count] != PREFACE[start..start + count] {
                return Err(ConnectionError::protocol("what came isn't HTTP/2"));
            }
            self.preface_left -= count;
            bytes = &bytes[count..];
        }
        let begins = !self.settled && self.partial.is_empty();
        if self.role == Role::Client && begins && bytes.starts_with(b"HTTP/") {
            return Err(ConnectionError::protocol("the server speaks HTTP/1.1"));
        }
        while !self.partial.is_empty() && !bytes.is_empty() {
            // Take exactly the bytes that complete the frame.
            let have = self.partial.len();
            let needs = match payload_len(&self.partial)? {
                None => HEAD_BYTES,
                Some(length) => HEAD_BYTES + length,
            };
            let (piece, rest) = bytes.split_at(bytes.len().min(needs - have));
            self.partial.extend_from_slice(piece);
            bytes = rest;
            let mut whole = std::mem::take(&mut self.partial);
            if let Some(length) = payload_len(&whole)?
                && let Some((frame, _)) = frame::frame(&whole, length)
            {
                self.frame(frame, handler)?;
                whole.clear();
            }
            self.partial = whole;
        }
        while let Some(length) = payload_len(bytes)? {
            let Some((frame, rest)) = frame::frame(bytes, length) else {
                break;
            };
            self.frame(frame, handler)?;
            bytes = rest;
        }
        self.partial.extend_from_slice(bytes);
        Ok(())
    }

    fn frame(
        &mut self,
        frame: Frame<'_>,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        let is_settings = frame.kind == frame::SETTINGS && !frame.has(frame::ACK);
        if !self.settled && !is_settings {
            let text = "the first frame isn't SETTINGS: this isn't HTTP/2";
            return Err(ConnectionError::protocol(text));
        }
        if let Some(block) = &self.block
            && (frame.kind != frame::CONTINUATION || frame.stream != block.stream)
        {
            return Err(ConnectionError::protocol("another frame within a head"));
        }
        match frame.kind {
            frame::DATA => self.take_data(frame, handler),
            frame::HEADERS => self.take_headers(frame, handler),
            frame::CONTINUATION => self.take_continuation(frame, handler),
            kind => {
                self.is_futile()?;
                match kind {
                    frame::PRIORITY => self.take_priority(frame, handler),
                    frame::RST_STREAM => self.take_reset(frame, handler),
                    frame::SETTINGS => self.take_settings(frame),
                    frame::PUSH_PROMISE => Err(ConnectionError::protocol(
                        "a PUSH_PROMISE, which isn't allowed",
                    )),
                    frame::PING => self.take_ping(frame),
                    frame::GOAWAY => self.take_go_away(frame, handler),
                    frame::WINDOW_UPDATE => self.take_window_update(frame, handler),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Counts a frame that doesn't advance a message; too many in a row are a flood.
    pub(super) fn is_futile(&mut self) -> Result<(), ConnectionError> {
        self.futile += 1;
        if self.futile > FUTILE_MAX || self.outbox.len() > UNSENT_BYTES_MAX {
            let text = "a flood of frames that don't advance a message";
            return Err(ConnectionError::new(ErrorCode::ENHANCE_YOUR_CALM, text));
        }
        Ok(())
    }

    /// Whether no stream with this number was opened yet.
    pub(super) fn is_idle(&self, stream: u32) -> bool {
        match self.role {
            Role::Client => stream.is_multiple_of(2) || stream >= self.next,
            Role::Server => stream.is_multiple_of(2) || stream > self.next,
        }
    }
}

/// The length of a payload. A frame that is too long is refused before it has arrived.
#[inline]
fn payload_len(bytes: &[u8]) -> Result<Option<usize>, ConnectionError> {
    match frame::payload_len(bytes) {
        Some(length) if length > PAYLOAD_BYTES_MAX => {
            let text = "a frame longer than accepted";
            Err(ConnectionError::new(ErrorCode::FRAME_SIZE, text))
        }
        length => Ok(length),
    }
}
