//! One connection, from either side.

use crate::frame::{self, Frame, HEAD_BYTES, PAYLOAD_BYTES_MAX, PREFACE};
use crate::head::{BadHead, HeadReader};
use crate::hpack::{Decoder, Encoder};
use crate::settings::{self, PeerSettings, WINDOW, WINDOW_MAX};
use crate::stream::{Stream, Streams};
use crate::{ConnectionError, ErrorCode, Head, HeadKind, Prepared, Reset};

/// Which side this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It sends requests.
    Client,
    /// It answers them.
    Server,
}

/// What one side allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The window of each stream, and of the connection; at least 65,535 for the latter.
    pub window: u32,
    /// A longer head is refused, compressed or not; each of its fields counts 32
    /// bytes beside its text.
    pub head_bytes_max: usize,
    /// A server takes so many requests at a time.
    pub streams_max: u32,
    /// Heads are written with a dynamic table.
    pub indexed: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            window: (1 << 30) - 1,
            head_bytes_max: 300 << 10,
            streams_max: 1 << 16,
            indexed: false,
        }
    }
}

/// Whoever is told what comes. A stream carries what belongs to it.
pub trait Handler<T> {
    /// Whether the head of that stream is wanted as text.
    fn wants_text(&mut self, user: &T) -> bool;

    /// A server: a request begins. None: its stream is refused.
    fn begin(&mut self, stream: u32) -> Option<T> {
        let _ = stream;
        None
    }

    /// A head came. `ends`: nothing follows it.
    fn head(&mut self, stream: u32, user: &mut T, head: &Head<'_>, ends: bool);

    /// A piece of the body came.
    fn data(&mut self, stream: u32, user: &mut T, bytes: &[u8], wire_bytes: usize, ends: bool);

    /// The stream ended before its end.
    fn reset(&mut self, stream: u32, user: T, why: Reset);

    /// The peer goes away; streams that it won't look at are reset after this.
    fn go_away(&mut self, code: ErrorCode, text: &[u8]) {
        let _ = (code, text);
    }
}

/// Frames without any use for a message that may come in a row.
const FUTILE_MAX: u32 = 4096;
/// Answers to the peer's frames that may wait to be sent.
const UNSENT_BYTES_MAX: usize = 4 << 20;

/// What is known of a connection, and what is to be sent on it.
#[derive(Debug)]
pub struct Connection<T> {
    role: Role,
    limits: Limits,
    decoder: Decoder,
    encoder: Encoder,
    outbox: Vec<u8>,
    /// The beginning of a frame.
    partial: Vec<u8>,
    /// Bytes of a client's preface that haven't come yet.
    preface_left: usize,
    /// The peer's first SETTINGS have come.
    settled: bool,
    /// A head that isn't whole.
    block: Option<Block>,
    head: HeadReader,
    peer: PeerSettings,
    send_window: i64,
    received: u32,
    streams: Streams<T>,
    /// A client's next stream; a server: the last one that came.
    next: u32,
    goes_away: bool,
    futile: u32,
    has_room: bool,
}

#[derive(Debug)]
struct Block {
    stream: u32,
    ends: bool,
    bytes: Vec<u8>,
    wire_bytes: usize,
}

impl<T> Connection<T> {
    /// A connection that begins; what it begins with is in the outbox.
    pub fn new(role: Role, limits: Limits) -> Self {
        let mut outbox = Vec::with_capacity(1024);
        if role == Role::Client {
            outbox.extend_from_slice(PREFACE);
        }
        let head_bytes_max = u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX);
        settings::write(&mut outbox, role, limits.window, head_bytes_max, limits.streams_max);
        if limits.window > WINDOW {
            frame::write_u32(&mut outbox, frame::WINDOW_UPDATE, 0, limits.window - WINDOW);
        }
        Self {
            role,
            limits,
            decoder: Decoder::default(),
            encoder: Encoder::default(),
            outbox,
            partial: Vec::new(),
            preface_left: if role == Role::Server { PREFACE.len() } else { 0 },
            settled: false,
            block: None,
            head: HeadReader::default(),
            peer: PeerSettings::default(),
            send_window: i64::from(WINDOW),
            received: 0,
            streams: Streams::default(),
            next: if role == Role::Client { 1 } else { 0 },
            goes_away: false,
            futile: 0,
            has_room: false,
        }
    }

