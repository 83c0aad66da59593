//! One connection, with its running hits in order.

use std::collections::VecDeque;
use std::os::unix::fs::FileExt;

use encarno_nib::Io;
use encarno_nib::stream::{Stream, StreamError};
use encarno_record::Payload;

use super::ending::{Bad, Ending, Finder};
use crate::links::{self, Dialed, Phase};

/// The most reads of one turn, so that a peer that sends without end doesn't hold up the
/// event loop.
const READS_MAX: usize = 16;
/// The most writes of one turn, so that a long payload to a fast peer doesn't hold up the
/// event loop.
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
    /// Hits that wait for their answers, in the order in which they are sent.
    waiting: VecDeque<Waiting>,
    /// The number of the first one.
    first: u64,
    /// How many of them have left completely, and how many are completely in the outbox.
    left: usize,
    taken: usize,
    outbox: Vec<u8>,
    sent: usize,
    /// The total bytes that were put into the outbox, and that have left.
    put_bytes: u64,
    sent_bytes: u64,
    finder: Finder,
    /// The number of answers on it.
    answers: u64,
    /// When the last bytes arrived.
    pub(super) heard_ns: u64,
    broken: Option<Broken>,
}

#[derive(Debug)]
struct Waiting {
    /// The worker; `None` if the hit was given up.
    worker: Option<u32>,
    payload: Payload,
    /// The number of the payload's bytes that were put into the outbox.
    taken: u64,
    /// It has left when this total of bytes has.
    ends_at: u64,
}

/// Why a link can't be used any more.
#[derive(Debug)]
pub(super) enum Broken {
    /// An error of the operating system, the peer or TLS.
    Stream(StreamError),
    /// An answer came without a request.
    Unasked,
    /// The answer is wrong.
    Bad(Bad),
    /// A hit was given up, or too many answers are outstanding.
    GivenUp,
    /// The record's file can't be read.
    Payload,
}

impl From<StreamError> for Broken {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

/// An event of a read.
pub(super) enum Heard<'a> {
    /// Bytes of the answer to this worker's hit.
    Part(u32, &'a [u8]),
    /// The end of the answer to this worker's hit.
    End(u32),
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
        self.waiting.is_empty()
    }

    fn let_down(&mut self) {
        self.set_broken(Broken::GivenUp);
    }
}

impl Link {
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Whether an answer has come on it.
    pub(super) fn is_reused(&self) -> bool {
        self.answers > 0
    }

    /// Whether bytes of the first answer have arrived.
    pub(super) fn has_begun(&self) -> bool {
        self.finder.seen() > 0
    }

    /// Closes the link, and returns the workers whose hits were on it, in order.
    pub(super) fn close(&mut self) -> Vec<u32> {
        let waiting = std::mem::take(&mut self.waiting);
        let workers = waiting
            .iter()
            .filter_map(|waiting| waiting.worker)
            .collect();
        *self = Self {
            dialed: self.dialed.closed(),
            first: self.first + waiting.len() as u64,
            ..Self::default()
        };
        workers
    }

    /// Appends a hit, and returns its number.
    pub(super) fn push(&mut self, worker: u32, payload: Payload) -> u64 {
        self.waiting.push_back(Waiting {
            worker: Some(worker),
            payload,
            taken: 0,
            ends_at: 0,
        });
        self.first + self.waiting.len() as u64 - 1
    }

    /// Why the link must be closed, if it must.
    pub(super) fn take_change(&mut self) -> Option<Broken> {
        self.dialed.take_change();
        self.broken.take()
    }

