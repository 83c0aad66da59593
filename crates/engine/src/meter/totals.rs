//! The sums of hits over all event loops.

use std::sync::Arc;

use encarno_record::notes::{Account, Transport};

use crate::workers::Counters;

/// The sums over all loops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Hits that were due.
    pub scheduled: u64,
    /// Hits that were started.
    pub started: u64,
    /// Hits that succeeded.
    pub done: u64,
    /// Hits that failed: without an answer, with an unexpected status, or with an answer
    /// that breaks an assert.
    pub failed: u64,
    /// Failed hits that got an answer with an unexpected status.
    pub refused: u64,
    /// Hits that were never started.
    pub dropped: u64,
    /// Hits of lost agents. A process knows its own hits, so it has none.
    pub lost: u64,
    /// Dropped hits that were due at the schedule's end without a connection or a record
    /// for them.
    pub dropped_at_end: u64,
    /// Failed hits whose kept connection was closed by the peer.
    pub stale: u64,
    /// Failed hits whose answer broke an assert.
    pub unmet: u64,
    /// Redirects that were followed; they are parts of their hits.
    pub redirects: u64,
    /// Turns in which a hit was due and no worker was free.
    pub no_worker: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// What the connections counted, once the loops have ended.
    pub transport: Transport,
}

impl Totals {
    /// The present totals of these loops.
    pub fn of(counters: &[Arc<Counters>]) -> Self {
        let mut totals = Self::default();
        for counters in counters {
            totals.scheduled += counters.scheduled.get();
            totals.started += counters.started.get();
            totals.done += counters.done.get();
            totals.failed += counters.failed.get();
            totals.refused += counters.refused.get();
            totals.dropped += counters.dropped.get();
            totals.dropped_at_end += counters.dropped_at_end.get();
            totals.stale += counters.stale.get();
            totals.unmet += counters.unmet.get();
            totals.redirects += counters.redirects.get();
            totals.no_worker += counters.no_worker.get();
            totals.sent_bytes += counters.sent_bytes.get();
            totals.received_bytes += counters.received_bytes.get();
            totals.transport.add(&counters.transport());
        }
        totals
    }

    /// The account of the hits that were due.
    pub fn account(&self) -> Account {
        Account {
            scheduled: self.scheduled,
            done: self.done,
            failed: self.failed,
            dropped: self.dropped,
            lost: self.lost,
        }
    }

    /// Hits that ended.
    pub fn ended(&self) -> u64 {
        self.done + self.failed
    }
}
