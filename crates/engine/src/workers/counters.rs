//! The counters of one event loop, which other threads read while it runs.
//!
//! Only the loop writes them, so plain loads and stores suffice: there are no locked
//! instructions, and the cache lines leave the loop's core only when a reader looks, once
//! a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use encarno_record::StringId;
use encarno_record::notes::Transport;

/// A value that only its event loop changes.
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

/// All counters. The alignment keeps the counters of two loops out of one cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// Hits that were due.
    pub scheduled: Count,
    /// Hits that were started.
    pub started: Count,
    /// Hits that succeeded.
    pub done: Count,
    /// Hits that failed: without an answer, with an unexpected status, or with an answer
    /// that breaks an assert.
    pub failed: Count,
    /// Failed hits that got an answer with an unexpected status.
    pub refused: Count,
    /// Hits that were never started.
    pub dropped: Count,
    /// Dropped hits that were due, but had no free connection up to the schedule's end,
    /// or no record.
    pub dropped_at_end: Count,
    /// Failed hits whose kept connection was closed by the peer.
    pub stale: Count,
    /// Failed hits whose answer broke an assert.
    pub unmet: Count,
    /// Redirects that were followed; they are part of their hits.
    pub redirects: Count,
    /// Running hits.
    pub running: Count,
    /// Pausing workers.
    pub sleeping: Count,
    /// All workers.
    pub workers: Count,
    /// Turns in which a hit was due and no worker was free.
    pub no_worker: Count,
    /// The time for which a worker was free and the input had no record yet.
    pub starved_ns: Count,
    /// Bytes sent.
    pub sent_bytes: Count,
    /// Bytes received.
    pub received_bytes: Count,
    /// Hits by address, set when the loop has ended.
    addresses: Mutex<HashMap<StringId, u64>>,
    /// What its connections counted, set when the loop has ended.
    transport: Mutex<Transport>,
}

impl Counters {
    /// Sets the hits by address when the loop has ended.
    pub fn set_addresses(&self, hits: HashMap<StringId, u64>) {
        *self
            .addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = hits;
    }

    /// Sets what the connections counted when the loop has ended.
    pub fn set_transport(&self, transport: Transport) {
        *self
            .transport
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = transport;
    }

    /// What the connections counted; nothing before the loop has ended.
    pub fn transport(&self) -> Transport {
        *self
            .transport
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
