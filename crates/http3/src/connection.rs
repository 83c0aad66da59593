//! One connection, from either side: what comes on its streams, and what that means. Its
//! streams are counted from 0; QUIC numbers them in steps of four.

use std::collections::HashMap;

use encarno_http2::{BadHead, Head, HeadKind, HeadReader, Role};

use crate::control::{self, Control};
use crate::frame::{DATA, FrameReader, HEADERS, PUSH_PROMISE, is_of_http2};
use crate::qpack::Decoder;
use crate::{ConnectionError, ErrorCode};

/// The limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest head, compressed or not. Each field counts 32 bytes in addition to its
    /// text.
    pub head_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 300 << 10,
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

    /// A head was received.
    fn head(&mut self, stream: u32, user: &mut T, head: &Head<'_>);

    /// A piece of the body was received.
    fn data(&mut self, stream: u32, user: &mut T, bytes: &[u8], wire_bytes: usize);

    /// The message is complete.
    fn end(&mut self, stream: u32, user: T);

    /// The stream was reset before its end.
    fn reset(&mut self, stream: u32, user: T, why: Reset);
}

/// Why a stream ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The peer reset it, with this code.
    Peer(ErrorCode),
    /// The received data aren't a valid message.
    Malformed(&'static str),
    /// Its head is too long.
    HeadTooLong,
    /// The peer goes away, and hasn't processed the stream.
    NotProcessed,
}

impl Reset {
    /// The code that tells the peer.
    pub(crate) fn code(self) -> ErrorCode {
        match self {
            Self::Peer(_) | Self::NotProcessed => ErrorCode::H3_REQUEST_CANCELLED,
            Self::Malformed(_) => ErrorCode::H3_MESSAGE_ERROR,
            Self::HeadTooLong => ErrorCode::H3_EXCESSIVE_LOAD,
        }
    }
}

/// The most frames in a row that don't advance a message.
const FUTILE_MAX: u32 = 4096;

/// The state of a connection.
#[derive(Debug)]
pub struct Connection<T> {
    role: Role,
    limits: Limits,
    control: Control,
    decoder: Decoder,
    head: HeadReader,
    streams: HashMap<u32, Stream<T>>,
    futile: u32,
}

/// The message that comes on a stream.
#[derive(Debug)]
struct Stream<T> {
    user: T,
    frames: FrameReader,
    /// The incomplete field section.
    section: Vec<u8>,
    /// The bytes of the frame around it.
    section_wire: usize,
    has_head: bool,
    has_trailers: bool,
    /// Whether it answers HEAD, so that the announced length isn't that of the body.
    is_head: bool,
    /// The announced length of the body minus the received bytes.
    body_left: Option<u64>,
}

/// Why a message can't be taken.
enum Bad {
    Connection(ConnectionError),
    Stream(Reset),
}

impl From<ConnectionError> for Bad {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error)
    }
}

impl<T> Connection<T> {
    /// A new connection.
    pub fn new(role: Role, limits: Limits) -> Self {
        Self {
            role,
            limits,
            control: Control::new(role),
            decoder: Decoder::default(),
            head: HeadReader::new("HTTP/3"),
            streams: HashMap::new(),
            futile: 0,
        }
    }

    /// The first bytes of our control stream.
    pub fn opening(&self) -> Vec<u8> {
        control::opening(self.limits.head_bytes_max)
    }

    /// Begins a stream. `is_head` says that its request is HEAD.
    pub fn open(&mut self, stream: u32, user: T, is_head: bool) {
        let stream_of = Stream {
            user,
            frames: FrameReader::default(),
            section: Vec::new(),
            section_wire: 0,
            has_head: false,
            has_trailers: false,
            is_head,
            body_left: None,
        };
        self.streams.insert(stream, stream_of);
    }

    /// Forgets a stream: what still comes on it is ignored.
    pub fn close(&mut self, stream: u32) -> Option<T> {
        self.streams.remove(&stream).map(|stream| stream.user)
    }

    /// The number of streams whose messages aren't complete.
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// Takes the users of all streams.
    pub fn take_streams(&mut self) -> Vec<T> {
        let streams = self.streams.drain();
        streams.map(|(_, stream)| stream.user).collect()
    }