    /// What is to be sent.
    pub fn outbox(&self) -> &[u8] {
        &self.outbox
    }

    /// So much of it was sent.
    pub fn sent(&mut self, bytes: usize) {
        if bytes == self.outbox.len() {
            self.outbox.clear();
        } else {
            self.outbox.drain(..bytes);
        }
    }

    /// Streams that haven't ended.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Takes all streams, of a connection that is closed.
    pub fn take_streams(&mut self) -> Vec<T> {
        self.streams.drain().map(|(_, stream)| stream.user).collect()
    }

    /// What belongs to a stream.
    pub fn user(&mut self, stream: u32) -> Option<&mut T> {
        self.streams.get_mut(&stream).map(|stream| &mut stream.user)
    }

    /// The peer won't take further streams, or their numbers are used up.
    pub fn goes_away(&self) -> bool {
        self.goes_away || self.next > (1 << 31) - 3
    }

    /// Whether the peer takes another stream now.
    #[inline]
    pub fn can_open(&self) -> bool {
        self.streams.len() < self.peer.streams_max as usize && !self.goes_away()
    }

    /// Whether more may be sent than before. It is asked once.
    pub fn take_room(&mut self) -> bool {
        std::mem::take(&mut self.has_room)
    }

    /// A client's request: its head goes out, its body by [`Connection::data`].
    #[inline]
    pub fn open(&mut self, request: &Prepared<'_>, https: bool, user: T) -> u32 {
        let number = self.next;
        self.next += 2;
        self.futile = 0;
        if self.limits.indexed {
            request.write_indexed(number, https, &mut self.encoder, &mut self.outbox);
        } else {
            request.write(number, https, &mut self.outbox);
        }
        let mut stream = Stream::new(user, self.peer.window);
        stream.sends = !request.ends();
        self.streams.insert(number, stream);
        number
    }

    /// A server's answer: its head.
    pub fn respond(&mut self, number: u32, block: &[u8], ends: bool) {
        if let Some(stream) = self.streams.get_mut(&number) {
            frame::write_block(&mut self.outbox, number, block, ends);
            stream.sends = !ends;
            if ends && !stream.receives {
                self.streams.remove(&number);
            }
        }
    }

    /// Sends what the windows allow of a body, `ends`: and its end. How much.
    pub fn data(&mut self, number: u32, bytes: &[u8], ends: bool) -> usize {
        let Some(stream) = self.streams.get_mut(&number) else {
            return 0;
        };
        let window = stream.send_window.min(self.send_window).max(0);
        let taken = bytes.len().min(usize::try_from(window).unwrap_or(0));
        let all = ends && taken == bytes.len();
        let mut rest = &bytes[..taken];
        while !rest.is_empty() || all && stream.sends {
            let (piece, after) = rest.split_at(rest.len().min(PAYLOAD_BYTES_MAX));
            rest = after;
            let is_last = all && rest.is_empty();
            let flags = if is_last { frame::END_STREAM } else { 0 };
            frame::write_head(&mut self.outbox, piece.len(), frame::DATA, flags, number);
            self.outbox.extend_from_slice(piece);
            stream.sends = !is_last;
        }
        stream.send_window -= taken as i64;
        self.send_window -= taken as i64;
        self.futile = 0;
        if !stream.sends && !stream.receives {
            self.streams.remove(&number);
        }
        taken
    }

    /// Closes a stream.
    pub fn reset(&mut self, number: u32, code: ErrorCode) -> Option<T> {
        let stream = self.streams.remove(&number)?;
        frame::write_u32(&mut self.outbox, frame::RST_STREAM, number, code.0);
        Some(stream.user)
    }

