//! The figures at the end of a run.

use encarno_record::Expected;
use encarno_record::notes::{Details, Notes, Verdict};
use encarno_record::statistics::{LabelStatistics, Statistics};

use super::{Metered, Totals};
use crate::output::WriteSummary;
use crate::workers::control::Stop;
use crate::workers::feed::ReadSummary;

/// The result of a run.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The sums over all loops.
    pub totals: Totals,
    /// The run's start on CLOCK_MONOTONIC.
    pub origin_ns: u64,
    /// The run's start on the wall clock.
    pub started_unix_ns: u64,
    /// The duration of the run.
    pub elapsed_ns: u64,
    /// The duration to divide by: to the end of the last hit, or of the last gap of the
    /// schedule.
    pub span_ns: u64,
    /// The statuses that don't fail a hit.
    pub expected: Expected,
    /// The statistics of hits, by label.
    pub statistics: Statistics,
    /// All labels together.
    pub total: LabelStatistics,
    /// The result of writing.
    pub written: WriteSummary,
    /// The result of reading the input.
    pub read: ReadSummary,
    /// The addresses that hits went to, those with most hits first.
    pub addresses: Vec<(String, u64)>,
    /// Whether it was stopped.
    pub stop: Stop,
    /// The time for which it was paused, which is part of its duration.
    pub paused_ns: u64,
    /// Whether the generator itself was the limit.
    pub verdict: Verdict,
}

/// The end of a run: everything that its windows don't contain.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The run's start on CLOCK_MONOTONIC.
    pub origin_ns: u64,
    /// The run's start on the wall clock.
    pub started_unix_ns: u64,
    /// The duration of the run.
    pub elapsed_ns: u64,
    /// The duration to divide by.
    pub span_ns: u64,
    /// The statuses that don't fail a hit.
    pub expected: Expected,
    /// The result of writing.
    pub written: WriteSummary,
    /// The result of reading the input.
    pub read: ReadSummary,
    /// The addresses that hits went to, those with most hits first.
    pub addresses: Vec<(String, u64)>,
    /// Whether it was stopped.
    pub stop: Stop,
    /// The time for which it was paused, which is part of its duration.
    pub paused_ns: u64,
}

/// The notes at the end of a result file: the account and the verdict. `details` has what
/// the totals don't have.
pub fn notes(totals: &Totals, verdict: &Verdict, details: Details) -> Notes {
    Notes {
        totals: Some(totals.account()),
        transport: totals.transport.known(),
        verdict: Some(verdict.clone()),
        details: Some(Details {
            started: totals.started,
            dropped_at_end: totals.dropped_at_end,
            unexpected_status: totals.refused,
            assertion_failed: totals.unmet,
            stale_connection: totals.stale,
            redirects_followed: totals.redirects,
            ..details
        }),
        ..Notes::default()
    }
}

impl Summary {
    /// The summary of a run with these totals, windows and ending.
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
