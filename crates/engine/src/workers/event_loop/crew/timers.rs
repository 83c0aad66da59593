//! Events without IO: wakes, ends of pauses, timeouts.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::time::Duration;

use super::deadlines::Deadlines;

#[derive(Debug)]
pub(super) struct Timers {
    /// Hits with the run's timeout.
    common: Deadlines,
    timeout_ns: u64,
    /// The instants and workers of hits with their own timeouts.
    own: BTreeSet<(u64, u32)>,
    /// Instant, worker, generation, and reason.
    wakes: BinaryHeap<Reverse<(u64, u32, u32, Wake)>>,
}

/// The reason of a wake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wake {
    /// The nib asked for it.
    Nib,
    /// The worker's pause is over.
    Rested,
}

impl Timers {
    pub(super) fn new(timeout_ns: u64) -> Self {
        Self {
            common: Deadlines::new(),
            timeout_ns,
            own: BTreeSet::new(),
            wakes: BinaryHeap::new(),
        }
    }

    /// The run's timeout.
    pub(super) fn timeout(&self) -> Duration {
        Duration::from_nanos(self.timeout_ns)
    }

    /// Adds a worker whose hit has started, with the run's timeout.
    #[inline]
    pub(super) fn start(&mut self, worker: u32) {
        self.common.push(worker);
    }

    /// Removes a worker whose hit has ended.
    #[inline]
    pub(super) fn end(&mut self, worker: u32) {
        self.common.remove(worker);
    }

    /// Gives the hit its own timeout instead.
    pub(super) fn start_own(&mut self, worker: u32, due_ns: u64) {
        self.common.remove(worker);
        self.own.insert((due_ns, worker));
    }

    /// Removes a hit with its own timeout, which has ended.
    pub(super) fn end_own(&mut self, worker: u32, due_ns: u64) {
        self.own.remove(&(due_ns, worker));
    }

    pub(super) fn wake_at(&mut self, instant_ns: u64, worker: u32, generation: u32, wake: Wake) {
        self.wakes
            .push(Reverse((instant_ns, worker, generation, wake)));
    }

    /// The next worker to wake by now. The caller checks that its generation is still the
    /// same.
    pub(super) fn pop_wake(&mut self, now_ns: u64) -> Option<(u32, u32, Wake)> {
        let &Reverse((instant_ns, worker, generation, wake)) = self.wakes.peek()?;
        if instant_ns > now_ns {
            return None;
        }
        self.wakes.pop();
        Some((worker, generation, wake))
    }

    /// A worker whose hit has timed out by now.
    #[inline]
    pub(super) fn timed_out(&self, now_ns: u64, started: impl Fn(u32) -> u64) -> Option<u32> {
        if let Some(&(due_ns, worker)) = self.own.first()
            && due_ns <= now_ns
        {
            return Some(worker);
        }
        let oldest = self.common.oldest()?;
        (now_ns.saturating_sub(started(oldest)) >= self.timeout_ns).then_some(oldest)
    }

    /// Any worker with a running hit.
    pub(super) fn any(&self) -> Option<u32> {
        let own = || self.own.first().map(|&(_, worker)| worker);
        self.common.oldest().or_else(own)
    }

    /// The next instant of a timeout or wake.
    #[inline]
    pub(super) fn next_instant(&self, started: impl Fn(u32) -> u64) -> u64 {
        let mut instant_ns = u64::MAX;
        if let Some(&Reverse((wake_ns, ..))) = self.wakes.peek() {
            instant_ns = wake_ns;
        }
        if let Some(oldest) = self.common.oldest() {
            instant_ns = instant_ns.min(started(oldest).saturating_add(self.timeout_ns));
        }
        if let Some(&(due_ns, _)) = self.own.first() {
            instant_ns = instant_ns.min(due_ns);
        }
        instant_ns
    }
}