    /// Tells the peer that the connection ends, and why.
    pub fn end(&mut self, code: ErrorCode, text: &str) {
        let last = if self.role == Role::Server { self.next } else { 0 };
        frame::write_go_away(&mut self.outbox, last, code, text);
        self.goes_away = true;
    }

    /// Takes what came. After an error the connection is of no use: what is to be
    /// said of it is in the outbox.
    pub fn receive(
        &mut self,
        bytes: &[u8],
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        let result = self.take(bytes, handler);
        if let Err(error) = result {
            self.end(error.code, error.text);
        }
        result
    }

    fn take(
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
        while !self.partial.is_empty() && !bytes.is_empty() {
            // As much as makes the frame whole, and no more.
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
                        "a PUSH_PROMISE, which nobody asked for",
                    )),
                    frame::PING => self.take_ping(frame),
                    frame::GOAWAY => self.take_go_away(frame, handler),
                    frame::WINDOW_UPDATE => self.take_window_update(frame, handler),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Frames that move no message on, without end, are a flood.
    fn is_futile(&mut self) -> Result<(), ConnectionError> {
        self.futile += 1;
        if self.futile > FUTILE_MAX || self.outbox.len() > UNSENT_BYTES_MAX {
            let text = "a flood of frames that move no message on";
            return Err(ConnectionError::new(ErrorCode::ENHANCE_YOUR_CALM, text));
        }
        Ok(())
    }

    /// Whether no stream of that number was there yet.
    fn is_idle(&self, stream: u32) -> bool {
        match self.role {
            Role::Client => stream.is_multiple_of(2) || stream >= self.next,
            Role::Server => stream.is_multiple_of(2) || stream > self.next,
        }
    }

    fn take_data(
        &mut self,
        frame: Frame<'_>,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        let number = frame.stream;
        if self.is_idle(number) {
            return Err(ConnectionError::protocol("DATA for a stream that isn't there"));
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
            // Of a stream that was given up more may be on its way.
            if self.role == Role::Server {
                let code = ErrorCode::STREAM_CLOSED.0;
                frame::write_u32(&mut self.outbox, frame::RST_STREAM, number, code);
            }
            return Ok(());
        };
        stream.received += flow;
        let left = stream.body_left.map(|left| left.checked_sub(bytes.len() as u64));
        let (bad, code) = if !stream.receives {
            (Some("DATA after the end"), ErrorCode::STREAM_CLOSED)
        } else if !stream.has_head {
            (Some("DATA before a head"), ErrorCode::PROTOCOL)
        } else if stream.received > self.limits.window {
            (Some("more DATA than the window allows"), ErrorCode::FLOW_CONTROL)
        } else if left == Some(None) || ends && left.is_some_and(|left| left != Some(0)) {
            (Some("the body isn't as long as content-length says"), ErrorCode::PROTOCOL)
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
            frame::write_u32(&mut self.outbox, frame::WINDOW_UPDATE, number, stream.received);
            stream.received = 0;
        }
        let wire_bytes = HEAD_BYTES + frame.payload.len();
        handler.data(number, &mut stream.user, bytes, wire_bytes, ends);
        if ends {
            self.close_ended(number);
        }
        Ok(())
    }

