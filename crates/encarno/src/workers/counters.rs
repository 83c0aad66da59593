//! What one event loop has done, readable by others while it runs.
//!
//! Only the loop writes, so that a plain load and store will do: no locked
//! instruction, and the cache lines stay in its core but for the reader's
//! glance once a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::strings::StringId;

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
    /// Hits that ended with an answer.
    pub done: Count,
    /// Hits that ended without one.
    pub failed: Count,
    /// Hits that ended with a protocol code from 400 on; among the done ones.
    pub refused: Count,
    /// Hits that were never started.
    pub dropped: Count,
    /// Hits that failed as stale: the peer closed a kept connection.
    pub stale: Count,
    /// Hits that run.
    pub running: Count,
    /// Workers there are.
    pub workers: Count,
    /// Turns in which a hit was due and no worker was free.
    pub no_worker: Count,
    /// Turns in which a worker was free and the input had no record yet.
    pub no_record: Count,
    /// Bytes sent.
    pub sent_bytes: Count,
    /// Bytes received.
    pub received_bytes: Count,
    /// The sum of all lags.
    pub lag_sum_ns: Count,
    /// CPU time of the loop's thread.
    pub cpu_ns: Count,
    /// Nonzero once the loop has ended.
    pub ended_ns: Count,
    /// Failures by net code and text. A failed hit may cost a lock.
    failures: Mutex<HashMap<(u16, StringId), u64>>,
    /// How late hits started.
    pub lag: Histogram,
    /// From the start to the end.
    pub service: Histogram,
    /// From the scheduled instant to the end.
    pub response: Histogram,
}

impl Counters {
    /// Counts a failed hit by its reason.
    pub fn count_failure(&self, net_code: u16, error: StringId) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        *failures.entry((net_code, error)).or_default() += 1;
    }

    /// Adds the failures by reason to those of other loops.
    pub fn add_failures_to(&self, sum: &mut HashMap<(u16, StringId), u64>) {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for (reason, count) in failures.iter() {
            *sum.entry(*reason).or_default() += count;
        }
    }
}

const SUB_BITS: u32 = 6;
const SUB: usize = 1 << SUB_BITS;
const BUCKETS: usize = SUB * (64 - SUB_BITS as usize + 1);

/// Durations in ns in buckets of 1.6 % width: for the progress and the
/// summary. The result file has them to the ns.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[Count]>,
    max: Count,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| Count::default()).collect(),
            max: Count::default(),
        }
    }
}

impl Histogram {
    /// Counts a duration; only the owner may.
    #[inline]
    pub fn record(&self, duration_ns: u64) {
        if let Some(bucket) = self.buckets.get(bucket_of(duration_ns)) {
            bucket.add(1);
        }
        if duration_ns > self.max.get() {
            self.max.set(duration_ns);
        }
    }

    /// Adds its counts to a snapshot.
    pub fn add_to(&self, snapshot: &mut Snapshot) {
        snapshot.max_ns = snapshot.max_ns.max(self.max.get());
        for (sum, bucket) in snapshot.counts.iter_mut().zip(&self.buckets) {
            *sum += bucket.get();
        }
    }
}

/// The sum of histograms at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    counts: Vec<u64>,
    max_ns: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            max_ns: 0,
        }
    }
}

impl Snapshot {
    /// What came since an earlier one.
    pub fn since(&self, earlier: &Self) -> Self {
        let counts = self
            .counts
            .iter()
            .zip(&earlier.counts)
            .map(|(now, then)| now - then)
            .collect();
        Self {
            counts,
            max_ns: self.max_ns,
        }
    }

    /// How many durations.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The longest.
    pub fn max_ns(&self) -> u64 {
        self.max_ns
    }

    /// The duration that this part (0 … 1) of all doesn't exceed: the middle
    /// of its bucket. 0 if there are none.
    pub fn quantile_ns(&self, part: f64) -> u64 {
        let rank = ((self.count() as f64 * part).ceil() as u64).max(1);
        let mut sum = 0;
        for (index, count) in self.counts.iter().enumerate() {
            sum += count;
            if sum >= rank {
                let middle_ns = lowest_of(index) + (lowest_of(index + 1) - lowest_of(index)) / 2;
                return middle_ns.min(self.max_ns);
            }
        }
        0
    }
}

#[inline]
fn bucket_of(value: u64) -> usize {
    if value < SUB as u64 {
        return value as usize;
    }
    let exponent = 63 - value.leading_zeros();
    let sub = (value >> (exponent - SUB_BITS)) as usize & (SUB - 1);
    ((exponent - SUB_BITS + 1) as usize) * SUB + sub
}

fn lowest_of(bucket: usize) -> u64 {
    let (octave, sub) = (bucket / SUB, (bucket % SUB) as u64);
    match octave {
        0 => sub,
        octave => (SUB as u64 + sub)
            .checked_shl(octave as u32 - 1)
            .filter(|_| octave <= 58)
            .unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::{BUCKETS, Histogram, Snapshot, bucket_of, lowest_of};

    #[test]
    fn buckets_are_in_order_and_hold_what_they_should() {
        for index in 0..BUCKETS {
            assert_eq!(bucket_of(lowest_of(index)), index);
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        for value in [0, 1, 63, 64, 65, 127, 128, 1000, 1 << 40, u64::MAX / 3] {
            let index = bucket_of(value);
            assert!(
                lowest_of(index) <= value && (index + 1 == BUCKETS || value < lowest_of(index + 1)),
                "{value}"
            );
        }
    }

    #[test]
    fn quantiles_are_within_their_bucket() {
        let histogram = Histogram::default();
        (1..=100_000_u64).for_each(|value| histogram.record(value * 100));
        let mut snapshot = Snapshot::default();
        histogram.add_to(&mut snapshot);
        for (part, exact) in [(0.5, 5_000_000.0), (0.99, 9_900_000.0), (1.0, 10_000_000.0)] {
            let found = snapshot.quantile_ns(part) as f64;
            assert!((found / exact - 1.0).abs() < 0.016, "{part}: {found}");
        }
        assert_eq!(Snapshot::default().quantile_ns(0.5), 0);
    }
}
