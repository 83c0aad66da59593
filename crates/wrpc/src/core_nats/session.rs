//! One connection to one server, from its first byte to its last.

use std::collections::VecDeque;
use std::future::Future as _;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncReadExt as _;
use tokio::sync::oneshot;
use tokio::time::{Interval, MissedTickBehavior};

use super::error::{Error, ErrorKind};
use super::event::Event;
use super::hello::Info;
use super::message::{Headers, Message};
use super::options::ServerAddr;
use super::parse::{Found, Op, parse};
use super::shared::{Next, Shared};
use super::subject::Subject;
use super::subscription::Subscriptions;
use crate::lock;
use crate::outbox::Outbox;
use crate::socket::Stream;

/// The least number of bytes that a read asks for, and the most room that is made at
/// once.
const READ_BYTES: usize = 32 << 10;
const READ_BYTES_MAX: usize = 1 << 20;

/// Payloads up to this size are copied, so that they don't keep other data of the same
/// read in memory.
const COPY_MAX: usize = 8 << 10;

/// The most unanswered pings in a row before the session ends: without any other traffic,
/// or in any case.
const UNANSWERED_MAX: u32 = 2;
const UNANSWERED_MAX_IF_HEARD: u32 = 10;

/// The server gets answers only while fewer bytes than this are on their way to it.
const ANSWERS_BYTES_MAX: usize = 1 << 20;

/// The most refusals that are kept while a session begins.
const REFUSALS_MAX: usize = 1024;

/// The beginning or end of a session.
pub(super) enum Milestone {
    /// The server has accepted us, and knows our subscriptions.
    Up,
    /// The session was lost.
    Lost(Error),
    /// Everything is written, and the client has been dropped.
    Done,
}

pub(super) struct Session {
    stream: Stream,
    server: ServerAddr,
    is_up: bool,
    /// Refusals before the session was up.
    refusals: Vec<String>,
    inbox: BytesMut,
    /// The inbox needs at least this many bytes to contain an operation.
    least: usize,
    /// The number of bytes to skip of an operation that is too large.
    left_out: u64,
    /// Bytes that are being written, without a lock, while others fill the outbox.
    writing: Outbox,
    /// Pings to the server, in the order in which it answers them.
    asked: VecDeque<Asked>,
    clock: Interval,
    unanswered: u32,
    has_heard: bool,
    /// Whether the server waits for a pong; one answer suffices for several pings.
    owes_answer: bool,
}

enum Asked {
    /// At the end of the session's introduction.
    Hello,
    /// Whether the server is alive.
    Alive,
    /// Whether the server has handled what was sent.
    Flush(oneshot::Sender<()>),
}

impl Session {
    /// A session over a stream on which the server has introduced itself. `hello` is sent
    /// first; `inbox` is what arrived after the server's introduction.
    pub(super) fn new(
        stream: Stream,
        server: ServerAddr,
        inbox: BytesMut,
        hello: &str,
        ping_interval: Duration,
    ) -> Self {
        let mut writing = Outbox::default();
        writing.put(hello.as_bytes());
        writing.put(b"PING\r\n");
        let mut clock = tokio::time::interval(ping_interval.max(Duration::from_millis(1)));
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        clock.reset();
        Self {
            stream,
            server,
            is_up: false,
            refusals: Vec::new(),
            inbox,
            least: 0,
            left_out: 0,
            writing,
            asked: [Asked::Hello].into(),
            clock,
            unanswered: 0,
            has_heard: false,
            owes_answer: false,
        }
    }

    /// Takes the server's refusals from before the session was up.
    pub(super) fn take_refusals(&mut self) -> Vec<String> {
        std::mem::take(&mut self.refusals)
    }

    /// Writes and reads until a milestone is reached.
    pub(super) fn poll(&mut self, shared: &Shared, context: &mut Context<'_>) -> Poll<Milestone> {
        let was_up = self.is_up;
        match self.advance(shared, context) {
            Ok(Poll::Ready(())) if was_up => Poll::Ready(Milestone::Done),
            Ok(Poll::Ready(())) => Poll::Ready(Milestone::Up),
            Ok(Poll::Pending) => Poll::Pending,
            Err(error) => Poll::Ready(Milestone::Lost(error)),
        }
    }

    fn advance(&mut self, shared: &Shared, context: &mut Context<'_>) -> Result<Poll<()>, Error> {
        let was_up = self.is_up;
        loop {
            // Report this before anything else.
            if self.is_up && !was_up {
                return Ok(Poll::Ready(()));
            }
            if self.is_up && self.writing.is_done() {
                for handled in shared.take(&mut self.writing) {
                    self.ask(Asked::Flush(handled));
                }
            }
            if self.owes_answer && self.writing.len() < ANSWERS_BYTES_MAX {
                self.owes_answer = false;
                self.writing.put(b"PONG\r\n");
            }
            let mut is_stuck = self.writing.is_done();
            if !is_stuck {
                match self.writing.poll_write(&mut self.stream, context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Err(Error::of_socket(&error)),
                    Poll::Pending => is_stuck = true,
                }
            }
            // The bytes after the introduction may contain a whole answer.
            if self.least <= self.inbox.len() && !self.inbox.is_empty() {
                self.deliver(shared)?;
            }
            let missing = self.least.saturating_sub(self.inbox.len());
            self.inbox
                .reserve(missing.clamp(READ_BYTES, READ_BYTES_MAX));
            // Don't use the buffer of a large message for small ones, because each kept
            // part of it would keep the whole buffer.
            if self.inbox.capacity() > 4 * READ_BYTES.max(self.least) {
                let mut inbox = BytesMut::with_capacity(READ_BYTES + self.inbox.len());
                inbox.extend_from_slice(&self.inbox);
                self.inbox = inbox;
            }
            match pin!(self.stream.read_buf(&mut self.inbox)).poll(context) {
                Poll::Ready(Ok(0)) => {
                    return Err(Error::new(ErrorKind::Io, "the server closed it"));
                }
                Poll::Ready(Ok(_)) => {
                    self.has_heard = true;
                    self.deliver(shared)?;
                    continue;
                }
                Poll::Ready(Err(error)) => return Err(Error::of_socket(&error)),
                Poll::Pending => {}
            }
            if self.clock.poll_tick(context).is_ready() {
                self.look_after()?;
                continue;
            }
            if is_stuck {
                let can_write = self.is_up && self.writing.is_done();
                match shared.next(can_write, context) {
                    Next::Write => {}
                    Next::Wait => return Ok(Poll::Pending),
                    Next::End => return Ok(Poll::Ready(())),
                }
            }
        }
    }

