//! Handles received heads and bodies.

use super::control::dependency;
use super::{Block, Connection, FUTILE_MAX, Handler};
use crate::frame::{self, Frame, HEAD_BYTES};
use crate::head::BadHead;
use crate::settings::WINDOW;
use crate::stream::Stream;
use crate::{ConnectionError, ErrorCode, Head, HeadKind, Reset, Role};

impl<T> Connection<T> {
    pub(super) fn take_data(
        &mut self,
        frame: Frame<'_>,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        let number = frame.stream;
        if self.is_idle(number) {
            return Err(ConnectionError::protocol("DATA for an unknown stream"));
        }
        let flow = frame.payload.len() as u32;
        let window = self.limits.window.max(WINDOW);
        self.received += flow;
        if self.received > window {
            let text = "more DATA than the connection's window allows";
            return Err(ConnectionError::new(ErrorCode::FLOW_CONTROL, text));
        }
        if self.received >= window / 2 {
            frame::write_u32(&mut self.outbox, frame::WINDOW_UPDATE, 0, self.received);
            self.received = 0;
        }
        let bytes = unpadded(&frame)?;
        let ends = frame.has(frame::END_STREAM);
        if bytes.is_empty() && !ends {
            self.is_futile()?;
        } else {
            self.futile = 0;
        }
        let Some(stream) = self.streams.get_mut(&number) else {
            // More data of a stream that was given up may be on their way.
            if self.role == Role::Server {
                let code = ErrorCode::STREAM_CLOSED.0;
                frame::write_u32(&mut self.outbox, frame::RST_STREAM, number, code);
            }
            return Ok(());
        };
        stream.received += flow;
        let left = stream
            .body_left
            .map(|left| left.checked_sub(bytes.len() as u64));
        let (bad, code) = if !stream.receives {
            (Some("DATA after the end"), ErrorCode::STREAM_CLOSED)
        } else if !stream.has_head {
            (Some("DATA before a head"), ErrorCode::PROTOCOL)
        } else if stream.received > self.limits.window {
            (
                Some("more DATA than the window allows"),
                ErrorCode::FLOW_CONTROL,
            )
        } else if left == Some(None) || ends && left.is_some_and(|left| left != Some(0)) {
            (
                Some("the body isn't as long as content-length says"),
                ErrorCode::PROTOCOL,
            )
        } else {
            (None, ErrorCode::NO_ERROR)
        };
        if let Some(text) = bad {
            self.refuse(number, code, Reset::Malformed(text), handler);
            return Ok(());
        }
        stream.body_left = left.flatten();
        if ends {
            stream.receives = false;
        } else if stream.received >= self.limits.window.div_ceil(2) {
            frame::write_u32(
                &mut self.outbox,
                frame::WINDOW_UPDATE,
                number,
                stream.received,
            );
            stream.received = 0;
        }
        let wire_bytes = HEAD_BYTES + frame.payload.len();
        handler.data(number, &mut stream.user, bytes, wire_bytes, ends);
        if ends {
            self.close_ended(number);
        }
        Ok(())
    }

    pub(super) fn take_headers(
        &mut self,
        frame: Frame<'_>,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        let number = frame.stream;
        let mut block = unpadded(&frame)?;
        let mut depends_on = None;
        if frame.has(frame::WITH_PRIORITY) {
            let Some((priority, rest)) = block.split_first_chunk::<5>() else {
                let text = "HEADERS of a wrong size";
                return Err(ConnectionError::new(ErrorCode::FRAME_SIZE, text));
            };
            depends_on = Some(dependency(*priority));
            block = rest;
        }
        match self.role {
            Role::Client if self.is_idle(number) => {
                let text = "a head for an unknown stream";
                return Err(ConnectionError::protocol(text));
            }
            Role::Server if number.is_multiple_of(2) => {
                let text = "a request on a stream that isn't a client's";
                return Err(ConnectionError::protocol(text));
            }
            Role::Server if number > self.next => {
                self.next = number;
                let has_room = self.streams.len() < self.limits.streams_max as usize;
                match handler
                    .begin(number)
                    .filter(|_| has_room && !self.goes_away)
                {
                    Some(user) => {
                        let stream = Stream::new(user, self.peer.window);
                        self.streams.insert(number, stream);
                    }
                    None => {
                        let code = ErrorCode::REFUSED_STREAM.0;
                        frame::write_u32(&mut self.outbox, frame::RST_STREAM, number, code);
                    }
                }
            }
            Role::Server if !self.streams.contains_key(&number) => {
                let text = "a head for a stream that is closed";
                return Err(ConnectionError::new(ErrorCode::STREAM_CLOSED, text));
            }
            _ => {}
        }
        if depends_on == Some(number) {
            let why = Reset::Malformed("a stream that depends on itself");
            self.refuse(number, ErrorCode::PROTOCOL, why, handler);
        }
        let ends = frame.has(frame::END_STREAM);
        let wire_bytes = HEAD_BYTES + frame.payload.len();
        if frame.has(frame::END_HEADERS) {
            return self.take_block(number, ends, block, wire_bytes, handler);
        }
        self.block = Some(Block {
            stream: number,
            ends,
            bytes: block.to_vec(),
            wire_bytes,
        });
        Ok(())
    }

