//! One client's connection that speaks HTTP/2: requests out of bytes, and answers
//! on their streams.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use encarno_http2::{
    Connection, ErrorCode, Handler, Head, HeadKind, Limits, Reset, Role, hpack::write_field,
};

use super::clock::monotonic_ns;
use super::connection::{Asked, number_at_end};
use super::log::LogEntry;
use super::wire::Wire;

/// So much is put together before it is sent.
const OUTBOX_BYTES: usize = 256 << 10;
/// A client that doesn't read isn't read from when so much waits for it.
const UNSENT_BYTES_MAX: usize = 1 << 20;
/// Bodies whose streams are gone, beyond which they are swept.
const VACANT_MAX: usize = 64;

/// A connection, and the answers that are on their way over it.
#[derive(Debug)]
pub(super) struct Exchanges {
    http: Connection<Asked>,
    /// Requests that are whole, and weren't taken yet.
    whole: VecDeque<(u32, Asked)>,
    bodies: VecDeque<Body>,
    /// Bodies that the windows have no room for.
    blocked: VecDeque<Body>,
    /// Answers that are whole in the outbox, and haven't left.
    leaving: VecDeque<(u64, LogEntry, bool)>,
    sent_bytes: u64,
    /// Bytes of the outbox that were sent and are still in it.
    sent: usize,
    is_broken: bool,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) stream: u32,
    pub(super) status: u16,
    /// Bytes of the body.
    pub(super) length: usize,
    /// Its head says how long the body is.
    pub(super) says_length: bool,
    pub(super) head_only: bool,
    /// It is broken off in the middle of the body.
    pub(super) cut: bool,
    /// The client is asked to leave …
    pub(super) leave: bool,
    /// … or the connection is closed behind the answer.
    pub(super) close: bool,
}

#[derive(Debug)]
struct Body {
    stream: u32,
    taken: usize,
    length: usize,
    cut: bool,
    close: bool,
    entry: LogEntry,
}

/// What became of what was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// All of it, or what the windows and the socket had room for.
    Open,
    /// Nothing follows: the connection is to be closed.
    Closed,
}

impl Exchanges {
    pub(super) fn new(streams_max: Option<u32>) -> Self {
        let usual = Limits::default();
        let limits = Limits {
            streams_max: streams_max.unwrap_or(usual.streams_max),
            ..usual
        };
        Self {
            http: Connection::new(Role::Server, limits),
            whole: VecDeque::new(),
            bodies: VecDeque::new(),
            blocked: VecDeque::new(),
            leaving: VecDeque::new(),
            sent_bytes: 0,
            sent: 0,
            is_broken: false,
        }
    }

