//! One client's HTTP/2 connection: its requests, and the answers on their streams.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use encarno_grpc::percent_encoded;
use encarno_http2::{
    Connection, ErrorCode, Handler, Head, HeadKind, Limits, Reset, Role, hpack::write_field,
};

use super::calls::{Call, CallReply};
use super::clock::monotonic_ns;
use super::connection::{Asked, number_at_end};
use super::log::LogEntry;
use super::wire::Wire;

/// The most bytes that are collected before they are sent.
const OUTBOX_BYTES: usize = 256 << 10;
/// A client with this many waiting bytes isn't read from.
const UNSENT_BYTES_MAX: usize = 1 << 20;
/// The number of bodies without a stream from which on they are removed.
const VACANT_MAX: usize = 64;

/// A connection, and the answers on their way.
#[derive(Debug)]
pub(super) struct Exchanges {
    http: Connection<Pending>,
    /// Complete requests that weren't taken yet.
    whole: VecDeque<(u32, Asked, Option<Box<Call>>)>,
    bodies: VecDeque<Body>,
    /// Bodies for which the windows have no room.
    blocked: VecDeque<Body>,
    /// Answers that are completely in the outbox, but haven't left.
    leaving: VecDeque<(u64, LogEntry, bool)>,
    sent_bytes: u64,
    /// The number of the outbox's bytes that were sent.
    sent: usize,
    is_broken: bool,
}

/// A request that is coming.
#[derive(Debug, Default)]
struct Pending {
    asked: Asked,
    /// It is one of gRPC.
    call: Option<Box<Call>>,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reply {
    pub(super) stream: u32,
    pub(super) status: u16,
    /// The length of the body.
    pub(super) length: usize,
    /// Whether its head has the length of the body.
    pub(super) says_length: bool,
    pub(super) head_only: bool,
    /// Whether it is broken off in the middle of the body.
    pub(super) cut: bool,
    /// Whether the client is asked to leave.
    pub(super) leave: bool,
    /// Whether the connection is closed after the answer.
    pub(super) close: bool,
}

#[derive(Debug)]
struct Body {
    stream: u32,
    taken: usize,
    length: usize,
    cut: bool,
    close: bool,
    /// Nothing is logged where more follows.
    entry: Option<LogEntry>,
    /// Messages of a call, in place of the usual body.
    call: Option<CallBody>,
}

/// Messages of a call, and the trailers behind the last of them.
#[derive(Debug)]
struct CallBody {
    bytes: Vec<u8>,
    trailers: Option<Vec<u8>>,
}

/// The state after sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The connection stays open.
    Open,
    /// The connection must be closed, because nothing follows.
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

