//! One connection, with its running hits.

use encarno_nib::stream::{Stream, StreamError};
use encarno_nib::{Hits, Io};
use encarno_websocket::{CloseCode, Connection, ConnectionError, HandshakeError, Limits, Role};
use rustix::io::Errno;

use super::Place;
use super::answers::{Answers, Message, Rules};
use super::opening::{Ask, Opening};
use super::pushed::Pushed;
use super::queue::Queue;
use crate::links::{self, Dialed, Phase, note_handshake};

/// The most reads of one turn, so that a peer that sends without end doesn't hold up the
/// event loop.
const READS_MAX: usize = 16;
/// With compression, as many bytes are read at once, because they may become a thousand
/// times as many.
const PACKED_BYTES: usize = 8 << 10;
/// After so many decompressed bytes, a turn ends.
const UNPACKED_BYTES: u64 = 1 << 20;
/// The most writes of one turn.
const SENDS_MAX: usize = 32;
/// The most bytes that are built before they are sent.
const OUTBOX_BYTES: usize = 64 << 10;
/// The number of outstanding answers without a waiting hit from which on the link is
/// given up.
const OVERDUE_MIN: usize = 64;

/// A connection, and its users.
#[derive(Debug, Default)]
pub(super) struct Link {
    dialed: Dialed,
    state: State,
    pub(super) queue: Queue,
    message: Message,
    /// The number of the outbox's bytes that were sent.
    sent: usize,
    sent_bytes: u64,
    answers: u64,
    broken: Option<Broken>,
}

/// The state of the connection.
#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    /// The handshake: the rest of the request, and the received part of the answer.
    Asking {
        ask: Ask,
        sent: usize,
        answer: Vec<u8>,
        message_bytes_max: u64,
    },
    Agreed(Box<Connection>),
}

/// Why a link can't be used any more.
#[derive(Debug)]
pub(super) enum Broken {
    /// An error of the operating system, the peer or TLS.
    Stream(StreamError),
    /// The server doesn't accept WebSocket.
    Handshake(HandshakeError),
    /// The received data aren't WebSocket.
    Protocol(ConnectionError),
    /// The server closed it, with this reason.
    Closed(String),
    /// It isn't needed any more, or too many answers are outstanding.
    GivenUp,
}

impl From<StreamError> for Broken {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

impl links::Link for Link {
    type Transport = Stream;

    fn dialed(&self) -> &Dialed {
        &self.dialed
    }

    fn dialed_mut(&mut self) -> &mut Dialed {
        &mut self.dialed
    }

    fn takes_hits(&self) -> bool {
        !self.is_broken()
    }

    fn is_idle(&self) -> bool {
        self.queue.len() == 0
    }

