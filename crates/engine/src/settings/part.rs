//! The part of a run that this process makes, when others make the rest.

use crossbeam_channel::{Receiver, Sender};

/// Of `count` processes that make a run together, the one with that number. It takes the hits
/// number, number + count, …, and of workers, records and rows likewise: all parts together
/// make what one process would make alone, and need no word from one another for it.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its number, from 0.
    pub number: usize,
    /// How many there are.
    pub count: usize,
    /// When the run starts.
    pub start: Start,
}

/// When a run starts.
#[derive(Clone, Debug)]
pub enum Start {
    /// As soon as it can.
    Now,
    /// At that instant; at once if it has passed, and then hits are late.
    At(StartAt),
    /// When it is told to.
    Told {
        /// Hears that everything is ready.
        ready: Sender<()>,
        /// Says when. If it is gone, the run doesn't start.
        start: Receiver<StartAt>,
    },
}

/// The instant at which a run starts, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartAt {
    /// On this machine's CLOCK_MONOTONIC.
    pub monotonic_ns: u64,
    /// What the results call it: the wall clock of whoever says when.
    pub unix_ns: u64,
}

impl Default for Part {
    fn default() -> Self {
        Self {
            number: 0,
            count: 1,
            start: Start::Now,
        }
    }
}

impl Part {
    /// How many of so many things fall to it.
    pub fn of(&self, all: usize) -> usize {
        (all + self.count - 1 - self.number) / self.count
    }

    /// Whether that one of many things is its own.
    pub(crate) fn has(&self, index: u64) -> bool {
        index % self.count as u64 == self.number as u64
    }
}
