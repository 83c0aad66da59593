//! One connection, and the hits on their way over it, in their order.

use std::collections::VecDeque;

use encarno_nib::Io;
use encarno_nib::socket::Peer;
use encarno_nib::stream::{Stream, StreamError};

/// Reads of one turn: what a peer sends without end must not keep the event
/// loop from its other work.
const READS_MAX: usize = 16;
/// Answers that nobody waits for any more, beyond which the link is given up.
const OVERDUE_MIN: usize = 64;
/// An answer without an end that is longer than this, and longer than its line,
/// breaks the link. A shorter one is only wrong, however it is cut into packets.
const LINE_BYTES_MAX: usize = 64 << 10;

/// A connection that several workers use.
#[derive(Debug, Default)]
pub(super) struct Link {
    stream: Option<Stream>,
    open: bool,
    /// Tells the events of this socket from those of earlier ones.
    number: u32,
    /// Lines that aren't sent yet, the first `sent` bytes of them aside.
    outbox: Vec<u8>,
    sent: usize,
    /// Hits whose answer hasn't come, in the order of their lines.
    waiting: VecDeque<Waiting>,
    /// The number of the first of them.
    first: u64,
    /// The first of them whose line isn't sent.
    unsent: usize,
    /// The beginning of a line.
    partial: Vec<u8>,
    /// It is among the links that flush looks at.
    changed: bool,
    broken: Option<Broken>,
    /// Where it goes to.
    pub(super) peer: Option<Peer>,
}

#[derive(Debug)]
struct Waiting {
    /// None = it was given up.
    worker: Option<u32>,
    /// So long is its line, and so much of that isn't sent.
    length: usize,
    unsent: usize,
}

/// Why a link is of no use any more.
#[derive(Debug)]
pub(super) enum Broken {
    /// Its stream.
    Stream(StreamError),
    /// An answer came that nothing was sent for.
    Unasked,
    /// What came doesn't end, and is longer than any answer may be.
    OtherLine,
    /// Too many answers didn't come.
    Overdue,
}

impl From<StreamError> for Broken {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}

impl Link {
    pub(super) fn is_there(&self) -> bool {
        self.stream.is_some()
    }

    /// It is to be closed, and takes no more hits.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn is_that(&self, number: u32) -> bool {
        self.stream.is_some() && self.number == number
    }

    pub(super) fn open(
        &mut self,
        link: u32,
        stream: Stream,
        io: &Io<'_>,
    ) -> Result<(), StreamError> {
        self.number = self.number.wrapping_add(1);
        io.register_link(stream.socket(), link, self.number)?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Gives the workers back whose hits were on it.
    pub(super) fn close(&mut self) -> Vec<u32> {
        self.stream = None;
        self.open = false;
        self.outbox.clear();
        self.sent = 0;
        self.first += self.waiting.len() as u64;
        self.unsent = 0;
        self.partial.clear();
        self.broken = None;
        self.waiting
            .drain(..)
            .filter_map(|waiting| waiting.worker)
            .collect()
    }

    /// The hit's number.
    pub(super) fn push(&mut self, worker: u32, line: &[u8]) -> u64 {
        self.outbox.extend_from_slice(line);
        self.waiting.push_back(Waiting {
            worker: Some(worker),
            length: line.len(),
            unsent: line.len(),
        });
        self.first + self.waiting.len() as u64 - 1
    }

    /// True if that is to be noted.
    pub(super) fn note_change(&mut self) -> bool {
        !std::mem::replace(&mut self.changed, true)
    }

    /// Why it broke, if it did.
    pub(super) fn take_change(&mut self) -> Option<Broken> {
        self.changed = false;
        self.broken.take()
    }

    /// The hit's answer is nobody's. True if the link is to be closed.
    pub(super) fn give_up(&mut self, hit: u64, streams: u32) -> bool {
        let place = hit.checked_sub(self.first).map(|place| place as usize);
        if let Some(waiting) = place.and_then(|place| self.waiting.get_mut(place)) {
            waiting.worker = None;
        }
        let overdue_max = OVERDUE_MIN.max(4 * streams as usize);
        let is_silent = self.waiting.iter().all(|waiting| waiting.worker.is_none());
        if is_silent && !self.open || self.waiting.len() > overdue_max {
            self.broken = Some(Broken::Overdue);
        }
        self.broken.is_some()
    }

    /// The workers that waited for it, if it has just been connected.
    pub(super) fn connected(&mut self) -> Result<Option<Vec<u32>>, Broken> {
        let (Some(stream), false) = (&self.stream, self.open) else {
            return Ok(None);
        };
        self.open = stream.connected()?;
        if !self.open {
            return Ok(None);
        }
        let workers = self.waiting.iter().filter_map(|waiting| waiting.worker);
        Ok(Some(workers.collect()))
    }

    /// Sends what there is room for. What is not sent then waits for room.
    pub(super) fn write(&mut self, mut sent: impl FnMut(u32)) -> Result<(), Broken> {
        let (Some(stream), true) = (&mut self.stream, self.open) else {
            return Ok(());
        };
        let mut left = 0;
        // It ends: nothing is added meanwhile.
        while self.sent < self.outbox.len() {
            match stream.send(&self.outbox[self.sent..])? {
                Some(count) => {
                    self.sent += count;
                    left += count;
                }
                None => break,
            }
        }
        // Whose lines have left?
        while let Some(waiting) = self.waiting.get_mut(self.unsent) {
            let part = waiting.unsent.min(left);
            left -= part;
            waiting.unsent -= part;
            if waiting.unsent > 0 {
                break;
            }
            if let Some(worker) = waiting.worker {
                sent(worker);
            }
            self.unsent += 1;
        }
        if self.sent == self.outbox.len() {
            self.outbox.clear();
            self.sent = 0;
        }
        Ok(())
    }

    /// Takes whole lines; true if there may be more to read.
    pub(super) fn read(
        &mut self,
        io: &mut Io<'_>,
        mut answer: impl FnMut(u32, &[u8], u64),
    ) -> Result<bool, Broken> {
        for _ in 0..READS_MAX {
            let (Some(stream), true) = (&mut self.stream, self.open) else {
                return Ok(false);
            };
            let count = match stream.receive(io.scratch)? {
                Some(0) => return Err(StreamError::Closed.into()),
                Some(count) => count,
                None => return Ok(false),
            };
            let now_ns = io.clock.now_ns();
            let mut bytes = &io.scratch[..count];
            while let Some(end) = memchr::memchr(b'\n', bytes) {
                let (line, rest) = bytes.split_at(end + 1);
                bytes = rest;
                // An answer before its line has left isn't one.
                if self.unsent == 0 {
                    return Err(Broken::Unasked);
                }
                let Some(waiting) = self.waiting.pop_front() else {
                    return Err(Broken::Unasked);
                };
                self.first += 1;
                self.unsent -= 1;
                let Some(worker) = waiting.worker else {
                    self.partial.clear();
                    continue;
                };
                if self.partial.is_empty() {
                    answer(worker, line, now_ns);
                } else {
                    self.partial.extend_from_slice(line);
                    answer(worker, &self.partial, now_ns);
                    self.partial.clear();
                }
            }
            self.partial.extend_from_slice(bytes);
            let length_max = self.waiting.front().map_or(0, |waiting| waiting.length);
            if self.partial.len() > length_max.max(LINE_BYTES_MAX) {
                return Err(Broken::OtherLine);
            }
        }
        Ok(true)
    }
}
