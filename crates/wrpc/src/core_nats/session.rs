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

/// A read asks for at least so many bytes, and makes room for no more at once.
const READ_BYTES: usize = 32 << 10;
const READ_BYTES_MAX: usize = 1 << 20;

/// Payloads up to this are copied: they don't keep what was read beside them.
const COPY_MAX: usize = 8 << 10;

/// So many questions in turn that find no answer end the session, if nothing else comes,
/// or in any case.
const UNANSWERED_MAX: u32 = 2;
const UNANSWERED_MAX_IF_HEARD: u32 = 10;

/// A server is answered when less than this is on its way to it.
const ANSWERS_BYTES_MAX: usize = 1 << 20;

/// So many refusals are kept while a session begins.
const REFUSALS_MAX: usize = 1024;

/// How a session comes to an end, or to its beginning.
pub(super) enum Milestone {
    /// The server has accepted us and knows our subscriptions.
    Up,
    /// It was lost.
    Lost(Error),
    /// All is written, and nobody wants it any more.
    Done,
}

pub(super) struct Session {
    stream: Stream,
    server: ServerAddr,
    is_up: bool,
    /// What was refused before it was up.
    refusals: Vec<String>,
    inbox: BytesMut,
    /// The inbox needs so many bytes before there can be an operation in it.
    least: usize,
    /// Bytes to come of an operation that is left out.
    left_out: u64,
    /// On its way out. Written without a lock, while others fill the outbox.
    writing: Outbox,
    /// Questions to the server, in the order in which it answers them.
    asked: VecDeque<Asked>,
    clock: Interval,
    unanswered: u32,
    has_heard: bool,
    /// The server has asked whether we are there: one answer is enough, however often.
    owes_answer: bool,
}

enum Asked {
    /// At the end of what a session begins with.
    Hello,
    /// Whether it is there.
    Alive,
    /// Whether it has handled what was sent.
    Flush(oneshot::Sender<()>),
}

impl Session {
    /// A session over a stream on which the server has introduced itself. `hello` is what
    /// it is told first; `inbox` is what has come behind its introduction.
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

    /// What the server has refused before it was up.
    pub(super) fn take_refusals(&mut self) -> Vec<String> {
        std::mem::take(&mut self.refusals)
    }

    /// Writes what there is and reads what there is, until something has come to pass.
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
            // Before anything else comes to pass.
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
            // What came behind the introduction may be a whole answer.
            if self.least <= self.inbox.len() && !self.inbox.is_empty() {
                self.deliver(shared)?;
            }
            let missing = self.least.saturating_sub(self.inbox.len());
            self.inbox
                .reserve(missing.clamp(READ_BYTES, READ_BYTES_MAX));
            // A buffer that was made for a large message isn't used for small ones: what is
            // kept of one of them would keep all of it.
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

    /// Asks whether the server is there, or finds that it isn't.
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

    /// Handles all operations that are there.
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
                            let reason = "its headers have a line that is no header";
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