    pub(super) fn set_broken(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    /// Gives a hit up; its answer will be ignored.
    pub(super) fn give_up(&mut self, hit: u64, streams: u32) {
        let place = hit.checked_sub(self.first).map(|place| place as usize);
        if let Some(waiting) = place.and_then(|place| self.waiting.get_mut(place)) {
            waiting.worker = None;
        }
        let overdue_max = OVERDUE_MIN.max(4 * streams as usize);
        let is_silent = self.waiting.iter().all(|waiting| waiting.worker.is_none());
        let alone = streams == 1 || is_silent && self.dialed.phase != Phase::Open;
        if alone || self.waiting.len() > overdue_max {
            self.set_broken(Broken::GivenUp);
        }
    }

    /// The workers whose hits wait on it.
    pub(super) fn workers(&self) -> impl Iterator<Item = u32> {
        self.waiting.iter().filter_map(|waiting| waiting.worker)
    }

    /// Sends as much as there is room for, and names the workers whose payloads have
    /// left; true if there is more to send and room for it.
    pub(super) fn write(
        &mut self,
        io: &mut Io<'_>,
        mut left: impl FnMut(u32, u64),
    ) -> Result<bool, Broken> {
        if self.dialed.phase != Phase::Open {
            return Ok(false);
        }
        let mut again = true;
        for _ in 0..SENDS_MAX {
            self.fill(io.scratch)?;
            let Some(stream) = &mut self.dialed.stream else {
                return Ok(false);
            };
            if self.sent == self.outbox.len() {
                again = false;
                break;
            }
            match stream.send(&self.outbox[self.sent..])? {
                None => {
                    again = false;
                    break;
                }
                Some(count) => self.sent += count,
            }
        }
        let Some(stream) = &mut self.dialed.stream else {
            return Ok(false);
        };
        if stream.flushed()? {
            self.sent_bytes = self.put_bytes - (self.outbox.len() - self.sent) as u64;
        }
        while self.left < self.taken {
            let Some(waiting) = self.waiting.get(self.left) else {
                break;
            };
            if waiting.ends_at > self.sent_bytes {
                break;
            }
            if let Some(worker) = waiting.worker {
                left(worker, waiting.payload.len());
            }
            self.left += 1;
        }
        Ok(again)
    }

    /// Puts payloads into the outbox, as far as there is room.
    fn fill(&mut self, scratch: &mut [u8]) -> Result<(), Broken> {
        if self.sent == self.outbox.len() {
            self.outbox.clear();
            self.sent = 0;
        }
        while self.outbox.len() < OUTBOX_BYTES {
            let Some(waiting) = self.waiting.get_mut(self.taken) else {
                break;
            };
            let room = OUTBOX_BYTES - self.outbox.len();
            let rest = waiting.payload.len() - waiting.taken;
            let count = rest.min(room.min(scratch.len()) as u64) as usize;
            match &waiting.payload {
                Payload::Memory(bytes) => {
                    let start = waiting.taken as usize;
                    self.outbox.extend_from_slice(&bytes[start..start + count]);
                }
                Payload::File { file, range } => {
                    file.read_exact_at(&mut scratch[..count], range.start + waiting.taken)
                        .map_err(|_| Broken::Payload)?;
                    self.outbox.extend_from_slice(&scratch[..count]);
                }
            }
            waiting.taken += count as u64;
            self.put_bytes += count as u64;
            if waiting.taken == waiting.payload.len() {
                waiting.ends_at = self.put_bytes;
                self.taken += 1;
            }
        }
        Ok(())
    }

    /// Removes hits that have left, for hits that end when they are sent.
    pub(super) fn forget_left(&mut self) {
        self.waiting.drain(..self.left);
        self.first += self.left as u64;
        self.taken -= self.left;
        self.left = 0;
    }

    /// Ends the first hit, whose answer ended without a byte that shows it.
    pub(super) fn end_first(&mut self) -> Option<u32> {
        self.finder = Finder::default();
        self.answers += 1;
        let waiting = self.waiting.pop_front()?;
        self.first += 1;
        self.left = self.left.saturating_sub(1);
        self.taken = self.taken.saturating_sub(1);
        waiting.worker
    }

    /// Reads; true if there may be more to read.
    pub(super) fn read(
        &mut self,
        io: &mut Io<'_>,
        ending: &Ending,
        bytes_max: u64,
        mut heard: impl FnMut(Heard<'_>, u64),
    ) -> Result<bool, Broken> {
        for _ in 0..READS_MAX {
            let (Some(stream), Phase::Open) = (&mut self.dialed.stream, self.dialed.phase) else {
                return Ok(false);
            };
            let count = match stream.receive(io.scratch)? {
                None => return Ok(false),
                Some(0) => return Err(Broken::Stream(StreamError::Closed)),
                Some(count) => count,
            };
            let now_ns = io.clock.now_ns();
            if matches!(ending, Ending::None) {
                continue;
            }
            self.heard_ns = now_ns;
            let mut bytes = &io.scratch[..count];
            while !bytes.is_empty() {
                // Data before a hit has left can't be its answer.
                let Some(waiting) = self.waiting.front().filter(|_| self.left > 0) else {
                    return Err(Broken::Unasked);
                };
                let worker = waiting.worker;
                let fed = self.finder.feed(ending, bytes, bytes_max);
                let (used, ended) = fed.map_err(Broken::Bad)?;
                if let Some(worker) = worker {
                    heard(Heard::Part(worker, &bytes[..used]), now_ns);
                }
                bytes = &bytes[used..];
                if ended {
                    self.end_first();
                    if let Some(worker) = worker {
                        heard(Heard::End(worker), now_ns);
                    }
                }
            }
        }
        Ok(true)
    }
}