    fn let_down(&mut self) {
        self.broken.get_or_insert(Broken::GivenUp);
    }
}

impl Link {
    /// Begins the handshake on a new socket.
    pub(super) fn begin(&mut self, ask: Ask, message_bytes_max: u64) {
        self.state = State::Asking {
            ask,
            sent: 0,
            answer: Vec::new(),
            message_bytes_max,
        };
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Whether messages can be sent.
    pub(super) fn is_agreed(&self) -> bool {
        matches!(self.state, State::Agreed(_))
    }

    /// Whether an answer has come on it.
    pub(super) fn is_reused(&self) -> bool {
        self.answers > 0
    }

    /// Why the link must be closed, if it must.
    pub(super) fn take_change(&mut self) -> Option<Broken> {
        self.dialed.take_change();
        self.broken.take()
    }

    /// Closes the link, and returns the workers whose hits were on it.
    pub(super) fn close(&mut self) -> Vec<u32> {
        let workers = self.queue.clear();
        *self = Self {
            dialed: self.dialed.closed(),
            // Tickets continue from the old ones.
            queue: std::mem::take(&mut self.queue),
            ..Self::default()
        };
        workers
    }

    /// Gives a hit up; its answer will be ignored.
    pub(super) fn give_up(&mut self, ticket: u64, streams: u32) {
        self.queue.give_up(ticket);
        let overdue_max = OVERDUE_MIN.max(4 * streams as usize);
        let is_silent = self.queue.workers().next().is_none();
        let alone = streams == 1 || is_silent && !self.is_agreed();
        if alone || self.queue.len() > overdue_max {
            self.broken.get_or_insert(Broken::GivenUp);
        }
    }

    /// Records the time of the TLS handshake.
    pub(super) fn note_tls(&self, since_ns: u64, now_ns: u64, hits: &mut dyn Hits<Place>) {
        if !self.dialed.is_tls() {
            return;
        }
        for worker in self.queue.workers() {
            if let Some((_, shot)) = hits.get(worker) {
                note_handshake(&mut shot.hit, since_ns, now_ns);
            }
        }
    }

    /// Reads; true if there may be more to read.
    pub(super) fn read(
        &mut self,
        rules: &Rules,
        opening: &Opening,
        head_bytes_max: usize,
        mut pushed: Option<&mut Pushed>,
        hits: &mut dyn Hits<Place>,
        io: &mut Io<'_>,
    ) -> Result<bool, Broken> {
        let unpacked_before = self.unpacked_bytes().unwrap_or(0);
        for _ in 0..READS_MAX {
            let room = match self.unpacked_bytes() {
                None => io.scratch.len(),
                Some(unpacked) if unpacked - unpacked_before > UNPACKED_BYTES => break,
                Some(_) => PACKED_BYTES.min(io.scratch.len()),
            };
            let Some(stream) = &mut self.dialed.stream else {
                return Ok(false);
            };
            let count = match stream.receive(&mut io.scratch[..room])? {
                None => return Ok(false),
                Some(0) => return Err(StreamError::Closed.into()),
                Some(count) => count,
            };
            let now_ns = io.clock.now_ns();
            match self.take_answer(&io.scratch[..count], opening, head_bytes_max)? {
                None => {
                    let (bytes, pushed) = (&mut io.scratch[..count], pushed.as_deref_mut());
                    self.receive(bytes, rules, pushed, hits, now_ns)?;
                }
                Some(rest) => {
                    if !self.is_agreed() {
                        continue;
                    }
                    for worker in self.queue.workers() {
                        if let Some((_, shot)) = hits.get(worker) {
                            shot.hit.connected_ns = now_ns;
                        }
                    }
                    let (_, rest) = io.scratch[..count].split_at_mut(count - rest);
                    self.receive(rest, rules, pushed.as_deref_mut(), hits, now_ns)?;
                }
            }
        }
        Ok(true)
    }

    /// The bytes that were decompressed so far, if messages are compressed.
    fn unpacked_bytes(&self) -> Option<u64> {
        match &self.state {
            State::Agreed(connection) if connection.deflates() => Some(connection.unpacked_bytes()),
            _ => None,
        }
    }

    /// Takes bytes of the handshake's answer, and returns the number of bytes after it;
    /// `None` if it was read before.
    fn take_answer(
        &mut self,
        bytes: &[u8],
        opening: &Opening,
        head_bytes_max: usize,
    ) -> Result<Option<usize>, Broken> {
        let State::Asking {
            ask,
            answer,
            message_bytes_max,
            ..
        } = &mut self.state
        else {
            return Ok(None);
        };
        let before = answer.len();
        answer.extend_from_slice(bytes);
        let read = opening.read(answer, &ask.key, head_bytes_max);
        let Some(agreed) = read.map_err(Broken::Handshake)? else {
            return Ok(Some(0));
        };
        let limits = Limits {
            message_bytes_max: *message_bytes_max,
        };
        let seed = ask.key.seed();
        let mut connection = Box::new(Connection::new(Role::Client, limits, seed));
        if let Some(deflate) = &agreed.deflate {
            connection.deflate(deflate);
        }
        self.state = State::Agreed(connection);
        Ok(Some(bytes.len() - (agreed.head_bytes - before)))
    }

    fn receive(
        &mut self,
        bytes: &mut [u8],
        rules: &Rules,
        pushed: Option<&mut Pushed>,
        hits: &mut dyn Hits<Place>,
        now_ns: u64,
    ) -> Result<(), Broken> {
        let State::Agreed(connection) = &mut self.state else {
            return Ok(());
        };
        let mut answers = Answers {
            rules,
            queue: &mut self.queue,
            message: &mut self.message,
            hits,
            pushed,
            now_ns,
            ended: 0,
            closed: None,
        };
        let result = connection.receive(bytes, &mut answers);
        self.answers += answers.ended;
        let closed = answers.closed.take();
        result.map_err(Broken::Protocol)?;
        match closed {
            Some(why) => Err(Broken::Closed(why)),
            None => Ok(()),
        }
    }

    /// Sends as much as there is room for; true if there is more to send and room for it.
    pub(super) fn write(
        &mut self,
        rules: &Rules,
        hits: &mut dyn Hits<Place>,
        io: &Io<'_>,
    ) -> Result<bool, Broken> {
        for _ in 0..SENDS_MAX {
            self.fill(rules);
            let Some(stream) = &mut self.dialed.stream else {
                return Ok(false);
            };
            let rest = match &self.state {
                State::Closed => return Ok(false),
                State::Asking { ask, sent, .. } => &ask.request[*sent..],
                State::Agreed(connection) => &connection.outbox()[self.sent..],
            };
            let sent = match rest.is_empty() {
                true => Ok(None),
                false => stream.send(rest),
            };
            match sent {
                Ok(None) => return self.note_left(rules, hits, io).map(|()| false),
                Ok(Some(count)) => self.note_sent(count),
                // The peer may have sent a reason before it closed, so read first.
                Err(StreamError::System(Errno::PIPE | Errno::CONNRESET)) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        self.note_left(rules, hits, io).map(|()| true)
    }

    fn note_sent(&mut self, count: usize) {
        match &mut self.state {
            State::Closed => {}
            State::Asking { sent, .. } => *sent += count,
            State::Agreed(connection) => {
                self.sent += count;
                self.sent_bytes += count as u64;
                if self.sent == connection.outbox().len() {
                    connection.sent(self.sent);
                    self.sent = 0;
                }
            }
        }
    }

    /// Puts messages into the outbox, as far as there is room.
    fn fill(&mut self, rules: &Rules) {
        let State::Agreed(connection) = &mut self.state else {
            return;
        };
        while connection.outbox().len() < OUTBOX_BYTES
            && let Some(payload) = self.queue.next_payload()
        {
            let before = connection.outbox().len();
            match rules.pings {
                true => connection.ping(payload),
                false => connection.send(rules.kind, payload),
            }
            let after = connection.outbox().len();
            let ends_at = self.sent_bytes + (after - self.sent) as u64;
            self.queue.note_taken((after - before) as u64, ends_at);
        }
    }

    /// Records the instant at which hits have left completely.
    fn note_left(
        &mut self,
        rules: &Rules,
        hits: &mut dyn Hits<Place>,
        io: &Io<'_>,
    ) -> Result<(), Broken> {
        let Some(stream) = &mut self.dialed.stream else {
            return Ok(());
        };
        if !stream.flushed()? {
            return Ok(());
        }
        let now_ns = io.clock.now_ns();
        while let Some((worker, wire_bytes)) = self.queue.next_left(self.sent_bytes) {
            if let Some((place, shot)) = worker.and_then(|worker| hits.get(worker)) {
                shot.hit.sent_ns = now_ns;
                shot.hit.sent_bytes = wire_bytes;
                if !rules.answers {
                    place.on = None;
                    shot.hit.ended_ns = now_ns;
                }
            }
            if !rules.answers {
                self.answers += 1;
                if let Some(worker) = self.queue.pop() {
                    hits.end(worker);
                }
            }
        }
        Ok(())
    }

    /// Sends a close frame, if there is room for it.
    pub(super) fn say_last(&mut self, why: &Broken) {
        let (Some(stream), State::Agreed(connection), Phase::Open) =
            (&mut self.dialed.stream, &mut self.state, self.dialed.phase)
        else {
            return;
        };
        if matches!(why, Broken::Stream(_)) {
            return;
        }
        connection.close(CloseCode::NORMAL, "");
        // It doesn't matter whether it arrives.
        let _sent = stream.send(&connection.outbox()[self.sent..]);
    }
}
