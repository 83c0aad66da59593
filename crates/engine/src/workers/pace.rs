//! When the next hit of an event loop is due: open and closed workloads.

use crate::schedule::{HitInstants, Schedule};

/// What starts hits.
#[derive(Debug)]
pub enum Pace {
    /// Instants, whatever the answers do.
    Open(OpenPace),
    /// A free worker.
    Closed(ClosedPace),
}

/// The instants of an open workload.
#[derive(Debug)]
pub struct OpenPace {
    /// None = the records carry them.
    pub instants: Option<HitInstants>,
    /// No hits from there on.
    pub end_ns: u64,
    /// Later hits are dropped.
    pub late_limit_ns: u64,
    /// At most so many workers in this loop.
    pub workers_max: usize,
    /// Wait for the last stretch by turning instead of sleeping.
    pub spin: bool,
}

/// The workers of a closed workload.
#[derive(Debug)]
pub struct ClosedPace {
    /// How many there are in all loops together.
    pub workers: Schedule,
    /// No hits from there on.
    pub end_ns: u64,
    /// This loop's number, and how many there are: worker w belongs to loop w mod n.
    pub share: (usize, usize),
}

impl ClosedPace {
    /// How many workers this loop has at that instant, and until when at least.
    pub fn workers_at(&self, now_ns: u64) -> (usize, u64) {
        let (all, until_ns) = self.workers.workers_at(now_ns);
        (share_of(all, self.share), until_ns)
    }
}

/// The part of `all` that falls to one of `count` loops.
pub fn share_of(all: usize, (number, count): (usize, usize)) -> usize {
    (all + count - 1 - number) / count
}