    /// The first stream that the peer won't process, if it goes away.
    pub fn goes_away(&self) -> Option<u64> {
        self.control.goes_away
    }

    /// The longest head that the peer takes; `None` until its settings have come.
    pub fn head_bytes_max(&self) -> Option<u64> {
        self.control.head_bytes_max
    }

    /// Takes bytes of a stream. If they are no message, its user gets the reason, and the
    /// stream must be reset with the returned code.
    pub fn receive(
        &mut self,
        stream: u32,
        bytes: &[u8],
        handler: &mut impl Handler<T>,
    ) -> Result<Option<ErrorCode>, ConnectionError> {
        let taken = self.take(stream, bytes, handler);
        self.note(stream, taken, handler)
    }

    /// The stream has come to its end.
    pub fn end(
        &mut self,
        stream: u32,
        handler: &mut impl Handler<T>,
    ) -> Result<Option<ErrorCode>, ConnectionError> {
        let Some(ended) = self.streams.get(&stream) else {
            return Ok(None);
        };
        let malformed = |text| Err(Bad::Stream(Reset::Malformed(text)));
        let whole = match ended {
            _ if ended.frames.is_cut() => Err(Bad::Connection(ConnectionError::new(
                ErrorCode::H3_FRAME_ERROR,
                "a stream that ends within a frame",
            ))),
            Stream {
                has_head: false, ..
            } => malformed("a stream that ends before a head"),
            Stream {
                body_left: Some(1..),
                ..
            } => malformed("a body that is shorter than its content-length"),
            _ => Ok(()),
        };
        if whole.is_ok()
            && let Some(ended) = self.streams.remove(&stream)
        {
            self.futile = 0;
            self.control.futile = 0;
            handler.end(stream, ended.user);
        }
        self.note(stream, whole, handler)
    }

    /// The peer has reset the stream.
    pub fn reset(&mut self, stream: u32, code: ErrorCode, handler: &mut impl Handler<T>) {
        if let Some(user) = self.close(stream) {
            handler.reset(stream, user, Reset::Peer(code));
        }
    }

    /// Takes bytes of a stream with this number in QUIC on which only the peer sends. False
    /// means that the rest of it isn't wanted.
    pub fn receive_control(
        &mut self,
        id: u64,
        bytes: &[u8],
        handler: &mut impl Handler<T>,
    ) -> Result<bool, ConnectionError> {
        let before = self.control.goes_away;
        let wanted = self.control.receive(id, bytes)?;
        self.check_futile()?;
        if before != self.control.goes_away
            && self.role == Role::Client
            && let Some(first) = self.control.goes_away
        {
            let all = self.streams.keys().copied();
            let late: Vec<_> = all.filter(|&it| u64::from(it) * 4 >= first).collect();
            for stream in late {
                if let Some(user) = self.close(stream) {
                    handler.reset(stream, user, Reset::NotProcessed);
                }
            }
        }
        Ok(wanted)
    }

    /// The peer has ended or reset such a stream.
    pub fn end_control(&mut self, id: u64) -> Result<(), ConnectionError> {
        self.control.end(id)
    }

    fn note(
        &mut self,
        stream: u32,
        taken: Result<(), Bad>,
        handler: &mut impl Handler<T>,
    ) -> Result<Option<ErrorCode>, ConnectionError> {
        match taken {
            Ok(()) => Ok(None),
            Err(Bad::Connection(error)) => Err(error),
            Err(Bad::Stream(why)) => {
                if let Some(user) = self.close(stream) {
                    handler.reset(stream, user, why);
                }
                Ok(Some(why.code()))
            }
        }
    }