    fn take_headers(
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
                let text = "a head for a stream that isn't there";
                return Err(ConnectionError::protocol(text));
            }
            Role::Server if number.is_multiple_of(2) => {
                let text = "a request on a stream that isn't a client's";
                return Err(ConnectionError::protocol(text));
            }
            Role::Server if number > self.next => {
                self.next = number;
                let has_room = self.streams.len() < self.limits.streams_max as usize;
                match handler.begin(number).filter(|_| has_room && !self.goes_away) {
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

    fn take_continuation(
        &mut self,
        frame: Frame<'_>,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        self.is_futile()?;
        let Some(mut block) = self.block.take() else {
            return Err(ConnectionError::protocol("a CONTINUATION of nothing"));
        };
        block.bytes.extend_from_slice(frame.payload);
        block.wire_bytes += HEAD_BYTES + frame.payload.len();
        if block.bytes.len() > self.limits.head_bytes_max {
            let text = "a head that is longer than accepted";
            return Err(ConnectionError::new(ErrorCode::ENHANCE_YOUR_CALM, text));
        }
        if frame.has(frame::END_HEADERS) {
            let Block { stream, ends, bytes, wire_bytes } = block;
            return self.take_block(stream, ends, &bytes, wire_bytes, handler);
        }
        self.block = Some(block);
        Ok(())
    }

    /// A whole head. It is read whosoever it is: the table goes on with it.
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
            stream.body_left = head.body_bytes.filter(|_| has_body(head.status));
        }
        // What a response to HEAD says of its body isn't about this message.
        let left = stream.body_left.is_some_and(|left| left > 0);
        if ends && left && (role == Role::Server || kind == Ok(HeadKind::Trailers)) {
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

    /// The peer's end has come.
    fn close_ended(&mut self, number: u32) {
        let Some(stream) = self.streams.get(&number) else {
            return;
        };
        if !stream.sends {
            self.streams.remove(&number);
        } else if self.role == Role::Client {
            // Answered before it was whole: nobody reads the rest.
            self.reset(number, ErrorCode::CANCEL);
        }
    }

    fn refuse(
        &mut self,
        number: u32,
        code: ErrorCode,
        why: Reset,
        handler: &mut impl Handler<T>,
    ) {
        if let Some(user) = self.reset(number, code) {
            handler.reset(number, user, why);
        } else {
            frame::write_u32(&mut self.outbox, frame::RST_STREAM, number, code.0);
        }
    }

    fn take_priority(
        &mut self,
        frame: Frame<'_>,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        if frame.stream == 0 {
            return Err(ConnectionError::protocol("PRIORITY for the connection"));
        }
        let why = Reset::Malformed("a wrong PRIORITY");
        match <[u8; 5]>::try_from(frame.payload) {
            Err(_) => self.refuse(frame.stream, ErrorCode::FRAME_SIZE, why, handler),
            Ok(priority) if dependency(priority) == frame.stream => {
                self.refuse(frame.stream, ErrorCode::PROTOCOL, why, handler);
            }
            Ok(_) => {}
        }
        Ok(())
    }

    fn take_reset(
        &mut self,
        frame: Frame<'_>,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        let code = word(&frame)?;
        if self.is_idle(frame.stream) {
            return Err(ConnectionError::protocol("RST_STREAM for a stream that isn't there"));
        }
        if let Some(stream) = self.streams.remove(&frame.stream) {
            if self.role == Role::Client {
                self.futile = 0;
            }
            handler.reset(frame.stream, stream.user, Reset::Peer(ErrorCode(code)));
        }
        Ok(())
    }

    fn take_settings(&mut self, frame: Frame<'_>) -> Result<(), ConnectionError> {
        if frame.stream != 0 {
            return Err(ConnectionError::protocol("SETTINGS for a stream"));
        }
        if frame.has(frame::ACK) {
            return match frame.payload {
                [] => Ok(()),
                _ => {
                    let text = "an answer to SETTINGS that says something";
                    Err(ConnectionError::new(ErrorCode::FRAME_SIZE, text))
                }
            };
        }
        let before = self.peer.window;
        if !self.settled {
            // Unless it says so, there is no limit.
            self.peer.streams_max = u32::MAX;
        }
        self.peer.take(frame.payload, self.role)?;
        self.settled = true;
        self.encoder.resize(self.peer.table_bytes_max);
        let more = i64::from(self.peer.window) - i64::from(before);
        if more != 0 {
            for stream in self.streams.values_mut() {
                stream.send_window += more;
                if stream.send_window > WINDOW_MAX {
                    return Err(too_wide());
                }
            }
        }
        self.has_room = true;
        frame::write_head(&mut self.outbox, 0, frame::SETTINGS, frame::ACK, 0);
        Ok(())
    }

    fn take_ping(&mut self, frame: Frame<'_>) -> Result<(), ConnectionError> {
        if frame.stream != 0 {
            return Err(ConnectionError::protocol("PING for a stream"));
        }
        if frame.payload.len() != 8 {
            let text = "a PING of a wrong size";
            return Err(ConnectionError::new(ErrorCode::FRAME_SIZE, text));
        }
        if !frame.has(frame::ACK) {
            frame::write_head(&mut self.outbox, 8, frame::PING, frame::ACK, 0);
            self.outbox.extend_from_slice(frame.payload);
        }
        Ok(())
    }

    fn take_go_away(
        &mut self,
        frame: Frame<'_>,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        if frame.stream != 0 {
            return Err(ConnectionError::protocol("GOAWAY for a stream"));
        }
        let Some(([a, b, c, d, code @ ..], text)) = frame.payload.split_first_chunk::<8>() else {
            let text = "a GOAWAY of a wrong size";
            return Err(ConnectionError::new(ErrorCode::FRAME_SIZE, text));
        };
        let last = u32::from_be_bytes([*a, *b, *c, *d]) & 0x7fff_ffff;
        let code = ErrorCode(u32::from_be_bytes(*code));
        self.goes_away = true;
        handler.go_away(code, text);
        if self.role == Role::Client {
            let unseen = self.streams.extract_if(|&number, _| number > last);
            for (number, stream) in unseen {
                handler.reset(number, stream.user, Reset::NotProcessed(code));
            }
        }
        Ok(())
    }