    pub(super) fn take_continuation(
        &mut self,
        frame: Frame<'_>,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        self.is_futile()?;
        let Some(mut block) = self.block.take() else {
            return Err(ConnectionError::protocol("a CONTINUATION without a head"));
        };
        block.bytes.extend_from_slice(frame.payload);
        block.wire_bytes += HEAD_BYTES + frame.payload.len();
        if block.bytes.len() > self.limits.head_bytes_max {
            let text = "a head that is longer than accepted";
            return Err(ConnectionError::new(ErrorCode::ENHANCE_YOUR_CALM, text));
        }
        if frame.has(frame::END_HEADERS) {
            let Block {
                stream,
                ends,
                bytes,
                wire_bytes,
            } = block;
            return self.take_block(stream, ends, &bytes, wire_bytes, handler);
        }
        self.block = Some(block);
        Ok(())
    }

    /// Handles a complete head. It is always decoded, because the table depends on it.
    fn take_block(
        &mut self,
        number: u32,
        ends: bool,
        block: &[u8],
        wire_bytes: usize,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        let mut found = self.streams.get_mut(&number);
        let wants_text = match &found {
            Some(stream) => handler.wants_text(&stream.user),
            None => false,
        };
        let (role, head) = (self.role, &mut self.head);
        let bytes_max = self.limits.head_bytes_max;
        head.begin();
        self.decoder
            .decode(block, |field| head.take(field, role, bytes_max, wants_text))
            .map_err(|_| {
                ConnectionError::new(ErrorCode::COMPRESSION, "a head that can't be decompressed")
            })?;
        let Some(stream) = &mut found else {
            return self.is_futile();
        };
        if !stream.receives {
            let why = Reset::Malformed("a head after the end");
            self.refuse(number, ErrorCode::STREAM_CLOSED, why, handler);
            return Ok(());
        }
        let mut kind = head.end(role, stream.has_head, ends);
        if kind == Ok(HeadKind::Final) {
            stream.has_head = true;
            let has_body = !stream.is_head && has_body(head.status);
            stream.body_left = head.body_bytes.filter(|_| has_body);
        }
        if ends && kind.is_ok() && stream.body_left.is_some_and(|left| left > 0) {
            let text = "the body isn't as long as content-length says";
            kind = Err(BadHead::Malformed(text));
        }
        let kind = match kind {
            Ok(kind) => kind,
            Err(BadHead::Malformed(text)) => {
                self.refuse(number, ErrorCode::PROTOCOL, Reset::Malformed(text), handler);
                return Ok(());
            }
            Err(BadHead::TooLong) => {
                self.refuse(number, ErrorCode::CANCEL, Reset::HeadTooLong, handler);
                return Ok(());
            }
        };
        if kind == HeadKind::Interim {
            self.futile += 1;
        } else {
            self.futile = 0;
        }
        if self.futile > FUTILE_MAX {
            return self.is_futile();
        }
        if ends {
            stream.receives = false;
        }
        let head = Head {
            kind,
            status: head.status,
            is_head: head.is_head,
            path: &head.path,
            text: if wants_text { &head.text } else { b"" },
            wire_bytes,
        };
        handler.head(number, &mut stream.user, &head, ends);
        if ends {
            self.close_ended(number);
        }
        Ok(())
    }
}

/// Whether a response with this status can have a body; 0 means a request.
fn has_body(status: u16) -> bool {
    !matches!(status, 204 | 304)
}

#[inline]
fn unpadded<'a>(frame: &Frame<'a>) -> Result<&'a [u8], ConnectionError> {
    if frame.stream == 0 {
        return Err(ConnectionError::protocol(
            "a frame of a message on stream 0",
        ));
    }
    if !frame.has(frame::PADDED) {
        return Ok(frame.payload);
    }
    let (&padding, rest) = frame.payload.split_first().ok_or_else(|| {
        ConnectionError::new(
            ErrorCode::FRAME_SIZE,
            "a frame that is shorter than its padding",
        )
    })?;
    let length = rest.len().checked_sub(usize::from(padding));
    length
        .map(|length| &rest[..length])
        .ok_or_else(|| ConnectionError::protocol("a frame that is shorter than its padding"))
}