    /// Takes received bytes. Bytes that aren't HTTP/2 end the connection once the reason
    /// has left.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        if self.is_broken {
            return;
        }
        let mut whole = Whole {
            whole: &mut self.whole,
            said: Vec::new(),
        };
        self.is_broken = self.http.receive(bytes, &mut whole).is_err();
        for (stream, reply) in whole.said {
            self.answer_call(stream, reply, None);
        }
    }

    /// The next complete request, with its stream.
    pub(super) fn next_request(&mut self) -> Option<(u32, Asked, Option<Box<Call>>)> {
        while let Some((stream, asked, call)) = self.whole.pop_front() {
            match call {
                // What is asked about the service itself is no request to it.
                Some(call) if call.is_reflection() => {
                    self.answer_call(stream, call.reply(), None);
                }
                call => return Some((stream, asked, call)),
            }
        }
        None
    }

    /// Puts messages of a call behind the others, and its end if it has a status; false
    /// if nobody waits for it any more. What is logged is the end.
    pub(super) fn answer_call(
        &mut self,
        stream: u32,
        reply: CallReply,
        entry: Option<LogEntry>,
    ) -> bool {
        if self.http.user(stream).is_none() {
            return false;
        }
        let mut trailers = Vec::new();
        let status = reply.status.filter(|_| reply.rest.is_none());
        let only_trailers = !reply.has_begun && reply.bytes.is_empty() && status.is_some();
        if !reply.has_begun {
            let mut block = Vec::with_capacity(64);
            write_field(b":status", b"200", &mut block);
            write_field(b"content-type", b"application/grpc", &mut block);
            if reply.is_compressed {
                write_field(b"grpc-encoding", b"gzip", &mut block);
            }
            match only_trailers {
                true => trailers = block,
                false => self.http.respond(stream, &block, false),
            }
        }
        if let Some(status) = status {
            let number = status.number().to_string();
            write_field(b"grpc-status", number.as_bytes(), &mut trailers);
            if !reply.text.is_empty() {
                let text = percent_encoded(&reply.text);
                write_field(b"grpc-message", text.as_bytes(), &mut trailers);
            }
        }
        if only_trailers {
            self.http.respond(stream, &trailers, true);
            if let Some(entry) = entry {
                self.leaving.push_back((self.put_bytes(), entry, false));
            }
            return true;
        }
        let trailers = status.is_some().then_some(trailers);
        // Those of one stream stay in order.
        let mut all = self.bodies.iter_mut().chain(&mut self.blocked);
        let earlier = all.find(|body| body.stream == stream);
        if let Some(body) = earlier
            && let Some(call) = &mut body.call
        {
            call.bytes.extend_from_slice(&reply.bytes);
            call.trailers = trailers;
            body.length = call.bytes.len();
            body.entry = entry.filter(|_| status.is_some());
            return true;
        }
        self.bodies.push_back(Body {
            stream,
            taken: 0,
            length: reply.bytes.len(),
            cut: false,
            close: false,
            entry: entry.filter(|_| status.is_some()),
            call: Some(CallBody {
                bytes: reply.bytes,
                trailers,
            }),
        });
        true
    }

    /// Whether more may be read from the client.
    pub(super) fn takes_more(&self) -> bool {
        !self.is_broken && self.http.outbox().len() - self.sent < UNSENT_BYTES_MAX
    }

    /// Appends an answer; false if it isn't needed any more.
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
                entry: Some(entry),
                call: None,
            });
        }
        true
    }

    /// Sends as much as there is room for, in pieces of at most `piece_max` bytes.
    /// Requests whose answers have left or were broken off go to `ended`.
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

    /// The requests whose answers won't be sent.
    pub(super) fn unanswered(self) -> impl Iterator<Item = LogEntry> {
        let bodies = self.bodies.into_iter().chain(self.blocked);
        let bodies = bodies.filter_map(|body| body.entry);
        bodies.chain(self.leaving.into_iter().map(|(_, entry, _)| entry))
    }

    /// Puts parts of bodies into the outbox, as far as the windows allow.
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
                ended.extend(body.entry);
                continue;
            }
            let whole = body.call.as_ref().map_or(bytes, |call| &call.bytes);
            let piece = &whole[body.taken..body.length];
            let piece = &piece[..piece.len().min(OUTBOX_BYTES)];
            let is_last = body.taken + piece.len() == body.length;
            let ends = is_last && !body.cut && body.call.is_none();
            let taken = self.http.data(body.stream, piece, ends);
            body.taken += taken;
            if taken < piece.len() {
                self.blocked.push_back(body);
                self.sweep(ended);
            } else if body.taken < body.length {
                self.bodies.push_back(body);
            } else if body.cut {
                self.http.reset(body.stream, ErrorCode::INTERNAL);
                ended.extend(body.entry);
            } else {
                if let Some(trailers) = body.call.and_then(|call| call.trailers) {
                    self.http.respond(body.stream, &trailers, true);
                }
                let ends_at = self.put_bytes();
                if let Some(entry) = body.entry {
                    self.leaving.push_back((ends_at, entry, body.close));
                }
            }
        }
    }

    /// Removes bodies of closed streams, so that a client that closes its streams and
    /// gives no room can't make us keep them.
    fn sweep(&mut self, ended: &mut Vec<LogEntry>) {
        if self.blocked.len() <= VACANT_MAX + 2 * self.http.streams() {
            return;
        }
        let http = &mut self.http;
        self.blocked.retain(|body| {
            let is_there = http.user(body.stream).is_some();
            if !is_there {
                ended.extend(body.entry);
            }
            is_there
        });
    }

    fn put_bytes(&self) -> u64 {
        self.sent_bytes + (self.http.outbox().len() - self.sent) as u64
    }
}

/// Collects complete requests.
struct Whole<'a> {
    whole: &'a mut VecDeque<(u32, Asked, Option<Box<Call>>)>,
    /// What is said at once, and on which stream.
    said: Vec<(u32, CallReply)>,
}

impl Whole<'_> {
    fn push(&mut self, stream: u32, pending: &mut Pending) {
        let call = pending.call.take();
        let sequence = call.as_deref().and_then(Call::sequence);
        let asked = Asked {
            sequence: sequence.or(pending.asked.sequence),
            ..pending.asked
        };
        self.whole.push_back((stream, asked, call));
    }
}

impl Handler<Pending> for Whole<'_> {
    fn wants_text(&mut self, _: &Pending) -> bool {
        false
    }

    fn begin(&mut self, _: u32) -> Option<Pending> {
        Some(Pending::default())
    }

    fn head(&mut self, stream: u32, pending: &mut Pending, head: &Head<'_>, ends: bool) {
        if head.kind == HeadKind::Final {
            pending.asked.sequence = number_at_end(head.path);
            pending.asked.head_only = head.is_head;
            pending.call = Call::of_path(head.path);
        }
        if ends {
            self.push(stream, pending);
        }
    }

    fn data(&mut self, stream: u32, pending: &mut Pending, bytes: &[u8], _: usize, ends: bool) {
        if let Some(call) = &mut pending.call {
            let said = call.take(bytes).map(|said| (stream, said));
            self.said.extend(said);
        }
        if ends {
            self.push(stream, pending);
        }
    }

    /// The answer isn't needed any more.
    fn reset(&mut self, _: u32, _: Pending, _: Reset) {}
}
