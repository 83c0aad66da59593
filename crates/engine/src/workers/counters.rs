//! What one event loop has done, readable by others while it runs.
//!
//! Only the loop writes, so that a plain load and store will do: no locked
//! instruction, and the cache lines stay in its core but for the reader's
//! glance once a second.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use encarno_record::StringId;
use encarno_record::histogram::{BUCKETS, bucket_of, middle_of};

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
    /// Among the dropped: their instant had come, and no connection was free for
    /// them up to the schedule's end, or there was no record.
    pub dropped_at_end: Count,
    /// Hits that failed as stale: the peer closed a kept connection.
    pub stale: Count,
    /// Hits that ended with an answer that isn't as asserted; among the done ones.
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
    /// Hits by address, once the loop has ended.
    addresses: Mutex<HashMap<StringId, u64>>,
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

    /// Adds the failures by reason to those of other loops.
    pub fn add_failures_to(&self, sum: &mut HashMap<(u16, StringId), u64>) {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        for (reason, count) in failures.iter() {
            *sum.entry(*reason).or_default() += count;
        }
    }
}

/// Durations in ns, in the buckets that `encarno stats` has: the summary at the
/// end says what the file says.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[Count]>,
    min: Count,
    max: Count,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: (0..BUCKETS).map(|_| Count::default()).collect(),
            min: Count(AtomicU64::new(u64::MAX)),
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
        if duration_ns < self.min.get() {
            self.min.set(duration_ns);
        }
    }

    /// Adds its counts to a snapshot.
    pub fn add_to(&self, snapshot: &mut Snapshot) {
        snapshot.min_ns = snapshot.min_ns.min(self.min.get());
        snapshot.max_ns = snapshot.max_ns.max(self.max.get());
        for (sum, bucket) in snapshot.counts.iter_mut().zip(&self.buckets) {
            let count = bucket.get();
            // Most are empty: what isn't written to takes no memory.
            if count > 0 {
                *sum += count;
            }
        }
    }
}

/// The sum of histograms at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    counts: Vec<u64>,
    min_ns: u64,
    max_ns: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            min_ns: u64::MAX,
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
            min_ns: self.min_ns,
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
                return middle_of(index).clamp(self.min_ns, self.max_ns);
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use encarno_record::histogram::Histogram as Statistics;

    use super::{Histogram, Snapshot};

    #[test]
    fn quantiles_are_those_of_the_statistics() {
        let (histogram, mut statistics) = (Histogram::default(), Statistics::default());
        for value in (1..=100_000_u64).map(|number| number * number % 7_919_317) {
            histogram.record(value);
            statistics.record(value);
        }
        let mut snapshot = Snapshot::default();
        histogram.add_to(&mut snapshot);
        for part in [0.0, 0.5, 0.99, 0.999, 1.0] {
            assert_eq!(
                snapshot.quantile_ns(part),
                statistics.quantile(part),
                "{part}"
            );
        }
        assert_eq!(Snapshot::default().quantile_ns(0.5), 0);
    }
}
