//! One client's WebSocket connection, whose messages are echoed.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use encarno_websocket::{CloseCode, Connection, Handler, Kind, Limits, Role, answer};

use super::clock::monotonic_ns;
use super::connection::Upgrade;
use super::ending::Ending;
use super::log::LogEntry;
use super::wire::Wire;

/// The longest message; a longer one ends the connection.
const MESSAGE_BYTES_MAX: u64 = 16 << 20;
/// A client with this many waiting bytes isn't read from.
const UNSENT_BYTES_MAX: usize = 1 << 20;

/// A connection, and the messages on their way.
#[derive(Debug)]
pub(super) struct Messages {
    connection: Connection,
    /// The rest of the answer to the handshake.
    opening: Vec<u8>,
    came: Came,
    /// The ends of answers, counted in all sent bytes.
    leaving: VecDeque<(u64, LogEntry, Ending)>,
    sent_bytes: u64,
    /// The number of the outbox's bytes that were sent.
    sent: usize,
    is_broken: bool,
}

/// A message, with its outcome.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
    pub(super) deed: Deed,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    /// It is echoed.
    Echo,
    /// It is echoed and broken off in the middle.
    Cut,
    /// It is echoed, and the client is asked to leave.
    Leave,
    /// It is echoed, and then the connection is closed.
    Close,
    /// It isn't echoed: the connection ends with this code.
    Refuse(CloseCode),
}

#[derive(Debug, Default)]
struct Came {
    whole: VecDeque<(Kind, Vec<u8>)>,
    begun: Option<(Kind, Vec<u8>)>,
    is_closed: bool,
}

impl Messages {
    /// A connection whose handshake is accepted.
    pub(super) fn new(upgrade: &Upgrade) -> Self {
        let limits = Limits {
            message_bytes_max: MESSAGE_BYTES_MAX,
        };
        let mut connection = Connection::new(Role::Server, limits, 0);
        if let Some(deflate) = &upgrade.deflate {
            connection.deflate(deflate);
        }
        let accepted = String::from_utf8_lossy(&upgrade.accepted);
        Self {
            connection,
            opening: answer(&accepted, upgrade.deflate.as_ref()),
            came: Came::default(),
            leaving: VecDeque::new(),
            sent_bytes: 0,
            sent: 0,
            is_broken: false,
        }
    }

    /// Takes received bytes. Bytes that aren't WebSocket end the connection once the
    /// reason has left.
    pub(super) fn receive(&mut self, bytes: &mut [u8]) {
        if !self.is_broken {
            self.is_broken = self.connection.receive(bytes, &mut self.came).is_err();
        }
    }

    /// The next complete message.
    pub(super) fn next(&mut self) -> Option<(Kind, Vec<u8>)> {
        self.came.whole.pop_front()
    }

    /// Whether more may be read from the client.
    pub(super) fn takes_more(&self) -> bool {
        !self.is_broken && self.connection.outbox().len() - self.sent < UNSENT_BYTES_MAX
    }

    /// Appends an answer; false if there is none.
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

    /// Sends as much as there is room for, in pieces of at most `piece_max` bytes. False
    /// if nothing follows and the connection must be closed. Messages that were echoed or
    /// broken off go to `ended`.
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
                // Bytes after an answer that ends the connection aren't sent.
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

    /// The messages that won't be echoed.
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
