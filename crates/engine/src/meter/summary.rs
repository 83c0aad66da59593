//! The end of a run in figures.

use encarno_record::Expected;
use encarno_record::notes::{Notes, Verdict};
use encarno_record::statistics::{LabelStatistics, Statistics};

use super::{Metered, Totals};
use crate::output::WriteSummary;
use crate::workers::control::Stop;
use crate::workers::feed::ReadSummary;

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
        totals: Some(totals.account()),
        verdict: Some(verdict.clone()),
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
