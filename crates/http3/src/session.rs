//! A connection over QUIC. Datagrams go in and come out through `quinn_proto`, and timers are
//! the caller's.

use std::collections::HashMap;
use std::fmt;
use std::time::Instant;

use bytes::Bytes;
use encarno_http2::Role;
use quinn_proto::{
    ConnectionEvent, Dir, EndpointEvent, Event, ReadError, Side, StreamEvent, StreamId, Transmit,
    VarInt, WriteError,
};

use crate::{CongestionWatch, Connection, ConnectionError, ErrorCode, Handler, Limits, control};

/// A connection, with what is to be sent on its streams.
pub struct Session<T> {
    quic: quinn_proto::Connection,
    http: Connection<T>,
    /// Our control stream, once the connection is open.
    control: Option<StreamId>,
    outgoing: HashMap<u32, Outgoing>,
    progress: Vec<Progress>,
    watch: Option<CongestionWatch>,
    /// Whether congestion control held back what was to be sent last.
    is_held_back: bool,
    /// Streams that the peer has acknowledged completely since then.
    acknowledged: Vec<u32>,
    early: Early,
    /// The users of streams that have to be opened again.
    rejected: Vec<T>,
    /// Whether the client was asked to leave.
    leaves: bool,
    lost: Option<Lost>,
}

/// What is still to be sent on a stream.
#[derive(Debug)]
struct Outgoing {
    chunks: Vec<Bytes>,
    /// The number of chunks that were taken.
    taken: usize,
    then: Then,
}

/// What follows the last byte of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// Its end.
    Finish,
    /// A reset, with this code.
    Reset(ErrorCode),
}

/// What was sent on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The stream.
    pub stream: u32,
    /// The number of bytes that QUIC has taken.
    pub bytes: usize,
    /// What that means for the message.
    pub wrote: Wrote,
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// More follows.
    Part,
    /// Nothing follows.
    All,
    /// The peer doesn't want the rest.
    Stopped,
}

/// Whether data were sent before the handshake ended (0-RTT).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Early {
    /// None.
    #[default]
    Not,
    /// The handshake goes on.
    Sent,
    /// The server took them.
    Accepted,
    /// The server threw them away.
    Rejected,
}

/// Why a connection can't be used any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// QUIC has ended it.
    Quic(quinn_proto::ConnectionError),
    /// What came isn't HTTP/3.
    Http(ConnectionError),
}

impl<T> Session<T> {
    /// A connection that has just begun.
    pub fn new(role: Role, quic: quinn_proto::Connection, limits: Limits) -> Self {
        Self {
            quic,
            http: Connection::new(role, limits),
            control: None,
            outgoing: HashMap::new(),
            progress: Vec::new(),
            watch: None,
            is_held_back: false,
            acknowledged: Vec::new(),
            early: Early::Not,
            rejected: Vec::new(),
            leaves: false,
            lost: None,
        }
    }

    /// The same with the watch of its congestion control.
    pub fn watched(self, watch: CongestionWatch) -> Self {
        Self {
            watch: Some(watch),
            ..self
        }
    }

    /// Lets streams be opened before the handshake ends, if the server has allowed it on an
    /// earlier connection.
    pub fn hurry(&mut self) {
        if self.quic.has_0rtt() && self.begin().is_ok() {
            self.early = Early::Sent;
        }
    }

    /// Whether data were sent before the handshake ended.
    pub fn early(&self) -> Early {
        self.early
    }

    /// Takes the users of streams whose data were sent early and thrown away by the server.
    /// There are no such streams any more.
    pub fn take_rejected(&mut self) -> Vec<T> {
        std::mem::take(&mut self.rejected)
    }

    /// Whether streams can be opened, or opened by the peer.
    pub fn is_open(&self) -> bool {
        self.control.is_some() && self.lost.is_none()
    }

    /// Why it can't be used any more.
    pub fn lost(&self) -> Option<&Lost> {
        self.lost.as_ref()
    }

    /// The connection in QUIC, for what it counts and knows.
    pub fn quic(&self) -> &quinn_proto::Connection {
        &self.quic
    }

    /// Whether the peer has said that it goes away.
    pub fn goes_away(&self) -> bool {
        self.http.goes_away().is_some()
    }

