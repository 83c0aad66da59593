//! A worker's connection, which moves a hit on.

use std::os::unix::fs::FileExt;

use encarno_http1::{Expected, Part, ResponseError, ResponseReader};
use encarno_nib::socket::Peer;
use encarno_nib::stream::{Stream, StreamError};
use encarno_nib::{Io, Kept, Shot, Step};
use encarno_record::{Payload, StringId};
use rustix::io::Errno;

use crate::attempt::Attempt;

/// A worker's connection.
#[derive(Debug)]
pub struct Connection {
    pub(super) stream: Option<Stream>,
    /// The number of the stream's events.
    pub(super) number: u32,
    pub(super) address: StringId,
    /// Streams to other addresses, the most recently used one last.
    aside: Vec<Aside>,
    numbers: u32,
    pub(super) phase: Phase,
    /// The number of the payload's bytes that the stream has taken.
    pub(super) sent: u64,
    /// Whether it was used for an earlier hit.
    pub(super) reused: bool,
    /// Whether the peer has closed its side.
    pub(super) closed: bool,
    pub(super) attempt: Attempt,
    pub(super) reader: ResponseReader,
    pub(super) kept: Kept,
}

/// Why a hit failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// An error of the stream.
    Stream(StreamError),
    /// The data aren't a response.
    Response(ResponseError),
    /// The record's bytes can't be read.
    Payload,
}

impl From<StreamError> for Failure {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

/// The state of the socket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ready {
    /// Whether there may be data to read.
    pub(super) readable: bool,
    /// Whether the peer closed its side.
    pub(super) closed: bool,
}

/// The state of a hit after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Driven {
    /// It waits for the socket.
    Waiting,
    /// There is more to read, but other hits have their turn first.
    Again,
    /// The hit has ended with a response.
    Done,
}

/// The most reads in one turn, so that a peer that sends without end doesn't hold up
/// other hits.
const READS_MAX: usize = 16;

/// The most writes in one turn, so that a long request to a fast peer doesn't hold up
/// other hits.
const SENDS_MAX: usize = 32;

/// A stream that waits until its address is needed again.
#[derive(Debug)]
struct Aside {
    address: StringId,
    number: u32,
    stream: Stream,
}

/// The number of addresses to which a worker keeps connections, in addition to the
/// current one.
const ASIDE_MAX: usize = 15;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    #[default]
    Idle,
    Resolving {
        since_ns: u64,
    },
    Connecting,
    Handshaking {
        since_ns: u64,
    },
    Sending,
    Receiving,
}

impl Connection {
    /// A connection that isn't open yet.
    pub(super) fn new(reader: ResponseReader) -> Self {
        Self {
            stream: None,
            number: 0,
            address: StringId(0),
            aside: Vec::new(),
            numbers: 0,
            phase: Phase::Idle,
            sent: 0,
            reused: false,
            closed: false,
            attempt: Attempt::default(),
            reader,
            kept: Kept::default(),
        }
    }

    /// The silent address to return to, once all others have refused.
    pub(super) fn silent_peer(&self) -> Option<&Peer> {
        self.attempt.silent_peer()
    }

    /// Puts the stream aside and takes the one to this address, if there is one without
    /// events in the meantime.
    pub(super) fn turn_to(&mut self, address: StringId, scratch: &mut [u8]) {
        if let Some(stream) = self.stream.take() {
            if self.aside.len() >= ASIDE_MAX {
                self.aside.remove(0);
            }
            self.aside.push(Aside {
                address: self.address,
                number: self.number,
                stream,
            });
        }
        self.address = address;
        let Some(index) = self.aside.iter().position(|aside| aside.address == address) else {
            return;
        };
        let mut aside = self.aside.remove(index);
        // The attempt belongs to another stream.
        self.attempt = Attempt::default();
        if aside.stream.idle_ok(scratch) {
            self.number = aside.number;
            self.stream = Some(aside.stream);
            self.reused = true;
        }
    }

    /// The number for the events of the next stream.
    pub(super) fn next_number(&mut self) -> u32 {
        self.numbers = self.numbers.wrapping_add(1);
        self.numbers
    }

    /// Takes a stream that is being connected, with the last number.
    pub(super) fn connect(&mut self, stream: Stream, address: StringId) {
        self.number = self.numbers;
        self.stream = Some(stream);
        self.address = address;
        self.reused = false;
        self.phase = Phase::Connecting;
    }

    /// Ends the hit without an answer; the stream can't be used any more.
    pub(super) fn end_failed(
        &mut self,
        shot: &mut Shot,
        io: &Io<'_>,
        code: u16,
        text: StringId,
    ) -> Step {
        self.stream = None;
        self.phase = Phase::Idle;
        shot.hit.protocol_code = self.reader.status();
        shot.fail(code, text, io)
    }

