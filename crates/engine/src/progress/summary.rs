//! The end of a run in figures, and whether they can be trusted.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use encarno_record::Strings;
use encarno_record::statistics::time_text;

use super::SECOND_NS;
use crate::output::WriteSummary;
use crate::workers::Counters;
use crate::workers::control::Stop;
use crate::workers::counters::{Histogram, Snapshot};
use crate::workers::feed::ReadSummary;

/// The sums over all loops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Hits whose instant had come.
    pub scheduled: u64,
    /// Hits that were started.
    pub started: u64,
    /// Hits that ended with an answer.
    pub done: u64,
    /// Hits that ended without one.
    pub failed: u64,
    /// Among the done: a protocol code from 400 on.
    pub refused: u64,
    /// Hits that were never started.
    pub dropped: u64,
    /// Among the dropped: due at the schedule's end, and no connection or no
    /// record was there for them.
    pub dropped_at_end: u64,
    /// Among the failed: the peer closed a kept connection under the hit.
    pub stale: u64,
    /// Among the done: an answer that isn't as asserted.
    pub unmet: u64,
    /// Redirects that were followed, as parts of their hits.
    pub redirects: u64,
    /// Hits that run.
    pub running: u64,
    /// Workers that pause.
    pub sleeping: u64,
    /// Workers there are.
    pub workers: u64,
    /// Turns in which a hit was due and no worker was free.
    pub no_worker: u64,
    /// Turns in which the input was behind.
    pub no_record: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// The sum of all lags.
    pub lag_sum_ns: u64,
}

impl Totals {
    /// Of these loops, now.
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
            totals.sleeping += counters.sleeping.get();
            totals.running += counters.running.get();
            totals.workers += counters.workers.get();
            totals.no_worker += counters.no_worker.get();
            totals.no_record += counters.no_record.get();
            totals.sent_bytes += counters.sent_bytes.get();
            totals.received_bytes += counters.received_bytes.get();
            totals.lag_sum_ns += counters.lag_sum_ns.get();
        }
        totals
    }

    /// Hits that ended.
    pub fn ended(&self) -> u64 {
        self.done + self.failed
    }
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The sums.
    pub totals: Totals,
    /// The run's start on CLOCK_MONOTONIC.
    pub origin_ns: u64,
    /// How long it took.
    pub elapsed_ns: u64,
    /// From start to end.
    pub service: Snapshot,
    /// From the scheduled instant to the end.
    pub response: Snapshot,
    /// How late hits started.
    pub lag: Snapshot,
    /// What was written.
    pub written: WriteSummary,
    /// What was read from a file.
    pub read: ReadSummary,
    /// The addresses that were hit, those with most hits first.
    pub addresses: Vec<(String, u64)>,
    /// Whether it was stopped.
    pub stop: Stop,
    /// Failures by net code and text, the most frequent first; code 0 = an
    /// answer that isn't as asserted.
    pub failures: Vec<(u16, String, u64)>,
    /// Whether the generator itself was the limit.
    pub verdict: Verdict,
}

/// What the end of a run says beside its loops' counters.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The run's start on CLOCK_MONOTONIC.
    pub origin_ns: u64,
    /// How long it took.
    pub elapsed_ns: u64,
    /// What was written.
    pub written: WriteSummary,
    /// What was read from a file.
    pub read: ReadSummary,
    /// The address of records that don't carry one.
    pub address: String,
    /// Whether it was stopped.
    pub stop: Stop,
}

/// Reasons of failures that are shown; `stats` has them all.
const REASONS_SHOWN: usize = 5;

/// Addresses that are shown one by one.
const ADDRESSES_SHOWN: usize = 20;

/// Whether the figures tell of the target, or of the generator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why the generator was the limit, a sentence each; none = it wasn't.
    pub reasons: Vec<String>,
}

/// A loop that uses more of its core than that had no time left.
const BUSY_PART_MAX: f64 = 0.95;
/// Lateness that a user of the figures should know of.
const LAG_P99_NS_MAX: u64 = 5_000_000;

impl Summary {
    pub(super) fn new(
        counters: &[Arc<Counters>],
        open: bool,
        ending: Ending,
        strings: &Strings,
    ) -> Self {
        let Ending {
            origin_ns,
            elapsed_ns,
            written,
            read,
            address,
            stop,
        } = ending;
        let totals = Totals::of(counters);
        assert_eq!(
            totals.scheduled,
            totals.done + totals.failed + totals.dropped,
            "every hit that was scheduled is done, failed or dropped"
        );
        let sum = |pick: fn(&Counters) -> &Histogram| {
            let mut snapshot = Snapshot::default();
            counters
                .iter()
                .for_each(|counters| pick(counters).add_to(&mut snapshot));
            snapshot
        };
        let lag = sum(|counters| &counters.lag);
        let mut reasons = HashMap::new();
        counters
            .iter()
            .for_each(|counters| counters.add_failures_to(&mut reasons));
        let text = |id| {
            strings
                .get(id)
                .map(|text| text.to_string())
                .unwrap_or_default()
        };
        let mut failures: Vec<_> = reasons
            .into_iter()
            .map(|((code, id), count)| (code, text(id), count))
            .collect();
        failures.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.cmp(b)));
        let mut hits = HashMap::new();
        counters
            .iter()
            .for_each(|counters| counters.add_addresses_to(&mut hits));
        let mut addresses: Vec<_> = hits
            .into_iter()
            .map(|(id, hits)| match id.0 {
                0 => (address.clone(), hits),
                _ => (text(id), hits),
            })
            .collect();
        addresses.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.cmp(b)));
        let verdict = Verdict::new(counters, &totals, &lag, open, &written);
        Self {
            totals,
            origin_ns,
            elapsed_ns,
            service: sum(|counters| &counters.service),
            response: sum(|counters| &counters.response),
            lag,
            written,
            read,
            addresses,
            stop,
            failures,
            verdict,
        }
    }
}