    /// The longest head that the peer takes; `None` until its settings have come.
    pub fn head_bytes_max(&self) -> Option<u64> {
        self.http.head_bytes_max()
    }

    /// The number of streams whose messages aren't complete.
    pub fn streams(&self) -> usize {
        self.http.streams()
    }

    /// Takes the users of all streams.
    pub fn take_streams(&mut self) -> Vec<T> {
        self.http.take_streams()
    }

    /// Opens a stream; `None` if the peer allows no further one.
    pub fn next_stream(&mut self) -> Option<u32> {
        let stream = self.quic.streams().open(Dir::Bi)?;
        u32::try_from(stream.index()).ok()
    }

    /// Sends a request on a stream that was opened, and says how much of it QUIC has taken at
    /// once. `frames` is what [`Prepared::frames`] gives.
    pub fn request(
        &mut self,
        stream: u32,
        is_head: bool,
        frames: Bytes,
        user: T,
    ) -> (usize, Wrote) {
        self.http.open(stream, user, is_head);
        let mut chunks = [frames];
        let (mut taken, then) = (0, Then::Finish);
        let (bytes, wrote) = self.write(stream, &mut chunks, &mut taken, then);
        if wrote == Wrote::Part {
            let chunks = chunks.to_vec();
            let outgoing = Outgoing {
                chunks,
                taken,
                then,
            };
            self.outgoing.insert(stream, outgoing);
        }
        (bytes, wrote)
    }

    /// Sends bytes on a stream, and what follows them.
    pub fn send(&mut self, stream: u32, chunks: Vec<Bytes>, then: Then) {
        let outgoing = Outgoing {
            chunks,
            taken: 0,
            then,
        };
        self.outgoing.insert(stream, outgoing);
        self.pump(stream);
    }

    /// What was sent since the last call.
    pub fn take_progress(&mut self) -> Vec<Progress> {
        std::mem::take(&mut self.progress)
    }

    /// Whether congestion control held back what was to be sent last. Otherwise all that
    /// QUIC has taken has left when [`Session::transmit`] gives nothing.
    pub fn is_held_back(&self) -> bool {
        self.is_held_back
    }

    /// Streams of which all has left for certain, because the peer has acknowledged it, in
    /// order. There are none while nothing is held back.
    pub fn take_acknowledged(&mut self) -> Vec<u32> {
        let mut acknowledged = std::mem::take(&mut self.acknowledged);
        acknowledged.sort_unstable();
        acknowledged
    }

    /// Ends a stream with this code, in both directions. What comes on it is ignored.
    pub fn cancel(&mut self, stream: u32, code: ErrorCode) {
        self.http.close(stream);
        self.outgoing.remove(&stream);
        let (id, code) = (id_of(stream), varint(code));
        // Either may have ended already.
        let _reset = self.quic.send_stream(id).reset(code);
        let _stop = self.quic.recv_stream(id).stop(code);
    }

    /// Asks the client to send further requests over another connection. Those that are on
    /// their way are processed (RFC 9114, 5.2).
    pub fn ask_to_leave(&mut self) {
        if !self.leaves
            && let Some(control) = self.control
        {
            self.leaves = true;
            let frame = control::go_away(control::LAST_REQUEST);
            // There is always room for a few bytes on a stream that carries nothing else.
            let _written = self.quic.send_stream(control).write(&frame);
        }
    }

    /// Closes the connection.
    pub fn close(&mut self, now: Instant, code: ErrorCode, text: &'static str) {
        self.quic
            .close(now, varint(code), Bytes::from_static(text.as_bytes()));
    }

    /// Asks the peer for a sign of life.
    pub fn ping(&mut self) {
        self.quic.ping();
    }

    /// Takes an event of the endpoint: datagrams.
    pub fn handle(&mut self, event: ConnectionEvent) {
        self.quic.handle_event(event);
    }

    /// The next event for the endpoint.
    pub fn endpoint_event(&mut self) -> Option<EndpointEvent> {
        self.quic.poll_endpoint_events()
    }

