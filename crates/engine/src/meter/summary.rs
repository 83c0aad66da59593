//! The end of a run in figures.

use std::sync::Arc;

use encarno_record::Expected;
use encarno_record::notes::{self, Notes};
use encarno_record::statistics::{LabelStatistics, Statistics};

use super::{Judgement, Metered, Verdict};
use crate::output::WriteSummary;
use crate::workers::Counters;
use crate::workers::control::Stop;
use crate::workers::feed::ReadSummary;

/// The sums over all loops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Hits whose instant had come.
    pub scheduled: u64,
    /// Hits that were started.
    pub started: u64,
    /// Hits that ended well.
    pub done: u64,
    /// Hits that failed: no answer, a status that isn't expected, or an answer
    /// that isn't as asserted.
    pub failed: u64,
    /// Among the failed: an answer with a status that isn't expected.
    pub refused: u64,
    /// Hits that were never started.
    pub dropped: u64,
    /// Among the dropped: due at the schedule's end, and no connection or no
    /// record was there for them.
    pub dropped_at_end: u64,
    /// Among the failed: the peer closed a kept connection under the hit.
    pub stale: u64,
    /// Among the failed: an answer that isn't as asserted.
    pub unmet: u64,
    /// Redirects that were followed, as parts of their hits.
    pub redirects: u64,
    /// Turns in which a hit was due and no worker was free.
    pub no_worker: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
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
            totals.no_worker += counters.no_worker.get();
            totals.sent_bytes += counters.sent_bytes.get();
            totals.received_bytes += counters.received_bytes.get();
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
    /// The run's start on the wall clock.
    pub started_unix_ns: u64,
    /// How long it took.
    pub elapsed_ns: u64,
    /// How long it lasts for whoever divides by it: to the end of the last hit,
    /// or of the last gap of the schedule.
    pub span_ns: u64,
    /// Which statuses don't fail a hit.
    pub expected: Expected,
    /// What became of hits, by label.
    pub statistics: Statistics,
    /// All labels together.
    pub total: LabelStatistics,
    /// What was written.
    pub written: WriteSummary,
    /// What was read from a file.
    pub read: ReadSummary,
    /// The addresses that were hit, those with most hits first.
    pub addresses: Vec<(String, u64)>,
    /// Whether it was stopped.
    pub stop: Stop,
    /// How long it was paused; that is part of how long it took.
    pub paused_ns: u64,
    /// Whether the generator itself was the limit.
    pub verdict: Verdict,
}

/// What the end of a run says beside its windows.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The run's start on CLOCK_MONOTONIC.
    pub origin_ns: u64,
    /// The run's start on the wall clock.
    pub started_unix_ns: u64,
    /// How long it took.
    pub elapsed_ns: u64,
    /// How long it lasts for whoever divides by it.
    pub span_ns: u64,
    /// Which statuses don't fail a hit.
    pub expected: Expected,
    /// What was written.
    pub written: WriteSummary,
    /// What was read from a file.
    pub read: ReadSummary,
    /// The addresses that were hit, those with most hits first.
    pub addresses: Vec<(String, u64)>,
    /// Whether it was stopped.
    pub stop: Stop,
    /// How long it was paused; that is part of how long it took.
    pub paused_ns: u64,
}

/// What the result file says of the end of a run: its account and its verdict.
pub fn notes(totals: &Totals, verdict: &Verdict) -> Notes {
    Notes {
        totals: Some(notes::Totals {
            scheduled: totals.scheduled,
            done: totals.done,
            failed: totals.failed,
            dropped: totals.dropped,
        }),
        verdict: Some(notes::Verdict {
            judgement: match verdict.judgement {
                Judgement::Sound => notes::Judgement::Sound,
                Judgement::Limited => notes::Judgement::Limited,
                Judgement::Unknown => notes::Judgement::Unknown,
            },
            reasons: verdict.reasons.clone(),
        }),
        ..Notes::default()
    }
}

impl Summary {
    /// Of a run whose windows came to that.
    pub fn new(totals: Totals, metered: Metered, ending: Ending) -> Self {
        let Ending {
            origin_ns,
            started_unix_ns,
            elapsed_ns,
            span_ns,
            expected,
            written,
            read,
            addresses,
            stop,
            paused_ns,
        } = ending;
        assert_eq!(
            totals.scheduled,
            totals.done + totals.failed + totals.dropped,
            "every hit that was scheduled is done, failed or dropped"
        );
        let total = metered.statistics.total();
        let verdict = metered.judge.verdict(&total, &totals, &written, stop);
        Self {
            totals,
            origin_ns,
            started_unix_ns,
            elapsed_ns,
            span_ns,
            expected,
            statistics: metered.statistics,
            total,
            written,
            read,
            addresses,
            stop,
            paused_ns,
            verdict,
        }
    }
}
