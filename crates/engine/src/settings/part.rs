//! The part of a run that this process makes while others make the rest.

use crossbeam_channel::{Receiver, Sender};

/// Part `number` of the `count` processes that make a run together. It takes the hits
/// number, number + count, …, and workers, records and rows in the same way. All parts
/// together make what one process would make, and they need no communication.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its number, from 0.
    pub number: usize,
    /// The number of parts.
    pub count: usize,
    /// When the run starts.
    pub start: Start,
}

/// When a run starts.
#[derive(Clone, Debug)]
pub enum Start {
    /// As soon as it can.
    Now,
    /// At this instant; if it has passed, at once, with late hits.
    At(StartAt),
    /// When another thread says so.
    Told {
        /// Receives a message when everything is ready.
        ready: Sender<()>,
        /// Sends the start. If the sender is gone, the run doesn't start.
        start: Receiver<StartAt>,
    },
}

/// The instant at which a run starts, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartAt {
    /// On this machine's CLOCK_MONOTONIC.
    pub monotonic_ns: u64,
    /// The start in the results: the wall clock of the machine that sets the start.
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
    /// How many of `all` things belong to this part.
    pub fn of(&self, all: usize) -> usize {
        (all + self.count - 1 - self.number) / self.count
    }

    /// Whether the thing with this index belongs to this part.
    pub(crate) fn has(&self, index: u64) -> bool {
        index % self.count as u64 == self.number as u64
    }
}