    fn take(
        &mut self,
        number: u32,
        mut rest: &[u8],
        handler: &mut impl Handler<T>,
    ) -> Result<(), Bad> {
        let unexpected = |text| {
            Err(Bad::from(ConnectionError::new(
                ErrorCode::H3_FRAME_UNEXPECTED,
                text,
            )))
        };
        let Some(stream) = self.streams.get_mut(&number) else {
            return Ok(());
        };
        while let Some(piece) = stream.frames.next(&mut rest) {
            if piece.head_bytes > 0 {
                match piece.kind {
                    DATA if !stream.has_head => return unexpected("a body before its head"),
                    DATA | HEADERS if stream.has_trailers => {
                        return unexpected("a frame after the trailers");
                    }
                    HEADERS if piece.length > self.limits.head_bytes_max as u64 => {
                        return Err(Bad::Stream(Reset::HeadTooLong));
                    }
                    PUSH_PROMISE if self.role == Role::Client => {
                        return Err(Bad::from(ConnectionError::new(
                            ErrorCode::H3_ID_ERROR,
                            "a push, which wasn't allowed",
                        )));
                    }
                    // CANCEL_PUSH, SETTINGS, PUSH_PROMISE, GOAWAY and MAX_PUSH_ID.
                    3 | 4 | 5 | 7 | 0xd => {
                        return unexpected("a frame of the control stream among those of requests");
                    }
                    kind if is_of_http2(kind) => return unexpected("a frame of HTTP/2"),
                    DATA | HEADERS if piece.length > 0 => {}
                    _ => {
                        self.futile += 1;
                        if self.futile > FUTILE_MAX {
                            return Err(flood().into());
                        }
                    }
                }
            }
            let wire_bytes = piece.head_bytes + piece.bytes.len();
            match piece.kind {
                DATA => {
                    if let Some(left) = &mut stream.body_left {
                        let count = piece.bytes.len() as u64;
                        let Some(after) = left.checked_sub(count) else {
                            return Err(Bad::Stream(Reset::Malformed(
                                "a body that is longer than its content-length",
                            )));
                        };
                        *left = after;
                    }
                    if !piece.bytes.is_empty() {
                        self.futile = 0;
                    }
                    handler.data(number, &mut stream.user, piece.bytes, wire_bytes);
                }
                HEADERS => {
                    stream.section_wire += wire_bytes;
                    if !piece.ends {
                        stream.section.extend_from_slice(piece.bytes);
                        continue;
                    }
                    let held = std::mem::take(&mut stream.section);
                    let section = match held.is_empty() {
                        true => piece.bytes,
                        false => &[&held, piece.bytes].concat(),
                    };
                    let wire_bytes = std::mem::take(&mut stream.section_wire);
                    let wants_text = handler.wants_text(&stream.user);
                    let head = &mut self.head;
                    let (role, bytes_max) = (self.role, self.limits.head_bytes_max);
                    head.begin();
                    let decoded = self.decoder.decode(section, |field| {
                        head.take(field, role, bytes_max, wants_text)
                    });
                    decoded.map_err(|_| {
                        ConnectionError::new(
                            ErrorCode::QPACK_DECOMPRESSION_FAILED,
                            "a head that can't be decompressed",
                        )
                    })?;
                    let kind = head
                        .end(role, stream.has_head, stream.has_head)
                        .map_err(|bad| {
                            Bad::Stream(match bad {
                                BadHead::Malformed(text) => Reset::Malformed(text),
                                BadHead::TooLong => Reset::HeadTooLong,
                            })
                        })?;
                    match kind {
                        HeadKind::Interim => {
                            self.futile += 1;
                            if self.futile > FUTILE_MAX {
                                return Err(flood().into());
                            }
                        }
                        HeadKind::Final => {
                            stream.has_head = true;
                            let has_no_body = stream.is_head || head.status == 304;
                            stream.body_left = head.body_bytes.filter(|_| !has_no_body);
                        }
                        HeadKind::Trailers => stream.has_trailers = true,
                    }
                    let head = Head {
                        kind,
                        status: head.status,
                        is_head: head.is_head,
                        path: &head.path,
                        text: if wants_text { &head.text } else { b"" },
                        wire_bytes,
                    };
                    handler.head(number, &mut stream.user, &head);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_futile(&self) -> Result<(), ConnectionError> {
        match self.control.futile > FUTILE_MAX {
            true => Err(flood()),
            false => Ok(()),
        }
    }
}

fn flood() -> ConnectionError {
    ConnectionError::new(
        ErrorCode::H3_EXCESSIVE_LOAD,
        "a flood of frames that don't advance any message",
    )
}
