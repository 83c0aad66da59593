//! One client's connection that speaks WebSocket: messages that come back.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use encarno_websocket::{CloseCode, Connection, Handler, Kind, Limits, Role, answer};

use super::clock::monotonic_ns;
use super::ending::Ending;
use super::log::LogEntry;
use super::wire::Wire;

/// Longer messages end the connection.
const MESSAGE_BYTES_MAX: u64 = 16 << 20;
/// A client that doesn't read isn't read from when so much waits for it.
const UNSENT_BYTES_MAX: usize = 1 << 20;

/// A connection, and the messages that are on their way over it.
#[derive(Debug)]
pub(super) struct Messages {
    connection: Connection,
    /// The answer to the handshake, until it has left.
    opening: Vec<u8>,
    came: Came,
    /// Where answers end, among all bytes that are sent.
    leaving: VecDeque<(u64, LogEntry, Ending)>,
    sent_bytes: u64,
    /// Bytes of the outbox that were sent and are still in it.
    sent: usize,
    is_broken: bool,
}

/// A message, and what becomes of it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
    pub(super) deed: Deed,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    /// It comes back.
    Echo,
    /// … and is broken off in the middle.
    Cut,
    /// … and the client is asked to leave.
    Leave,
    /// … and the connection is closed behind it.
    Close,
    /// It doesn't come back: the connection ends for that reason.
    Refuse(CloseCode),
}

#[derive(Debug, Default)]
struct Came {
    whole: VecDeque<(Kind, Vec<u8>)>,
    begun: Option<(Kind, Vec<u8>)>,
    is_closed: bool,
}

impl Messages {
    /// The handshake was asked for, and is agreed to.
    pub(super) fn new(accepted: &str) -> Self {
        let limits = Limits {
            message_bytes_max: MESSAGE_BYTES_MAX,
        };
        Self {
            connection: Connection::new(Role::Server, limits, 0),
            opening: answer(accepted),
            came: Came::default(),
            leaving: VecDeque::new(),
            sent_bytes: 0,
            sent: 0,
            is_broken: false,
        }
    }

    /// Takes what came. What isn't WebSocket ends the connection when the reason has left.
    pub(super) fn receive(&mut self, bytes: &mut [u8]) {
        if !self.is_broken {
            self.is_broken = self.connection.receive(bytes, &mut self.came).is_err();
        }
    }

    /// The next whole message.
    pub(super) fn next(&mut self) -> Option<(Kind, Vec<u8>)> {
        self.came.whole.pop_front()
    }

    /// Whether more may be read of the client.
    pub(super) fn takes_more(&self) -> bool {
        !self.is_broken && self.connection.outbox().len() - self.sent < UNSENT_BYTES_MAX
    }

    /// Puts an answer behind the others; false if there is none.
    pub(super) fn answer(&mut self, message: &Message, entry: LogEntry) -> bool {
        if self.is_broken || self.connection.is_closed() {
            return false;
        }
        let (mut ending, mut cut) = (Ending::Keep, 0);
        match message.deed {
            Deed::Refuse(code) => {
                self.connection.close(code, "");
                return false;
            }
            Deed::Echo | Deed::Leave => {}
            Deed::Close => ending = Ending::Close,
            Deed::Cut => (ending, cut) = (Ending::Reset, message.bytes.len().div_ceil(2).max(1)),
        }
        self.connection.send(message.kind, &message.bytes);
        let unsent = self.connection.outbox().len() - self.sent - cut;
        let ends_at = self.sent_bytes + unsent as u64;
        self.leaving.push_back((ends_at, entry, ending));
        if matches!(message.deed, Deed::Leave) {
            self.connection.close(CloseCode::GOING_AWAY, "");
        }
        true
    }

    /// Sends what there is room for, at most `piece_max` bytes at a time; false: nothing
    /// follows, and the connection is to be closed. Messages that have come back, or were
    /// broken off, go to `ended`.
    pub(super) fn send(
        &mut self,
        wire: &mut Wire,
        piece_max: usize,
        ended: &mut Vec<LogEntry>,
    ) -> io::Result<Option<Ending>> {
        let is_empty = loop {
            let end = match self
                .leaving
                .iter()
                .find(|(.., ending)| *ending != Ending::Keep)
            {
                // What follows an answer that ends the connection isn't sent.
                Some(&(ends_at, ..)) => (ends_at - self.sent_bytes) as usize + self.sent,
                None => self.connection.outbox().len(),
            };
            let piece = match self.opening.is_empty() {
                true => &self.connection.outbox()[self.sent..end],
                false => &self.opening[..],
            };
            let result = match piece.is_empty() {
                true => wire.flush().map(|()| 0),
                false => wire.write(&piece[..piece.len().min(piece_max)]),
            };
            match result {
                Ok(0) => break true,
                Ok(count) if !self.opening.is_empty() => drop(self.opening.drain(..count)),
                Ok(count) => {
                    self.sent += count;
                    self.sent_bytes += count as u64;
                    if self.sent == self.connection.outbox().len() {
                        self.connection.sent(self.sent);
                        self.sent = 0;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        let now_ns = monotonic_ns();
        while let Some(&(ends_at, entry, ending)) = self.leaving.front()
            && ends_at <= self.sent_bytes
        {
            self.leaving.pop_front();
            let sent_ns = if ending == Ending::Reset { 0 } else { now_ns };
            ended.push(LogEntry { sent_ns, ..entry });
            if ending != Ending::Keep {
                return Ok(Some(ending));
            }
        }
        let is_over = self.is_broken || self.came.is_closed;
        Ok((is_empty && is_over).then_some(Ending::Close))
    }

    /// The messages that won't come back any more.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = LogEntry> {
        self.leaving.iter().map(|&(_, entry, _)| entry)
    }
}

impl Handler for Came {
    fn begin(&mut self, kind: Kind) {
        self.begun = Some((kind, Vec::new()));
    }

    fn data(&mut self, bytes: &[u8], _: usize) {
        if let Some((_, message)) = &mut self.begun {
            message.extend_from_slice(bytes);
        }
    }

    fn end(&mut self) {
        self.whole.extend(self.begun.take());
    }

    fn pong(&mut self, _: &[u8], _: usize) {}

    fn close(&mut self, _: Option<CloseCode>, _: &str) {
        self.is_closed = true;
    }
}