    /// The next datagrams to send, which are appended to `out`.
    pub fn transmit(
        &mut self,
        now: Instant,
        datagrams_max: usize,
        out: &mut Vec<u8>,
    ) -> Option<Transmit> {
        let asked = self.watch.as_ref().map(CongestionWatch::asked);
        let transmit = self.quic.poll_transmit(now, datagrams_max, out);
        let asked_again = self.watch.as_ref().map(CongestionWatch::asked) != asked;
        self.is_held_back = transmit.is_none() && asked_again;
        transmit
    }

    /// When [`Session::handle_timeout`] must be called.
    pub fn timeout(&mut self) -> Option<Instant> {
        self.quic.poll_timeout()
    }

    /// Handles the timers that are due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.quic.handle_timeout(now);
    }

    /// Handles what has come.
    pub fn turn(&mut self, now: Instant, handler: &mut impl Handler<T>) {
        while self.lost.is_none()
            && let Some(event) = self.quic.poll()
        {
            if let Err(error) = self.event(event, handler) {
                self.close(now, error.code, error.text);
                self.lost = Some(Lost::Http(error));
            }
        }
    }

    fn event(
        &mut self,
        event: Event,
        handler: &mut impl Handler<T>,
    ) -> Result<(), ConnectionError> {
        match event {
            Event::Connected if self.early != Early::Sent => self.begin(),
            Event::Connected if self.quic.accepted_0rtt() => {
                self.early = Early::Accepted;
                Ok(())
            }
            Event::Connected => {
                // QUIC has forgotten all streams.
                self.early = Early::Rejected;
                self.outgoing.clear();
                self.progress.clear();
                self.acknowledged.clear();
                self.rejected = self.http.take_streams();
                self.begin()
            }
            Event::ConnectionLost { reason } => {
                self.lost = Some(Lost::Quic(reason));
                Ok(())
            }
            Event::Stream(StreamEvent::Opened { dir }) => {
                while let Some(id) = self.quic.streams().accept(dir) {
                    if dir == Dir::Bi && !self.accept(id, handler) {
                        continue;
                    }
                    self.read(id, handler)?;
                }
                Ok(())
            }
            Event::Stream(StreamEvent::Readable { id }) => self.read(id, handler),
            Event::Stream(StreamEvent::Writable { id }) if id.dir() == Dir::Bi => {
                self.pump(id.index() as u32);
                Ok(())
            }
            Event::Stream(StreamEvent::Finished { id }) => {
                if self.is_held_back && id.dir() == Dir::Bi {
                    self.acknowledged.push(id.index() as u32);
                }
                Ok(())
            }
            Event::Stream(StreamEvent::Stopped { id, .. }) => match id.dir() {
                Dir::Uni => Err(ConnectionError::new(
                    ErrorCode::H3_CLOSED_CRITICAL_STREAM,
                    "a control stream that isn't read",
                )),
                Dir::Bi => {
                    self.stopped(id.index() as u32);
                    Ok(())
                }
            },
            _ => Ok(()),
        }
    }

    /// Opens the control stream. Without one, the peer has no idea what we allow.
    fn begin(&mut self) -> Result<(), ConnectionError> {
        let no_room = ConnectionError::new(
            ErrorCode::H3_GENERAL_PROTOCOL_ERROR,
            "no control stream is allowed",
        );
        let control = self.quic.streams().open(Dir::Uni).ok_or(no_room)?;
        let opening = self.http.opening();
        let written = self.quic.send_stream(control).write(&opening);
        if written != Ok(opening.len()) {
            return Err(no_room);
        }
        self.control = Some(control);
        Ok(())
    }

    /// Takes a stream that the peer has opened; false if it is refused.
    fn accept(&mut self, id: StreamId, handler: &mut impl Handler<T>) -> bool {
        let user = u32::try_from(id.index())
            .ok()
            .and_then(|stream| Some((stream, handler.begin(stream)?)));
        let Some((stream, user)) = user else {
            let code = varint(ErrorCode::H3_REQUEST_REJECTED);
            let _reset = self.quic.send_stream(id).reset(code);
            let _stop = self.quic.recv_stream(id).stop(code);
            return false;
        };
        self.http.open(stream, user, false);
        true
    }

    fn read(&mut self, id: StreamId, handler: &mut impl Handler<T>) -> Result<(), ConnectionError> {
        let mut receive = self.quic.recv_stream(id);
        let Ok(mut chunks) = receive.read(true) else {
            return Ok(());
        };
        let (number, stream) = (u64::from(VarInt::from(id)), id.index() as u32);
        let is_request = id.dir() == Dir::Bi;
        let mut is_reset = false;
        let unwanted = loop {
            match chunks.next(usize::MAX) {
                Ok(Some(chunk)) if is_request => {
                    let bad = self.http.receive(stream, &chunk.bytes, handler)?;
                    if bad.is_some() {
                        break bad;
                    }
                }
                Ok(Some(chunk)) => {
                    if !self.http.receive_control(number, &chunk.bytes, handler)? {
                        break Some(ErrorCode::H3_STREAM_CREATION_ERROR);
                    }
                }
                Ok(None) if is_request => break self.http.end(stream, handler)?,
                Err(ReadError::Reset(code)) if is_request => {
                    is_reset = true;
                    let code = ErrorCode(code.into_inner());
                    self.http.reset(stream, code, handler);
                    break None;
                }
                Ok(None) | Err(ReadError::Reset(_)) => {
                    self.http.end_control(number)?;
                    break None;
                }
                Err(ReadError::Blocked) => break None,
            }
        };
        let _sends = chunks.finalize();
        if is_reset {
            self.stopped(stream);
        }
        match unwanted {
            Some(code) if is_request => self.cancel(stream, code),
            Some(code) => {
                let _stop = self.quic.recv_stream(id).stop(varint(code));
            }
            None => {}
        }
        Ok(())
    }

    /// Hands QUIC as much of a stream's bytes as it takes.
    fn pump(&mut self, stream: u32) {
        let Some(mut outgoing) = self.outgoing.remove(&stream) else {
            return;
        };
        let then = outgoing.then;
        let (bytes, wrote) = self.write(stream, &mut outgoing.chunks, &mut outgoing.taken, then);
        if wrote == Wrote::Part {
            self.outgoing.insert(stream, outgoing);
        }
        if wrote != Wrote::Part || bytes > 0 {
            self.progress.push(Progress {
                stream,
                bytes,
                wrote,
            });
        }
    }

    /// Writes as much of these chunks as QUIC takes, of which some were `taken` before.
    fn write(
        &mut self,
        stream: u32,
        chunks: &mut [Bytes],
        taken: &mut usize,
        then: Then,
    ) -> (usize, Wrote) {
        let mut send = self.quic.send_stream(id_of(stream));
        let mut bytes = 0;
        let wrote = loop {
            let empty = chunks[*taken..].iter().take_while(|chunk| chunk.is_empty());
            *taken += empty.count();
            let rest = &mut chunks[*taken..];
            if rest.is_empty() {
                // It has ended already if the peer has stopped it meanwhile.
                let _ended = match then {
                    Then::Finish => send.finish().is_ok(),
                    Then::Reset(code) => send.reset(varint(code)).is_ok(),
                };
                break Wrote::All;
            }
            match send.write_chunks(rest) {
                Ok(written) => bytes += written.bytes,
                Err(WriteError::Blocked) => break Wrote::Part,
                Err(WriteError::Stopped(_) | WriteError::ClosedStream) => {
                    let _reset = send.reset(varint(ErrorCode::H3_REQUEST_CANCELLED));
                    break Wrote::Stopped;
                }
            }
        };
        (bytes, wrote)
    }

    /// The peer doesn't want what we send on a stream.
    fn stopped(&mut self, stream: u32) {
        if self.outgoing.remove(&stream).is_some() {
            // A direction without an end would count as a stream for ever.
            let code = varint(ErrorCode::H3_REQUEST_CANCELLED);
            let _reset = self.quic.send_stream(id_of(stream)).reset(code);
            self.progress.push(Progress {
                stream,
                bytes: 0,
                wrote: Wrote::Stopped,
            });
        }
    }
}

impl<T> fmt::Debug for Session<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Session");
        shown
            .field("streams", &self.streams())
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

fn id_of(stream: u32) -> StreamId {
    StreamId::new(Side::Client, Dir::Bi, u64::from(stream))
}

fn varint(code: ErrorCode) -> VarInt {
    VarInt::from_u64(code.0).unwrap_or(VarInt::MAX)
}
