//! One connection, and the hits on their way over it.

use encarno_nib::stream::StreamError;
use encarno_nib::{Hits, Io};
use encarno_websocket::{CloseCode, Connection, ConnectionError, HandshakeError, Limits, Role};
use rustix::io::Errno;

use super::Place;
use super::answers::{Answers, Message, Rules};
use super::opening::{Ask, Opening};
use super::queue::Queue;
use crate::links::{self, Dialed, Phase};

/// Reads of one turn: what a peer sends without end must not keep the event
/// loop from its other work.
const READS_MAX: usize = 16;
/// Writes of one turn.
const SENDS_MAX: usize = 32;
/// So much is put together before it is sent.
const OUTBOX_BYTES: usize = 64 << 10;
/// Answers that nobody waits for any more, beyond which the link is given up.
const OVERDUE_MIN: usize = 64;

/// A connection, and who uses it.
#[derive(Debug, Default)]
pub(super) struct Link {
    dialed: Dialed,
    state: State,
    pub(super) queue: Queue,
    message: Message,
    /// Bytes of the outbox that were sent and are still in it.
    sent: usize,
    sent_bytes: u64,
    answers: u64,
    broken: Option<Broken>,
}

/// How far its connection has come.
#[derive(Debug, Default)]
enum State {
    #[default]
    Closed,
    /// The handshake: what is left of the request, and what came of the answer.
    Asking {
        ask: Ask,
        sent: usize,
        answer: Vec<u8>,
        message_bytes_max: u64,
    },
    Agreed(Box<Connection>),
}

/// Why a link is of no use any more.
#[derive(Debug)]
pub(super) enum Broken {
    /// The operating system, the peer or TLS says so.
    Stream(StreamError),
    /// The server doesn't agree to speak WebSocket.
    Handshake(HandshakeError),
    /// What came isn't WebSocket.
    Protocol(ConnectionError),
    /// The server says so, for that reason.
    Closed(String),
    /// Nobody needs it, or too many answers didn't come.
    GivenUp,
}

impl From<StreamError> for Broken {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

impl links::Link for Link {
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
    /// The handshake begins, on a new socket.
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

    /// Whether an answer has come on it before.
    pub(super) fn is_reused(&self) -> bool {
        self.answers > 0
    }

    /// Why it is to be closed, if it is.
    pub(super) fn take_change(&mut self) -> Option<Broken> {
        self.dialed.take_change();
        self.broken.take()
    }

    /// Gives the workers back whose hits were on it.
    pub(super) fn close(&mut self) -> Vec<u32> {
        let workers = self.queue.clear();
        *self = Self {
            dialed: self.dialed.closed(),
            // Its tickets go on.
            queue: std::mem::take(&mut self.queue),
            ..Self::default()
        };
        workers
    }

    /// The hit's answer is nobody's.
    pub(super) fn give_up(&mut self, ticket: u64, streams: u32) {
        self.queue.give_up(ticket);
        let overdue_max = OVERDUE_MIN.max(4 * streams as usize);
        let is_silent = self.queue.workers().next().is_none();
        let alone = streams == 1 || is_silent && !self.is_agreed();
        if alone || self.queue.len() > overdue_max {
            self.broken.get_or_insert(Broken::GivenUp);
        }
    }

    /// TLS is agreed on.
    pub(super) fn note_tls(&self, since_ns: u64, now_ns: u64, hits: &mut dyn Hits<Place>) {
        if !self.dialed.is_tls() {
            return;
        }
        for worker in self.queue.workers() {
            if let Some((_, shot)) = hits.get(worker) {
                let since_ns = since_ns.max(shot.hit.started_ns);
                let took_us = now_ns.saturating_sub(since_ns) / 1000;
                shot.hit.tls_us = took_us.min(u64::from(u32::MAX)) as u32;
            }
        }
    }

    /// Takes what came; true if there may be more to read.
    pub(super) fn read(
        &mut self,
        rules: &Rules,
        opening: &Opening,
        head_bytes_max: usize,
        hits: &mut dyn Hits<Place>,
        io: &mut Io<'_>,
    ) -> Result<bool, Broken> {
        for _ in 0..READS_MAX {
            let Some(stream) = &mut self.dialed.stream else {
                return Ok(false);
            };
            let count = match stream.receive(io.scratch)? {
                None => return Ok(false),
                Some(0) => return Err(StreamError::Closed.into()),
                Some(count) => count,
            };
            let now_ns = io.clock.now_ns();
            match self.take_answer(&io.scratch[..count], opening, head_bytes_max)? {
                None => self.receive(&mut io.scratch[..count], rules, hits, now_ns)?,
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
                    self.receive(rest, rules, hits, now_ns)?;
                }
            }
        }
        Ok(true)
    }

    /// Takes bytes of the handshake's answer: so many of them are behind it. None if
    /// it was read before.
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
        let Some(head_bytes) = read.map_err(Broken::Handshake)? else {
            return Ok(Some(0));
        };
        let limits = Limits {
            message_bytes_max: *message_bytes_max,
        };
        let seed = ask.key.seed();
        self.state = State::Agreed(Box::new(Connection::new(Role::Client, limits, seed)));
        Ok(Some(bytes.len() - (head_bytes - before)))
    }

    fn receive(
        &mut self,
        bytes: &mut [u8],
        rules: &Rules,
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

    /// Sends what there is room for; true if there is more to send and room for it.
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
                // The peer may have said why before it closed: that is read first.
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

    /// Notes of hits that have left whole when that was.
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

    /// Says goodbye, if there is room for it.
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
        // It is of no consequence whether it arrives.
        let _sent = stream.send(&connection.outbox()[self.sent..]);
    }
}