    /// Moves the hit on.
    pub(super) fn drive(
        &mut self,
        shot: &mut Shot,
        ready: Ready,
        io: &mut Io<'_>,
    ) -> Result<Driven, Failure> {
        let Self {
            stream: slot,
            phase,
            sent,
            reader,
            kept,
            reused,
            ..
        } = self;
        let Ready {
            mut readable,
            closed,
        } = ready;
        self.closed = closed;
        let Some(stream) = slot.as_mut() else {
            return Ok(Driven::Waiting);
        };
        if *phase == Phase::Connecting {
            if !stream.connected()? {
                return Ok(Driven::Waiting);
            }
            let now_ns = io.clock.now_ns();
            if stream.is_tls() {
                *phase = Phase::Handshaking { since_ns: now_ns };
            } else {
                shot.hit.connected_ns = now_ns;
                *phase = Phase::Sending;
            }
        }
        if let Phase::Handshaking { since_ns } = *phase {
            if !stream.shake_hands()? {
                return if closed {
                    Err(StreamError::Closed.into())
                } else {
                    Ok(Driven::Waiting)
                };
            }
            shot.hit.connected_ns = io.clock.now_ns();
            shot.hit.tls_us =
                ((shot.hit.connected_ns - since_ns) / 1000).min(u64::from(u32::MAX)) as u32;
            *phase = Phase::Sending;
            // TLS may have read more from the socket than its own messages.
            readable = true;
        }
        if *phase == Phase::Sending {
            let fresh = *sent == 0;
            let all = send(stream, &shot.payload, sent, io.scratch);
            shot.hit.sent_bytes = *sent;
            match all {
                Ok(Sent::All) => {
                    shot.hit.sent_ns = io.clock.now_ns();
                    *phase = Phase::Receiving;
                    // Unless the peer sent first, nothing can have arrived yet; an event
                    // will tell.
                    if fresh && !readable && !closed {
                        return Ok(Driven::Waiting);
                    }
                }
                Ok(Sent::Again) => return Ok(Driven::Again),
                Ok(Sent::Waiting) => {}
                // The peer may have answered before it closed, so read first.
                Err(Failure::Stream(StreamError::System(Errno::PIPE | Errno::CONNRESET)))
                    if !*reused =>
                {
                    *phase = Phase::Receiving
                }
                Err(failure) => return Err(failure),
            }
        }
        for _ in 0..READS_MAX {
            let count = match stream.receive(io.scratch)? {
                None => return Ok(Driven::Waiting),
                Some(count) => count,
            };
            let now_ns = io.clock.now_ns();
            if count == 0 {
                if !reader.end() || shot.hit.received_bytes == 0 {
                    return Err(StreamError::Closed.into());
                }
            } else {
                if shot.hit.received_bytes == 0 {
                    shot.hit.first_byte_ns = now_ns;
                }
                shot.hit.received_bytes += count as u64;
                let bytes = &io.scratch[..count];
                kept.wire(bytes);
                let fed = reader.feed(bytes, |part| match part {
                    Part::Head(status, head) => kept.head(status, head),
                    Part::Body(body) => kept.body(body),
                });
                // The status stays, even if the rest of the response is wrong.
                shot.hit.protocol_code = reader.status();
                fed.map_err(Failure::Response)?;
            }
            if reader.is_complete() {
                shot.hit.ended_ns = now_ns;
                // A response came before the request's end, so the rest can't be sent.
                let keeps = reader.keep_alive() && *phase == Phase::Receiving && !closed;
                if *phase == Phase::Sending {
                    shot.hit.sent_ns = shot.hit.first_byte_ns;
                }
                *phase = Phase::Idle;
                *reused = true;
                if !keeps {
                    *slot = None;
                }
                return Ok(Driven::Done);
            }
            // A short read emptied the socket, and new data give a new event. The end of
            // the stream gives none if it came with the data.
            if count < io.scratch.len() && !closed && !stream.is_tls() {
                return Ok(Driven::Waiting);
            }
        }
        Ok(Driven::Again)
    }
}

/// How much of the request was sent.
enum Sent {
    All,
    /// The socket has no room for the rest.
    Waiting,
    /// The socket has room, but other hits have their turn first.
    Again,
}

fn send(
    stream: &mut Stream,
    payload: &Payload,
    sent: &mut u64,
    scratch: &mut [u8],
) -> Result<Sent, Failure> {
    let length = payload.len();
    for _ in 0..SENDS_MAX {
        if *sent >= length {
            let flushed = stream.flushed()?;
            return Ok(if flushed { Sent::All } else { Sent::Waiting });
        }
        let taken = match payload {
            Payload::Memory(bytes) => stream.send(&bytes[*sent as usize..])?,
            Payload::File { file, range } => {
                let piece = (length - *sent).min(scratch.len() as u64) as usize;
                file.read_exact_at(&mut scratch[..piece], range.start + *sent)
                    .map_err(|_| Failure::Payload)?;
                stream.send(&scratch[..piece])?
            }
        };
        match taken {
            None => return Ok(Sent::Waiting),
            Some(count) => *sent += count as u64,
        }
    }
    Ok(Sent::Again)
}

/// The properties of the response to a request that is in a file.
pub(super) fn expected_of_file(payload: &Payload, scratch: &mut [u8]) -> Expected {
    let Payload::File { file, range } = payload else {
        return Expected::default();
    };
    let bytes = range.end.saturating_sub(range.start);
    let start = bytes.min(scratch.len() as u64) as usize;
    match file.read_exact_at(&mut scratch[..start], range.start) {
        Ok(()) => Expected::of(&scratch[..start], bytes),
        // Sending the request will report the error.
        Err(_) => Expected::default(),
    }
}
