//! One connection between guest and peer, without IO: what arrives goes in, what is to be
//! sent comes out, and hits end.

use std::collections::VecDeque;

use bytes::Bytes;

use super::framer::{Bad, Framer, Need};
use super::instance::{Connection, Instance, Outcome, Step, Traits, Turn};
use crate::store::Fault;

/// What a guest may leave to be sent to a peer that takes nothing.
const OUTBOX_BYTES_MAX: usize = 64 << 20;
/// A guest that wakes up isn't woken earlier than after so long.
const WAKE_NS_MIN: u64 = 100_000;

/// The bounds of a conversation.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) traits: Traits,
    /// A longer answer is an error.
    pub(crate) answer_bytes_max: usize,
}

/// Why a conversation is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The guest's store is of no use any more, for no connection.
    Fault(Fault),
    /// The guest did what it may not do, on this connection.
    Guest(String),
    /// Bytes came, and the guest ends a hit by them, but there is none.
    Unasked,
    /// What came can't be.
    Bad(Bad),
    /// The guest closes.
    Closed,
    /// The peer takes nothing.
    Stuck,
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Bad> for Broken {
    fn from(bad: Bad) -> Self {
        Self::Bad(bad)
    }
}

/// A hit has ended.
#[derive(Debug)]
pub(crate) struct Ended<'a> {
    /// Whose it was; none if it was given up.
    pub(crate) worker: Option<u32>,
    pub(crate) status: u16,
    pub(crate) error: Option<&'a str>,
    /// Its answer: how long it is, when it began, and what of it is there.
    pub(crate) received_bytes: u64,
    pub(crate) first_byte_ns: u64,
    pub(crate) answer: [&'a [u8]; 2],
}

/// A hit on its way.
#[derive(Debug)]
struct Waiting {
    worker: Option<u32>,
    prepared: Bytes,
    is_started: bool,
    has_ended: bool,
}

