//! What one event loop has done, readable by others while it runs.
//!
//! Only the loop writes, so that a plain load and store will do: no locked
//! instruction, and the cache lines stay in its core but for the reader's
//! glance once a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use encarno_record::StringId;

/// One value that only its event loop changes.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds; only the owner may.
    #[inline]
    pub fn add(&self, number: u64) {
        self.0.store(
            self.0.load(Ordering::Relaxed).wrapping_add(number),
            Ordering::Relaxed,
        );
    }

    /// Sets; only the owner may.
    #[inline]
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// Reads.
    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Everything that is counted. Aligned, so that no two loops share a line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// Hits whose instant had come.
    pub scheduled: Count,
    /// Hits that were started.
    pub started: Count,
    /// Hits that ended well.
    pub done: Count,
    /// Hits that failed: no answer, a status that isn't expected, or an answer
    /// that isn't as asserted.
    pub failed: Count,
    /// Among the failed: an answer with a status that isn't expected.
    pub refused: Count,
    /// Hits that were never started.
    pub dropped: Count,
    /// Among the dropped: their instant had come, and no connection was free for
    /// them up to the schedule's end, or there was no record.
    pub dropped_at_end: Count,
    /// Among the failed: the peer closed a kept connection under the hit.
    pub stale: Count,
    /// Among the failed: an answer that isn't as asserted.
    pub unmet: Count,
    /// Redirects that were followed; they are part of their hits.
    pub redirects: Count,
    /// Hits that run.
    pub running: Count,
    /// Workers that pause.
    pub sleeping: Count,
    /// Workers there are.
    pub workers: Count,
    /// Turns in which a hit was due and no worker was free.
    pub no_worker: Count,
    /// How long a worker was free and the input had no record yet.
    pub starved_ns: Count,
    /// Bytes sent.
    pub sent_bytes: Count,
    /// Bytes received.
    pub received_bytes: Count,
    /// Hits by address, once the loop has ended.
    addresses: Mutex<HashMap<StringId, u64>>,
}

impl Counters {
    /// Sets the hits by address; the loop has ended.
    pub fn set_addresses(&self, hits: HashMap<StringId, u64>) {
        *self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = hits;
    }

    /// Adds the hits by address to those of other loops.
    pub fn add_addresses_to(&self, sum: &mut HashMap<StringId, u64>) {
        let addresses = self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (address, hits) in addresses.iter() {
            *sum.entry(*address).or_default() += hits;
        }
    }
}
