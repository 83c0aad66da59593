//! One connection, from either side: what it knows, and what is sent on it.
//!
//! - frames: frames out of bytes
//! - messages: heads and bodies that come
//! - control: all other frames that come

mod control;
mod frames;
mod messages;

use crate::frame::{self, PAYLOAD_BYTES_MAX, PREFACE};
use crate::head::HeadReader;
use crate::hpack::{Decoder, Encoder};
use crate::settings::{self, PeerSettings, WINDOW};
use crate::stream::{Stream, Streams};
use crate::{ConnectionError, ErrorCode, Head, Prepared, Reset, Role};

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
        self.streams
            .drain()
            .map(|(_, stream)| stream.user)
            .collect()
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
        stream.is_head = request.is_head();
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

    /// A server: asks the client to open no further streams. What it opens before it
    /// hears of that is answered.
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

    /// The peer's end has come.
    pub(super) fn close_ended(&mut self, number: u32) {
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
