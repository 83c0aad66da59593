//! One connection after its handshake, from either side.

use crate::deflate::{Deflate, Packer};
use crate::error::{CloseCode, ConnectionError};
use crate::frame::{
    self, BINARY, CLOSE, CONTINUATION, CONTROL_BYTES_MAX, Head, Kind, PING, PONG, TEXT,
};
use crate::role::Role;
use crate::text::Text;

/// With this many bytes waiting, only the last ping is answered (RFC 6455, 5.5.3).
const UNSENT_BYTES_MAX: usize = 64 << 10;

/// The limits of one side.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest message; a longer one ends the connection. Messages aren't held in
    /// memory here.
    pub message_bytes_max: u64,
}

/// Receives the events of a connection.
pub trait Handler {
    /// A message begins.
    fn begin(&mut self, kind: Kind);

    /// A piece of it was received; `wire_bytes` includes the heads of frames. Of a
    /// compressed message, either of them is 0 and empty.
    fn data(&mut self, bytes: &[u8], wire_bytes: usize);

    /// It ends.
    fn end(&mut self);

    /// A pong was received.
    fn pong(&mut self, payload: &[u8], wire_bytes: usize);

    /// The peer closes the connection, with its code if there is one. Nothing follows.
    fn close(&mut self, code: Option<CloseCode>, reason: &str);
}

/// The state of a connection, and the bytes to send on it.
#[derive(Debug)]
pub struct Connection {
    role: Role,
    limits: Limits,
    outbox: Vec<u8>,
    /// A ping that is answered when there is room.
    late_pong: Option<Vec<u8>>,
    /// The beginning of an incomplete frame head.
    partial: Vec<u8>,
    frame: Option<Frame>,
    /// The payload of a control frame.
    control: Vec<u8>,
    message: Option<Message>,
    text: Text,
    /// Compresses messages, if both sides agreed on that.
    packer: Option<Box<Packer>>,
    unpacked_bytes: u64,
    masks: u64,
    is_closed: bool,
    said_close: bool,
}

/// An incomplete message.
#[derive(Clone, Copy, Debug)]
struct Message {
    kind: Kind,
    is_compressed: bool,
    /// Its bytes so far, decompressed.
    bytes: u64,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    head: Head,
    head_bytes: usize,
    taken: u64,
}

impl Connection {
    /// A connection after its handshake. The seed generates masks.
    pub fn new(role: Role, limits: Limits, seed: u64) -> Self {
        Self {
            role,
            limits,
            outbox: Vec::new(),
            late_pong: None,
            partial: Vec::new(),
            frame: None,
            control: Vec::new(),
            message: None,
            text: Text::default(),
            packer: None,
            unpacked_bytes: 0,
            masks: seed,
            is_closed: false,
            said_close: false,
        }
    }

    /// Compresses the messages that follow, as both sides agreed.
    pub fn deflate(&mut self, agreed: &Deflate) {
        self.packer = Some(Box::new(Packer::new(self.role, agreed)));
    }

    /// Whether messages are compressed.
    pub fn deflates(&self) -> bool {
        self.packer.is_some()
    }

    /// The bytes that were decompressed so far, which may be a thousand times those that
    /// were received.
    pub fn unpacked_bytes(&self) -> u64 {
        self.unpacked_bytes
    }

    /// The bytes to send.
    pub fn outbox(&self) -> &[u8] {
        &self.outbox
    }