/// The last byte of a hit.
#[derive(Clone, Copy, Debug)]
struct Mark {
    /// It has left when so many bytes have.
    ends_at: u64,
    hit: u32,
    bytes: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Conversation {
    guest: Option<Connection>,
    need: Option<Need>,
    framer: Framer,
    /// The guest wants no hits yet.
    holds: bool,
    is_open: bool,
    waiting: VecDeque<Waiting>,
    /// The number of the first of them.
    first: u32,
    /// So many of them were started.
    started: usize,
    pub(crate) outbox: Vec<u8>,
    /// So many bytes were taken out of the outbox, in all.
    taken_bytes: u64,
    marks: VecDeque<Mark>,
    /// When the guest is to be woken; 0 = not.
    pub(crate) wake_at_ns: u64,
    /// Of the answer that is on its way.
    received_bytes: u64,
    first_byte_ns: u64,
    received: Vec<u8>,
    keeps: bool,
    /// Hits that ended well on it.
    pub(crate) ended: u64,
}

impl Conversation {
    /// Whether hits can be started on it.
    pub(crate) fn is_ready(&self) -> bool {
        self.is_open && !self.holds
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether something of an answer has arrived.
    pub(crate) fn has_begun(&self) -> bool {
        self.received_bytes > 0 || self.framer.held() > 0
    }

    /// The workers whose hits are on it, the oldest first.
    pub(crate) fn workers(&self) -> impl Iterator<Item = u32> {
        self.waiting.iter().filter_map(|waiting| waiting.worker)
    }

    /// Adds a hit; its number. `keeps` says whether somebody will look at the answer.
    pub(crate) fn push(&mut self, worker: u32, prepared: Bytes, keeps: bool) -> u32 {
        self.keeps |= keeps;
        self.waiting.push_back(Waiting {
            worker: Some(worker),
            prepared,
            is_started: false,
            has_ended: false,
        });
        self.first.wrapping_add(self.waiting.len() as u32 - 1)
    }

    /// Nobody waits for that hit any more. True if nobody waits for any.
    pub(crate) fn give_up(&mut self, hit: u32) -> bool {
        let place = hit.wrapping_sub(self.first) as usize;
        if let Some(waiting) = self.waiting.get_mut(place) {
            waiting.worker = None;
        }
        self.waiting.iter().all(|waiting| waiting.worker.is_none())
    }

    /// Ends: gives the guest's connection and the workers back.
    pub(crate) fn close(&mut self) -> (Option<Connection>, Vec<u32>) {
        let workers = self.workers().collect();
        let guest = self.guest.take();
        let first = self.first.wrapping_add(self.waiting.len() as u32);
        *self = Self {
            first,
            ..Self::default()
        };
        (guest, workers)
    }

    /// The connection is open.
    pub(crate) fn open(
        &mut self,
        guest: &mut Instance,
        worker: u32,
        now_ns: u64,
        ended: &mut dyn FnMut(Ended<'_>),
    ) -> Result<(), Broken> {
        let connection = guest.connection(worker)?;
        self.guest = Some(connection);
        self.is_open = true;
        let turn = guest.opened(connection, now_ns)?;
        self.apply(turn, &[], now_ns, ended)
    }

    /// Starts the hits that can be started.
    pub(crate) fn start(
        &mut self,
        guest: &mut Instance,
        rules: &Rules,
        now_ns: u64,
        ended: &mut dyn FnMut(Ended<'_>),
    ) -> Result<(), Broken> {
        while self.is_ready() && self.started < self.waiting.len() {
            let place = self.started;
            let hit = self.first.wrapping_add(place as u32);
            let Some(waiting) = self.waiting.get_mut(place) else {
                break;
            };
            self.started += 1;
            if waiting.worker.is_none() {
                // It was given up before it began.
                waiting.has_ended = true;
                self.pop();
                continue;
            }
            waiting.is_started = true;
            let prepared = waiting.prepared.clone();
            if rules.traits.starts_itself {
                self.outbox.extend_from_slice(&prepared);
                self.mark(hit, prepared.len());
                continue;
            }
            let Some(connection) = self.guest else {
                break;
            };
            let seen: &[u8] = if rules.traits.sees_payload {
                &prepared
            } else {
                &[]
            };
            let (before, marks) = (self.outbox.len(), self.marks.len());
            let turn = guest.start(connection, hit, seen)?;
            self.apply(turn, &[], now_ns, ended)?;
            let bytes = self.outbox.len() - before;
            if bytes > 0 && self.marks.len() == marks {
                self.mark(hit, bytes);
            }
        }
        if self.outbox.len() > OUTBOX_BYTES_MAX {
            return Err(Broken::Stuck);
        }
        self.look_again(guest, rules, now_ns, ended)
    }

    /// Bytes have arrived.
    pub(crate) fn feed(
        &mut self,
        guest: &mut Instance,
        rules: &Rules,
        bytes: &[u8],
        now_ns: u64,
        ended: &mut dyn FnMut(Ended<'_>),
    ) -> Result<(), Broken> {
        let Some(connection) = self.guest else {
            return Ok(());
        };
        let mut next = self.need.take();
        let usual = &rules.traits.need;
        if self.received_bytes == 0 && self.framer.held() == 0 {
            self.first_byte_ns = now_ns;
        }
        let mut framer = std::mem::take(&mut self.framer);
        let fed = framer.feed(
            bytes,
            rules.answer_bytes_max,
            usual,
            &mut next,
            |part, next| {
                let turn = guest.data(connection, part)?;
                self.apply(turn, part, now_ns, ended)?;
                *next = self.need.take();
                match self.received_bytes > rules.answer_bytes_max as u64 {
                    true => Err(Broken::Bad(Bad::TooLong)),
                    false => Ok(true),
                }
            },
        );
        self.framer = framer;
        self.need = next;
        fed
    }

    /// The guest's instant has come, if it has one.
    pub(crate) fn wake(
        &mut self,
        guest: &mut Instance,
        rules: &Rules,
        now_ns: u64,
        ended: &mut dyn FnMut(Ended<'_>),
    ) -> Result<(), Broken> {
        if self.wake_at_ns == 0 || self.wake_at_ns > now_ns {
            return Ok(());
        }
        self.wake_at_ns = 0;
        let Some(connection) = self.guest else {
            return Ok(());
        };
        let turn = guest.woken(connection, now_ns)?;
        self.apply(turn, &[], now_ns, ended)?;
        self.look_again(guest, rules, now_ns, ended)
    }

    /// The peer has closed.
    pub(crate) fn peer_closed(
        &mut self,
        guest: &mut Instance,
        rules: &Rules,
        now_ns: u64,
        ended: &mut dyn FnMut(Ended<'_>),
    ) -> Result<(), Broken> {
        let Some(connection) = self.guest else {
            return Ok(());
        };
        if *self.need.as_ref().unwrap_or(&rules.traits.need) == Need::Close {
            let all = self.framer.take();
            let turn = guest.data(connection, &all)?;
            self.apply(turn, &all, now_ns, ended)?;
        }
        let turn = guest.closed(connection)?;
        self.apply(turn, &[], now_ns, ended)
    }

    /// So many bytes of the outbox have left; `left` gets the workers of hits that have left
    /// whole, and how long they are.
    pub(crate) fn sent(&mut self, bytes: usize, mut left: impl FnMut(u32, u64)) {
        self.outbox.drain(..bytes);
        self.taken_bytes += bytes as u64;
        while let Some(&mark) = self.marks.front() {
            if mark.ends_at > self.taken_bytes {
                break;
            }
            self.marks.pop_front();
            let place = mark.hit.wrapping_sub(self.first) as usize;
            let waiting = self.waiting.get(place);
            if let Some(worker) = waiting.and_then(|waiting| waiting.worker) {
                left(worker, mark.bytes);
            }
        }
    }

    /// The last byte in the outbox is that hit's, as are so many before it.
    fn mark(&mut self, hit: u32, bytes: usize) {
        self.marks.push_back(Mark {
            ends_at: self.taken_bytes + self.outbox.len() as u64,
            hit,
            bytes: bytes as u64,
        });
    }

    /// What is held may be what is needed now.
    fn look_again(
        &mut self,
        guest: &mut Instance,
        rules: &Rules,
        now_ns: u64,
        ended: &mut dyn FnMut(Ended<'_>),
    ) -> Result<(), Broken> {
        if self.framer.held() == 0 {
            return Ok(());
        }
        self.framer.look_again();
        self.feed(guest, rules, &[], now_ns, ended)
    }

    fn apply(
        &mut self,
        turn: Turn,
        part: &[u8],
        now_ns: u64,
        ended: &mut dyn FnMut(Ended<'_>),
    ) -> Result<(), Broken> {
        let step = match turn {
            Turn::More => {
                self.note(part);
                return Ok(());
            }
            Turn::Done(status) => return self.end_first(status, None, part, now_ns, ended),
            Turn::Failed(text) => return self.end_first(0, Some(text), part, now_ns, ended),
            Turn::Step(step) => *step,
        };
        let Step {
            send,
            payload,
            need,
            ended: outcomes,
            wake_at_ns,
            hold,
            close,
        } = step;
        self.outbox.extend_from_slice(&send);
        if let Some(hit) = payload {
            let place = hit.wrapping_sub(self.first) as usize;
            let waiting = self.waiting.get(place).filter(|waiting| waiting.is_started);
            let Some(waiting) = waiting else {
                let text = format!("the guest sends hit {hit}, which isn't on its way");
                return Err(Broken::Guest(text));
            };
            let bytes = send.len() + waiting.prepared.len();
            self.outbox.extend_from_slice(&waiting.prepared);
            self.mark(hit, bytes);
        }
        if self.outbox.len() > OUTBOX_BYTES_MAX {
            return Err(Broken::Stuck);
        }
        if need.is_some() {
            self.need = need;
        }
        self.holds = hold;
        if wake_at_ns != 0 {
            self.wake_at_ns = wake_at_ns.max(now_ns + WAKE_NS_MIN);
        }
        let mut part = part;
        if outcomes.is_empty() {
            self.note(part);
        }
        for outcome in &outcomes {
            if !self.end(outcome, part, now_ns, ended) {
                let hit = outcome.hit;
                let text = format!("the guest ends hit {hit}, which isn't on its way");
                return Err(Broken::Guest(text));
            }
            part = &[];
        }
        match close {
            true => Err(Broken::Closed),
            false => Ok(()),
        }
    }

    /// Bytes of an answer that goes on.
    fn note(&mut self, part: &[u8]) {
        self.received_bytes += part.len() as u64;
        if self.keeps {
            self.received.extend_from_slice(part);
        }
    }

    /// Ends the oldest hit.
    fn end_first(
        &mut self,
        status: u16,
        error: Option<String>,
        part: &[u8],
        now_ns: u64,
        ended: &mut dyn FnMut(Ended<'_>),
    ) -> Result<(), Broken> {
        let hit = self.first;
        let outcome = Outcome { hit, status, error };
        match self.end(&outcome, part, now_ns, ended) {
            true => Ok(()),
            false => Err(Broken::Unasked),
        }
    }

    /// Ends a hit; false if there is none like that.
    fn end(
        &mut self,
        outcome: &Outcome,
        part: &[u8],
        now_ns: u64,
        ended: &mut dyn FnMut(Ended<'_>),
    ) -> bool {
        let place = outcome.hit.wrapping_sub(self.first) as usize;
        let waiting = self.waiting.get_mut(place);
        let Some(waiting) = waiting.filter(|it| it.is_started && !it.has_ended) else {
            return false;
        };
        waiting.has_ended = true;
        let worker = waiting.worker.take();
        self.received_bytes += part.len() as u64;
        if outcome.error.is_none() {
            self.ended += 1;
        }
        ended(Ended {
            worker,
            status: outcome.status,
            error: outcome.error.as_deref(),
            received_bytes: self.received_bytes,
            first_byte_ns: self.first_byte_ns,
            answer: [&self.received, part],
        });
        self.received_bytes = 0;
        self.first_byte_ns = now_ns;
        self.received.clear();
        self.pop();
        true
    }

    /// Forgets the hits at the front that have ended.
    fn pop(&mut self) {
        while self.waiting.front().is_some_and(|it| it.has_ended) {
            self.waiting.pop_front();
            self.first = self.first.wrapping_add(1);
            self.started = self.started.saturating_sub(1);
        }
    }
}