    fn take_window_update(
        &mut self,
        frame: Frame<'_>,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        let more = i64::from(word(&frame)? & 0x7fff_ffff);
        if frame.stream == 0 {
            self.send_window += more;
            if more == 0 {
                return Err(ConnectionError::protocol("a WINDOW_UPDATE of nothing"));
            }
            if self.send_window > WINDOW_MAX {
                return Err(too_wide());
            }
        } else if self.is_idle(frame.stream) {
            let text = "WINDOW_UPDATE for a stream that isn't there";
            return Err(ConnectionError::protocol(text));
        } else if let Some(stream) = self.streams.get_mut(&frame.stream) {
            stream.send_window += more;
            let is_wide = stream.send_window > WINDOW_MAX;
            if more == 0 {
                let why = Reset::Malformed("a WINDOW_UPDATE of nothing");
                self.refuse(frame.stream, ErrorCode::PROTOCOL, why, handler);
            } else if is_wide {
                let why = Reset::Malformed("a window larger than there may be");
                self.refuse(frame.stream, ErrorCode::FLOW_CONTROL, why, handler);
            }
        }
        self.has_room = true;
        Ok(())
    }
}

fn too_wide() -> ConnectionError {
    ConnectionError::new(ErrorCode::FLOW_CONTROL, "a window larger than there may be")
}

/// Whether a response with that status has a body, if it says so; 0 is a request.
fn has_body(status: u16) -> bool {
    !matches!(status, 204 | 304)
}

/// A frame that is longer than we take is refused before it has come.
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

#[inline]
fn unpadded<'a>(frame: &Frame<'a>) -> Result<&'a [u8], ConnectionError> {
    if frame.stream == 0 {
        return Err(ConnectionError::protocol("a message's frame for the connection"));
    }
    if !frame.has(frame::PADDED) {
        return Ok(frame.payload);
    }
    let (&padding, rest) = frame.payload.split_first().ok_or_else(|| {
        ConnectionError::new(ErrorCode::FRAME_SIZE, "a frame that is shorter than its padding")
    })?;
    let length = rest.len().checked_sub(usize::from(padding));
    length
        .map(|length| &rest[..length])
        .ok_or_else(|| ConnectionError::protocol("a frame that is shorter than its padding"))
}

fn dependency([a, b, c, d, _]: [u8; 5]) -> u32 {
    u32::from_be_bytes([a, b, c, d]) & 0x7fff_ffff
}

fn word(frame: &Frame<'_>) -> Result<u32, ConnectionError> {
    let text = "a frame of a wrong size";
    let bytes = <[u8; 4]>::try_from(frame.payload);
    let value = bytes.map_err(|_| ConnectionError::new(ErrorCode::FRAME_SIZE, text))?;
    Ok(u32::from_be_bytes(value))
}