    /// Notes that this many bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        if bytes < self.outbox.len() {
            self.outbox.drain(..bytes);
            return;
        }
        self.outbox.clear();
        if let Some(payload) = self.late_pong.take() {
            self.write(PONG, false, &payload);
        }
    }

    /// Whether no more messages follow, from either side.
    pub fn is_closed(&self) -> bool {
        self.is_closed || self.said_close
    }

    /// Sends a message. A text must be UTF-8.
    pub fn send(&mut self, kind: Kind, payload: &[u8]) {
        let opcode = match kind {
            Kind::Text => TEXT,
            Kind::Binary => BINARY,
        };
        let Some(mut packer) = self.packer.take() else {
            return self.write(opcode, false, payload);
        };
        if !self.said_close {
            self.write(opcode, true, packer.pack(payload));
        }
        self.packer = Some(packer);
    }

    /// Sends a ping, with [`CONTROL_BYTES_MAX`] bytes at most.
    pub fn ping(&mut self, payload: &[u8]) {
        self.write(
            PING,
            false,
            &payload[..payload.len().min(CONTROL_BYTES_MAX)],
        );
    }

    /// Sends a close frame with code and reason, unless one was sent before.
    pub fn close(&mut self, code: CloseCode, reason: &str) {
        let reason = &reason.as_bytes()[..reason.len().min(CONTROL_BYTES_MAX - 2)];
        let payload = [&code.0.to_be_bytes()[..], reason].concat();
        self.say_close(&payload);
    }

    /// Takes received bytes, and removes their masks. After an error, the connection
    /// can't be used any more; the outbox has the last frame.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        handler: &mut impl Handler,
    ) -> Result<(), ConnectionError> {
        let result = self.take(bytes, handler);
        if let Err(error) = result {
            self.close(error.code, error.text);
        }
        result
    }

    fn take(
        &mut self,
        mut bytes: &mut [u8],
        handler: &mut impl Handler,
    ) -> Result<(), ConnectionError> {
        while !self.is_closed {
            let Some(frame) = &mut self.frame else {
                if bytes.is_empty() {
                    break;
                }
                let Some(used) = self.take_head(bytes)? else {
                    break;
                };
                bytes = &mut bytes[used..];
                self.begin_frame(handler)?;
                continue;
            };
            let left = frame.head.length - frame.taken;
            if left > 0 && bytes.is_empty() {
                break;
            }
            let count = left.min(bytes.len() as u64) as usize;
            let (piece, rest) = bytes.split_at_mut(count);
            bytes = rest;
            if let Some(mask) = frame.head.mask {
                frame::mask(piece, mask, frame.taken);
            }
            frame.taken += count as u64;
            let frame = *frame;
            let ends = frame.taken == frame.head.length;
            if frame.head.opcode >= CLOSE {
                self.control.extend_from_slice(piece);
                if ends {
                    self.frame = None;
                    self.take_control(frame, handler)?;
                }
                continue;
            }
            if count > 0 {
                self.take_data(piece, handler)?;
            }
            if ends {
                self.frame = None;
                if frame.head.is_last {
                    self.end_message(handler)?;
                }
            }
        }
        Ok(())
    }

    /// Takes a piece of a message.
    fn take_data(
        &mut self,
        piece: &[u8],
        handler: &mut impl Handler,
    ) -> Result<(), ConnectionError> {
        let Some(message) = self.message else {
            return Ok(());
        };
        if message.is_compressed {
            handler.data(&[], piece.len());
            return self.unpack(Some(piece), handler);
        }
        if message.kind == Kind::Text && !self.text.feed(piece) {
            return Err(not_text());
        }
        handler.data(piece, piece.len());
        Ok(())
    }

    /// Decompresses a piece of a message, or its end.
    fn unpack(
        &mut self,
        piece: Option<&[u8]>,
        handler: &mut impl Handler,
    ) -> Result<(), ConnectionError> {
        let (Some(packer), Some(message)) = (&mut self.packer, &mut self.message) else {
            return Ok(());
        };
        let take = |bytes: &[u8]| {
            self.unpacked_bytes += bytes.len() as u64;
            message.bytes += bytes.len() as u64;
            if message.bytes > self.limits.message_bytes_max {
                return Err(too_long());
            }
            if message.kind == Kind::Text && !self.text.feed(bytes) {
                return Err(not_text());
            }
            handler.data(bytes, 0);
            Ok(())
        };
        match piece {
            Some(piece) => packer.unpack(piece, take),
            None => packer.unpack_end(take),
        }
    }

    fn end_message(&mut self, handler: &mut impl Handler) -> Result<(), ConnectionError> {
        if self.message.is_some_and(|message| message.is_compressed) {
            self.unpack(None, handler)?;
        }
        self.message = None;
        if !std::mem::take(&mut self.text).is_whole() {
            return Err(not_text());
        }
        handler.end();
        Ok(())
    }

    /// Reads the head of a frame. Returns the number of its bytes, if it is complete.
    fn take_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, ConnectionError> {
        let before = self.partial.len();
        let deflates = self.deflates();
        let read = match before {
            0 => Head::read(bytes, self.role, deflates)?,
            _ => {
                let more = &bytes[..bytes.len().min(14)];
                self.partial.extend_from_slice(more);
                Head::read(&self.partial, self.role, deflates)?
            }
        };
        let Some((head, head_bytes)) = read else {
            if before == 0 {
                self.partial.extend_from_slice(bytes);
            }
            return Ok(None);
        };
        self.partial.clear();
        self.frame = Some(Frame {
            head,
            head_bytes,
            taken: 0,
        });
        Ok(Some(head_bytes - before))
    }

    /// Checks a frame by its head.
    fn begin_frame(&mut self, handler: &mut impl Handler) -> Result<(), ConnectionError> {
        let Some(Frame {
            head, head_bytes, ..
        }) = self.frame
        else {
            return Ok(());
        };
        let bad = |text| ConnectionError {
            code: CloseCode::PROTOCOL,
            text,
        };
        let new = |kind| Message {
            kind,
            is_compressed: head.is_compressed,
            bytes: 0,
        };
        let mut message = match (head.opcode, self.message) {
            (CLOSE.., _) => {
                self.control.clear();
                return Ok(());
            }
            (CONTINUATION, None) => return Err(bad("a frame continues no message")),
            (CONTINUATION, Some(message)) => message,
            (_, Some(_)) => return Err(bad("a message begins within another")),
            (TEXT, None) => new(Kind::Text),
            (_, None) => new(Kind::Binary),
        };
        // The length of a compressed message shows when it is decompressed.
        if !message.is_compressed {
            message.bytes = message.bytes.saturating_add(head.length);
        }
        if message.bytes > self.limits.message_bytes_max {
            return Err(too_long());
        }
        if self.message.is_none() {
            handler.begin(message.kind);
        }
        self.message = Some(message);
        handler.data(&[], head_bytes);
        Ok(())
    }

    fn take_control(
        &mut self,
        frame: Frame,
        handler: &mut impl Handler,
    ) -> Result<(), ConnectionError> {
        let payload = std::mem::take(&mut self.control);
        match frame.head.opcode {
            PING if self.said_close => {}
            PING if self.outbox.len() > UNSENT_BYTES_MAX => self.late_pong = Some(payload),
            PING => {
                self.write(PONG, false, &payload);
                self.control = payload;
            }
            PONG => {
                handler.pong(&payload, frame.head_bytes + payload.len());
                self.control = payload;
            }
            _ => self.take_close(&payload, handler)?,
        }
        Ok(())
    }

    fn take_close(
        &mut self,
        payload: &[u8],
        handler: &mut impl Handler,
    ) -> Result<(), ConnectionError> {
        self.is_closed = true;
        let bad = |text| ConnectionError {
            code: CloseCode::PROTOCOL,
            text,
        };
        let (code, reason) = match payload.split_first_chunk() {
            None if payload.is_empty() => (None, ""),
            None => return Err(bad("a close frame has half a code")),
            Some((&code, reason)) => {
                let code = CloseCode(u16::from_be_bytes(code));
                if !code.may_be_sent() {
                    return Err(bad("a close frame has an invalid code"));
                }
                let reason = std::str::from_utf8(reason).map_err(|_| not_text())?;
                (Some(code), reason)
            }
        };
        // The answer repeats the code, but not the reason.
        self.say_close(&payload[..payload.len().min(2)]);
        handler.close(code, reason);
        Ok(())
    }

    fn say_close(&mut self, payload: &[u8]) {
        if !self.said_close {
            self.write(CLOSE, false, payload);
            self.said_close = true;
        }
    }

    fn write(&mut self, opcode: u8, is_compressed: bool, payload: &[u8]) {
        if self.said_close {
            return;
        }
        let mask = match self.role {
            Role::Client => Some(self.next_mask()),
            Role::Server => None,
        };
        let head = Head {
            is_last: true,
            is_compressed,
            opcode,
            mask,
            length: payload.len() as u64,
        };
        head.write(&mut self.outbox);
        let start = self.outbox.len();
        self.outbox.extend_from_slice(payload);
        if let Some(mask) = mask {
            frame::mask(&mut self.outbox[start..], mask, 0);
        }
    }

    /// SplitMix64. Masks must be hard to guess for intermediaries, not for the peer.
    fn next_mask(&mut self) -> [u8; 4] {
        self.masks = self.masks.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.masks;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ word >> 31) as u32).to_ne_bytes()
    }
}

fn too_long() -> ConnectionError {
    ConnectionError {
        code: CloseCode::TOO_LONG,
        text: "a message is longer than allowed",
    }
}

fn not_text() -> ConnectionError {
    ConnectionError {
        code: CloseCode::NOT_TEXT,
        text: "a text isn't UTF-8",
    }
}

#[cfg(test)]
mod tests;