    /// Takes what came. What isn't HTTP/2 ends the connection when the reason has left.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        if self.is_broken {
            return;
        }
        let mut whole = Whole(&mut self.whole);
        self.is_broken = self.http.receive(bytes, &mut whole).is_err();
    }

    /// The next whole request, and its stream.
    pub(super) fn next_request(&mut self) -> Option<(u32, Asked)> {
        self.whole.pop_front()
    }

    /// Whether more may be read of the client.
    pub(super) fn takes_more(&self) -> bool {
        !self.is_broken && self.http.outbox().len() - self.sent < UNSENT_BYTES_MAX
    }

    /// Puts an answer behind the others; false if nobody waits for it any more.
    pub(super) fn answer(&mut self, reply: &Reply, entry: LogEntry) -> bool {
        if self.http.user(reply.stream).is_none() {
            return false;
        }
        let mut block = Vec::with_capacity(16);
        write_field(b":status", reply.status.to_string().as_bytes(), &mut block);
        if reply.says_length {
            let length = reply.length.to_string();
            write_field(b"content-length", length.as_bytes(), &mut block);
        }
        let length = match (reply.head_only, reply.cut) {
            (true, _) => 0,
            (false, true) => reply.length / 2,
            (false, false) => reply.length,
        };
        let ends = length == 0 && !reply.cut;
        self.http.respond(reply.stream, &block, ends);
        if reply.leave {
            self.http.ask_to_leave();
        }
        if ends {
            self.leaving
                .push_back((self.put_bytes(), entry, reply.close));
        } else {
            self.bodies.push_back(Body {
                stream: reply.stream,
                taken: 0,
                length,
                cut: reply.cut,
                close: reply.close,
                entry,
            });
        }
        true
    }

    /// Sends what there is room for, at most `piece_max` bytes at a time. Requests
    /// whose answers have left, or were broken off, go to `ended`.
    pub(super) fn send(
        &mut self,
        wire: &mut Wire,
        body: &[u8],
        piece_max: usize,
        ended: &mut Vec<LogEntry>,
    ) -> io::Result<Sent> {
        let is_empty = loop {
            self.fill(body, ended);
            let rest = &self.http.outbox()[self.sent..];
            let result = match rest.is_empty() {
                true => wire.flush().map(|()| 0),
                false => wire.write(&rest[..rest.len().min(piece_max)]),
            };
            match result {
                Ok(0) => break true,
                Ok(count) => {
                    self.sent += count;
                    self.sent_bytes += count as u64;
                    if self.sent == self.http.outbox().len() {
                        self.http.sent(self.sent);
                        self.sent = 0;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        let sent_ns = monotonic_ns();
        while let Some(&(ends_at, entry, close)) = self.leaving.front()
            && ends_at <= self.sent_bytes
        {
            self.leaving.pop_front();
            ended.push(LogEntry { sent_ns, ..entry });
            if close {
                return Ok(Sent::Closed);
            }
        }
        match is_empty && self.is_broken {
            true => Ok(Sent::Closed),
            false => Ok(Sent::Open),
        }
    }

    /// The requests whose answers won't leave any more.
    pub(super) fn unanswered(self) -> impl Iterator<Item = LogEntry> {
        let bodies = self.bodies.into_iter().chain(self.blocked);
        let bodies = bodies.map(|body| body.entry);
        bodies.chain(self.leaving.into_iter().map(|(_, entry, _)| entry))
    }

    /// Puts of the bodies into the outbox what the windows allow.
    fn fill(&mut self, bytes: &[u8], ended: &mut Vec<LogEntry>) {
        if self.is_broken {
            return;
        }
        if self.http.take_room() {
            self.bodies.append(&mut self.blocked);
        }
        while self.http.outbox().len() < OUTBOX_BYTES
            && let Some(mut body) = self.bodies.pop_front()
        {
            if self.http.user(body.stream).is_none() {
                ended.push(body.entry);
                continue;
            }
            let piece = &bytes[body.taken..body.length];
            let piece = &piece[..piece.len().min(OUTBOX_BYTES)];
            let is_last = body.taken + piece.len() == body.length;
            let taken = self.http.data(body.stream, piece, is_last && !body.cut);
            body.taken += taken;
            if taken < piece.len() {
                self.blocked.push_back(body);
                self.sweep(ended);
            } else if body.taken < body.length {
                self.bodies.push_back(body);
            } else if body.cut {
                self.http.reset(body.stream, ErrorCode::INTERNAL);
                ended.push(body.entry);
            } else {
                let ends_at = self.put_bytes();
                self.leaving.push_back((ends_at, body.entry, body.close));
            }
        }
    }

    /// A client that closes its streams, and gives no room, must not make us keep them.
    fn sweep(&mut self, ended: &mut Vec<LogEntry>) {
        if self.blocked.len() <= VACANT_MAX + 2 * self.http.streams() {
            return;
        }
        let http = &mut self.http;
        self.blocked.retain(|body| {
            let is_there = http.user(body.stream).is_some();
            if !is_there {
                ended.push(body.entry);
            }
            is_there
        });
    }

    fn put_bytes(&self) -> u64 {
        self.sent_bytes + (self.http.outbox().len() - self.sent) as u64
    }
}

/// Where whole requests go.
struct Whole<'a>(&'a mut VecDeque<(u32, Asked)>);

impl Handler<Asked> for Whole<'_> {
    fn wants_text(&mut self, _: &Asked) -> bool {
        false
    }

    fn begin(&mut self, _: u32) -> Option<Asked> {
        Some(Asked::default())
    }

    fn head(&mut self, stream: u32, asked: &mut Asked, head: &Head<'_>, ends: bool) {
        if head.kind == HeadKind::Final {
            asked.sequence = number_at_end(head.path);
            asked.head_only = head.is_head;
        }
        if ends {
            self.0.push_back((stream, *asked));
        }
    }

    fn data(&mut self, stream: u32, asked: &mut Asked, _: &[u8], _: usize, ends: bool) {
        if ends {
            self.0.push_back((stream, *asked));
        }
    }

    /// Nobody waits for the answer.
    fn reset(&mut self, _: u32, _: Asked, _: Reset) {}
}
