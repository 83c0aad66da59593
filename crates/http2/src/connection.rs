//! One connection, from either side: its state, and the bytes to send.
//!
//! - frames: parses frames from bytes
//! - messages: handles received heads and bodies
//! - control: handles all other received frames

mod control;
mod frames;
mod messages;

use crate::frame::{self, PAYLOAD_BYTES_MAX, PREFACE};
use crate::head::HeadReader;
use crate::hpack::{Decoder, Encoder};
use crate::settings::{self, PeerSettings, WINDOW};
use crate::stream::{Stream, Streams};
use crate::{ConnectionError, ErrorCode, Head, Prepared, Reset, Role};

/// The limits of one side.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The window of each stream, and of the connection, which has at least 65,535.
    pub window: u32,
    /// The longest head, compressed or not. Each field counts 32 bytes in addition to its
    /// text.
    pub head_bytes_max: usize,
    /// The most requests of a server at a time.
    pub streams_max: u32,
    /// Whether heads are written with a dynamic table.
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

/// Receives the events of a connection. Each stream has a user value.
pub trait Handler<T> {
    /// Whether the head of this stream is wanted as text.
    fn wants_text(&mut self, user: &T) -> bool;

    /// A request begins, on a server. `None` refuses its stream.
    fn begin(&mut self, stream: u32) -> Option<T> {
        let _ = stream;
        None
    }

    /// A head was received. `ends` means that nothing follows it.
    fn head(&mut self, stream: u32, user: &mut T, head: &Head<'_>, ends: bool);

    /// A piece of the body was received.
    fn data(&mut self, stream: u32, user: &mut T, bytes: &[u8], wire_bytes: usize, ends: bool);

    /// The stream was reset before its end.
    fn reset(&mut self, stream: u32, user: T, why: Reset);

    /// The peer goes away. Streams that it won't process are reset after this.
    fn go_away(&mut self, code: ErrorCode, text: &[u8]) {
        let _ = (code, text);
    }
}

/// The most frames in a row that don't advance a message.
const FUTILE_MAX: u32 = 4096;
/// The most bytes of waiting answers to the peer's frames.
const UNSENT_BYTES_MAX: usize = 4 << 20;

/// The state of a connection, and the bytes to send on it.
#[derive(Debug)]
pub struct Connection<T> {
    role: Role,
    limits: Limits,
    decoder: Decoder,
    encoder: Encoder,
    outbox: Vec<u8>,
    /// The beginning of an incomplete frame.
    partial: Vec<u8>,
    /// The number of the client preface's bytes that are missing.
    preface_left: usize,
    /// Whether the peer's first SETTINGS have arrived.
    settled: bool,
    /// An incomplete head.
    block: Option<Block>,
    head: HeadReader,
    peer: PeerSettings,
    send_window: i64,
    received: u32,
    streams: Streams<T>,
    /// A client's next stream, or the last stream that a server has seen.
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
    /// A new connection, with its first bytes in the outbox.
    pub fn new(role: Role, limits: Limits) -> Self {
        let mut outbox = Vec::with_capacity(1024);
        if role == Role::Client {
            outbox.extend_from_slice(PREFACE);
        }
        let head_bytes_max = u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX);
        settings::write(
            &mut outbox,
            role,
            limits.window,
            head_bytes_max,
            limits.streams_max,
        );
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
            preface_left: if role == Role::Server {
                PREFACE.len()
            } else {
                0
            },
            settled: false,
            block: None,
            head: HeadReader::new("HTTP/2"),
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

    /// The bytes to send.
    pub fn outbox(&self) -> &[u8] {
        &self.outbox
    }

    /// Notes that this many bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        if bytes == self.outbox.len() {
            self.outbox.clear();
        } else {
            self.outbox.drain(..bytes);
        }
    }

    /// The number of streams that haven't ended.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Takes all streams of a closed connection.
    pub fn take_streams(&mut self) -> Vec<T> {
        self.streams
            .drain()
            .map(|(_, stream)| stream.user)
            .collect()
    }

    /// The user value of a stream.
    pub fn user(&mut self, stream: u32) -> Option<&mut T> {
        self.streams.get_mut(&stream).map(|stream| &mut stream.user)
    }

    /// Whether the peer takes no more streams, or the stream numbers are used up.
    pub fn goes_away(&self) -> bool {
        self.goes_away || self.next > (1 << 31) - 3
    }

    /// Whether the peer takes another stream now.
    #[inline]
    pub fn can_open(&self) -> bool {
        self.streams.len() < self.peer.streams_max as usize && !self.goes_away()
    }

    /// Whether more may be sent than before; reading it resets it.
    pub fn take_room(&mut self) -> bool {
        std::mem::take(&mut self.has_room)
    }

    /// Sends a client's request: this sends its head, and [`Connection::data`] its body.
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
        stream.is_head = request.is_head();
        self.streams.insert(number, stream);
        number
    }

    /// Sends the head of a server's answer.
    pub fn respond(&mut self, number: u32, block: &[u8], ends: bool) {
        if let Some(stream) = self.streams.get_mut(&number) {
            frame::write_block(&mut self.outbox, number, block, ends);
            stream.sends = !ends;
            if ends && !stream.receives {
                self.streams.remove(&number);
            }
        }
    }

    /// Sends as much of a body as the windows allow, and with `ends` its end. Returns the
    /// number of bytes.
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

    /// On a server, asks the client to open no more streams. Streams that it opens before
    /// it learns of that are answered.
    pub fn ask_to_leave(&mut self) {
        let last = (1 << 31) - 1;
        frame::write_go_away(&mut self.outbox, last, ErrorCode::NO_ERROR, "");
    }

    /// Tells the peer that the connection ends, and why.
    pub fn end(&mut self, code: ErrorCode, text: &str) {
        let last = if self.role == Role::Server {
            self.next
        } else {
            0
        };
        frame::write_go_away(&mut self.outbox, last, code, text);
        self.goes_away = true;
    }

    /// Takes received bytes. After an error, the connection can't be used any more; the
    /// outbox has the last frames.
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

    /// Handles the peer's end of a stream.
    pub(super) fn close_ended(&mut self, number: u32) {
        let Some(stream) = self.streams.get(&number) else {
            return;
        };
        if !stream.sends {
            self.streams.remove(&number);
        } else if self.role == Role::Client {
            // The request was answered before it was complete, and its rest isn't read.
            self.reset(number, ErrorCode::CANCEL);
        }
    }

    pub(super) fn refuse(
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
}