    fn ask(&mut self, what: Asked) {
        self.writing.put(b"PING\r\n");
        self.asked.push_back(what);
    }

    /// Pings the server, or finds that it doesn't answer.
    fn look_after(&mut self) -> Result<(), Error> {
        let has_heard = std::mem::take(&mut self.has_heard);
        let max = match has_heard {
            true => UNANSWERED_MAX_IF_HEARD,
            false => UNANSWERED_MAX,
        };
        if self.unanswered >= max {
            let text = "the server has stopped answering";
            return Err(Error::new(ErrorKind::TimedOut, text));
        }
        self.unanswered += 1;
        self.ask(Asked::Alive);
        Ok(())
    }

    /// Handles all operations that have arrived.
    fn deliver(&mut self, shared: &Shared) -> Result<(), Error> {
        let subscriptions = lock(&shared.subscriptions);
        loop {
            if self.left_out > 0 {
                let here = self.left_out.min(self.inbox.len() as u64);
                self.inbox.advance(here as usize);
                self.left_out -= here;
            }
            if self.inbox.is_empty() || self.inbox.len() < self.least {
                return Ok(());
            }
            let found = parse(&self.inbox).map_err(|reason| {
                let text = format!("the server breaks the rules of NATS: {reason}");
                Error::new(ErrorKind::Protocol, text)
            })?;
            match found {
                Found::Beginning(least) => self.least = least,
                Found::Op(op, length) => {
                    self.least = 0;
                    self.handle(shared, &subscriptions, op, length)?;
                }
            }
        }
    }

    fn handle(
        &mut self,
        shared: &Shared,
        subscriptions: &Subscriptions,
        op: Op,
        length: u64,
    ) -> Result<(), Error> {
        match op {
            Op::Message {
                sid,
                subject,
                reply,
                headers,
                payload,
            } => {
                let length = length as usize;
                let text = |range| std::str::from_utf8(&self.inbox[range]).unwrap_or_default();
                let reply = reply.map(|reply| Subject::from(text(reply)));
                let begin = headers
                    .as_ref()
                    .map_or(payload.start, |headers| headers.start);
                let bytes = payload.end - begin
                    + subject.len()
                    + reply.as_ref().map_or(0, |reply| reply.len());
                let headers = match headers {
                    None => None,
                    Some(headers) => match Headers::read(&self.inbox[headers]) {
                        Some(headers) => Some(headers),
                        None => {
                            self.inbox.advance(length);
                            let reason = "its headers have a line that isn't a header";
                            (shared.events)(Event::Unreadable(reason));
                            return Ok(());
                        }
                    },
                };
                let message = |payload| Message {
                    reply,
                    headers,
                    payload,
                    length: bytes,
                };
                let has_room = if payload.len() <= COPY_MAX {
                    let copied = Bytes::copy_from_slice(&self.inbox[payload]);
                    let subject = text(subject);
                    let has_room = subscriptions.deliver(sid, subject, message(copied));
                    self.inbox.advance(length);
                    has_room
                } else {
                    let whole = self.inbox.split_to(length).freeze();
                    let subject = std::str::from_utf8(&whole[subject]).unwrap_or_default();
                    subscriptions.deliver(sid, subject, message(whole.slice(payload)))
                };
                if !has_room {
                    (shared.events)(Event::NoRoom);
                }
                return Ok(());
            }
            Op::Unreadable(reason) => {
                (shared.events)(Event::Unreadable(reason));
                self.left_out = length;
                return Ok(());
            }
            Op::Info(json) => {
                let info = Info::read(&self.inbox[json])?;
                shared.learn(&self.server, &info);
                if info.is_lame_duck {
                    (shared.events)(Event::LameDuck);
                }
            }
            Op::Err(text) => {
                let text = String::from_utf8_lossy(&self.inbox[text]).into_owned();
                let is_of_a_subject = text.to_lowercase().starts_with("permissions violation");
                match self.is_up {
                    true => (shared.events)(Event::Refused(text)),
                    false if !is_of_a_subject => return Err(Error::refused(&text)),
                    false if self.refusals.len() < REFUSALS_MAX => self.refusals.push(text),
                    false => {}
                }
            }
            Op::Ping => self.owes_answer = true,
            Op::Pong => {
                self.unanswered = 0;
                match self.asked.pop_front() {
                    Some(Asked::Hello) => self.is_up = true,
                    Some(Asked::Flush(handled)) => drop(handled.send(())),
                    Some(Asked::Alive) | None => {}
                }
            }
            Op::Ok => {}
        }
        self.inbox.advance(length as usize);
        Ok(())
    }
}
