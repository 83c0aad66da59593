//! What a worker has, and how a hit moves on in it.

use std::os::unix::fs::FileExt;

use encarno_nib::{Io, Shot, Step};
use encarno_record::{Payload, StringId};
use rustix::io::Errno;

use super::answer::Answer;
use super::stream::{Failure, Stream};

/// A worker's connection.
#[derive(Debug, Default)]
pub struct Connection {
    pub(super) stream: Option<Stream>,
    /// The number of the stream's events.
    pub(super) number: u32,
    pub(super) address: StringId,
    /// Streams to other addresses, the last used one at the end.
    aside: Vec<Aside>,
    numbers: u32,
    pub(super) phase: Phase,
    /// Bytes of the payload that were given to the stream.
    pub(super) sent: u64,
    /// Whether a hit was made on it before.
    pub(super) reused: bool,
    pub(super) answer: Answer,
    pub(super) kept: Vec<u8>,
}

/// A stream that waits for its address to come up again.
#[derive(Debug)]
struct Aside {
    address: StringId,
    number: u32,
    stream: Stream,
}

/// Addresses that a worker keeps connections to, beside the current one.
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
    /// Puts the stream aside and takes the one to that address, if there is one
    /// and nothing happened to it meanwhile.
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
        if aside.stream.idle_ok(scratch) {
            self.number = aside.number;
            self.stream = Some(aside.stream);
            self.reused = true;
        }
    }

    /// A number for the events of a stream that isn't there yet.
    pub(super) fn next_number(&mut self) -> u32 {
        self.numbers = self.numbers.wrapping_add(1);
        self.numbers
    }

    /// The stream of the last number, which is being connected.
    pub(super) fn connect(&mut self, stream: Stream, address: StringId) {
        self.number = self.numbers;
        self.stream = Some(stream);
        self.address = address;
        self.reused = false;
        self.phase = Phase::Connecting;
    }

    /// Ends the hit without an answer; the stream is of no use any more.
    pub(super) fn end_failed(
        &mut self,
        shot: &mut Shot,
        io: &Io<'_>,
        code: u16,
        text: StringId,
    ) -> Step {
        self.stream = None;
        self.phase = Phase::Idle;
        let hit = &mut shot.hit;
        hit.protocol_code = self.answer.status();
        hit.net_code = code;
        hit.error = text;
        hit.ended_ns = io.clock.now_ns();
        Step::Done
    }

    /// True once the hit has ended well.
    pub(super) fn drive(
        &mut self,
        shot: &mut Shot,
        closed: bool,
        io: &mut Io<'_>,
    ) -> Result<bool, Failure> {
        let Self {
            stream: slot,
            phase,
            sent,
            answer,
            kept,
            reused,
            ..
        } = self;
        let Some(stream) = slot.as_mut() else {
            return Ok(false);
        };
        if *phase == Phase::Connecting {
            if !stream.connected()? {
                return Ok(false);
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
                    Err(Failure::Closed)
                } else {
                    Ok(false)
                };
            }
            shot.hit.connected_ns = io.clock.now_ns();
            shot.hit.tls_us =
                ((shot.hit.connected_ns - since_ns) / 1000).min(u64::from(u32::MAX)) as u32;
            *phase = Phase::Sending;
        }
        if *phase == Phase::Sending {
            let fresh = *sent == 0;
            let all = send(stream, &shot.payload, sent, io.scratch);
            shot.hit.sent_bytes = *sent;
            match all {
                Ok(true) => {
                    shot.hit.sent_ns = io.clock.now_ns();
                    *phase = Phase::Receiving;
                    // Nothing can have come yet: the edge will tell.
                    if fresh && !closed {
                        return Ok(false);
                    }
                }
                Ok(false) => {}
                // The peer may have answered before it closed: read that first.
                Err(Failure::System(Errno::PIPE | Errno::CONNRESET)) if !*reused => {
                    *phase = Phase::Receiving
                }
                Err(failure) => return Err(failure),
            }
        }
        loop {
            let count = match stream.receive(io.scratch)? {
                None => return Ok(false),
                Some(count) => count,
            };
            let now_ns = io.clock.now_ns();
            if count == 0 {
                if !answer.end() || shot.hit.received_bytes == 0 {
                    return Err(Failure::Closed);
                }
            } else {
                if shot.hit.received_bytes == 0 {
                    shot.hit.first_byte_ns = now_ns;
                }
                shot.hit.received_bytes += count as u64;
                let bytes = &io.scratch[..count];
                shot.keep(kept, bytes);
                answer.feed(bytes).map_err(Failure::Answer)?;
            }
            if answer.is_complete() {
                shot.hit.protocol_code = answer.status();
                shot.hit.ended_ns = now_ns;
                // An answer before the request's end: the rest can't be sent any more.
                let keeps = answer.keep_alive() && *phase == Phase::Receiving && !closed;
                if *phase == Phase::Sending {
                    shot.hit.sent_ns = shot.hit.first_byte_ns;
                }
                *phase = Phase::Idle;
                *reused = true;
                if !keeps {
                    *slot = None;
                }
                return Ok(true);
            }
            // A short read emptied the socket: more will come as a new edge. The
            // end of the stream is no edge of its own if it came along.
            if count < io.scratch.len() && !closed && !stream.is_tls() {
                return Ok(false);
            }
        }
    }
}

/// Sends on; true once all is sent.
fn send(
    stream: &mut Stream,
    payload: &Payload,
    sent: &mut u64,
    scratch: &mut [u8],
) -> Result<bool, Failure> {
    match payload {
        Payload::Memory(bytes) => {
            while (*sent as usize) < bytes.len() {
                match stream.send(&bytes[*sent as usize..])? {
                    None => return Ok(false),
                    Some(count) => *sent += count as u64,
                }
            }
        }
        Payload::File { file, range } => {
            let length = range.end.saturating_sub(range.start);
            while *sent < length {
                let piece = (length - *sent).min(scratch.len() as u64) as usize;
                file.read_exact_at(&mut scratch[..piece], range.start + *sent)
                    .map_err(|_| Failure::Payload)?;
                match stream.send(&scratch[..piece])? {
                    None => return Ok(false),
                    Some(count) => *sent += count as u64,
                }
            }
        }
    }
    stream.flushed()
}

/// Whether the answer has no body, whatever it says.
pub(super) fn is_head(payload: &Payload) -> bool {
    match payload {
        Payload::Memory(bytes) => bytes.starts_with(b"HEAD "),
        Payload::File { .. } => false,
    }
}