impl Verdict {
    fn new(
        counters: &[Arc<Counters>],
        totals: &Totals,
        lag: &Snapshot,
        open: bool,
        written: &WriteSummary,
    ) -> Self {
        let mut reasons = Vec::new();
        let busy_part = |counters: &Arc<Counters>| {
            counters.cpu_ns.get() as f64 / counters.ended_ns.get().max(1) as f64
        };
        let busiest = counters.iter().map(busy_part).fold(0.0, f64::max);
        let lag_p99_ns = lag.quantile_ns(0.99);
        let late = open && lag_p99_ns > LAG_P99_NS_MAX;
        if busiest > BUSY_PART_MAX && (!open || late) {
            reasons.push(format!(
                "an event loop used {:.0} % of its core: use more threads or machines",
                busiest * 100.0
            ));
        }
        if late && totals.no_worker > 0 {
            reasons
                .push("hits waited for a free connection: allow more (--connections)".to_owned());
        } else if late {
            reasons.push(format!(
                "hits started late (p99 {}): the machine is too busy",
                time_text(lag_p99_ns as f64)
            ));
        }
        if totals.dropped > 0 {
            reasons.push(format!("{} hits were dropped", totals.dropped));
        }
        if late && totals.no_record > totals.started / 100 {
            reasons.push("hits waited for the input".to_owned());
        }
        if written.hits_lost > 0 {
            reasons.push(format!(
                "{} hits weren't recorded: the output is too slow",
                written.hits_lost
            ));
        }
        Self { reasons }
    }

    /// Whether the generator was the limit.
    pub fn is_limited(&self) -> bool {
        !self.reasons.is_empty()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = &self.totals;
        let seconds = self.elapsed_ns as f64 / SECOND_NS as f64;
        let per_second = |number: u64| number as f64 / seconds.max(1e-9);
        writeln!(
            f,
            "scheduled {} = done {} + failed {} + dropped {}; {:.1} hits/s for {:.2} s",
            totals.scheduled,
            totals.done,
            totals.failed,
            totals.dropped,
            per_second(totals.ended()),
            seconds,
        )?;
        if totals.refused > 0 {
            writeln!(f, "{} answers with a code from 400 on", totals.refused)?;
        }
        if totals.unmet > 0 {
            writeln!(f, "{} answers not as asserted", totals.unmet)?;
        }
        for (code, text, count) in self.failures.iter().take(REASONS_SHOWN) {
            match code {
                0 => writeln!(f, "{count} with {text}")?,
                code => writeln!(f, "{count} failed with {code}: {text}")?,
            }
        }
        if totals.redirects > 0 {
            writeln!(f, "{} redirects followed", totals.redirects)?;
        }
        for (name, times) in [
            ("service", &self.service),
            ("response", &self.response),
            ("lag", &self.lag),
        ] {
            write!(f, "{name:<9}")?;
            for (label, part) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
                write!(
                    f,
                    " {label} {:<9}",
                    time_text(times.quantile_ns(part) as f64)
                )?;
            }
            writeln!(f, " max {}", time_text(times.max_ns() as f64))?;
        }
        writeln!(
            f,
            "sent {:.1} MB, received {:.1} MB ({:.1} MB/s)",
            totals.sent_bytes as f64 * 1e-6,
            totals.received_bytes as f64 * 1e-6,
            per_second(totals.received_bytes) * 1e-6,
        )?;
        if self.addresses.len() > 1 {
            for (address, hits) in self.addresses.iter().take(ADDRESSES_SHOWN) {
                writeln!(f, "{hits} hits to {address}")?;
            }
            if let Some(more) = self.addresses.len().checked_sub(ADDRESSES_SHOWN + 1) {
                writeln!(f, "and hits to {} more addresses", more + 1)?;
            }
        }
        if self.read.bad > 0 {
            writeln!(
                f,
                "{} broken records were skipped, {} were used",
                self.read.bad, self.read.records
            )?;
        }
        if !self.read.left_out.is_empty() {
            writeln!(f, "left out of the input: {}", self.read.left_out)?;
        }
        if self.written.queue_full_count > 0 {
            writeln!(
                f,
                "the output queue was full {} times",
                self.written.queue_full_count
            )?;
        }
        for warning in &self.written.warnings {
            writeln!(f, "note: {warning}")?;
        }
        match self.stop {
            Stop::No => {}
            Stop::Drain => writeln!(f, "stopped before the end")?,
            Stop::Now => writeln!(f, "stopped at once, running hits were cancelled")?,
        }
        if self.verdict.is_limited() {
            write!(
                f,
                "verdict: THE GENERATOR WAS A LIMIT: {}",
                self.verdict.reasons.join("; ")
            )
        } else {
            write!(f, "verdict: the generator wasn't the limit")
        }
    }
}
