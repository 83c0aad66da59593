//! A run that agents made, in the form of a run of this process: so it has the same summary.

use encarno_engine::ReadSummary;
use encarno_engine::control::Stop;
use encarno_engine::meter::{Summary, Totals};
use encarno_engine::output::WriteSummary;
use encarno_fleet::coordinator::Outcome;
use encarno_record::condition::{Condition, Measured};
use encarno_record::results::whole::FileStatistics;

use crate::supervise::Ended;

/// The run of the merged file.
pub(super) fn of(file: &FileStatistics, outcome: &Outcome, fail_if: &[Condition]) -> Ended {
    let details = file.notes.details.clone().unwrap_or_default();
    let (account, total) = (&outcome.totals, file.statistics.total());
    let totals = Totals {
        scheduled: account.scheduled,
        // An agent that was lost has told only of those that ended.
        started: details.started.max(total.hits),
        done: account.done,
        failed: account.failed,
        refused: details.unexpected_status,
        dropped: account.dropped,
        lost: account.lost,
        dropped_at_end: details.dropped_at_end,
        stale: details.stale_connection,
        unmet: details.assertion_failed,
        redirects: details.redirects_followed,
        no_worker: 0,
        transport: file.notes.transport.unwrap_or_default(),
        sent_bytes: total.sent_bytes,
        received_bytes: total.received_bytes,
    };
    let span_ns = file.span_ns();
    let summary = Summary {
        totals,
        origin_ns: 0,
        started_unix_ns: file.span_unix_ns.0,
        elapsed_ns: details.elapsed_ns,
        span_ns,
        expected: file.expected,
        statistics: file.statistics.clone(),
        written: WriteSummary {
            hits: total.hits,
            hits_lost: file.summary.hits_lost,
            queue_full_count: details.queue_full,
            ..WriteSummary::default()
        },
        read: ReadSummary {
            records: details.records,
            bad: details.broken,
            left_out: details.left_out.into_iter().collect(),
        },
        addresses: details.addresses,
        stop: match (outcome.stops, &outcome.ended) {
            (0, None) => Stop::No,
            (0 | 1, _) => Stop::Drain,
            _ => Stop::Now,
        },
        paused_ns: details.paused_ns,
        verdict: file.notes.verdict.clone().unwrap_or_default(),
        total,
    };
    let measured = Measured {
        statistics: &summary.statistics,
        total: &summary.total,
        dropped: totals.dropped,
        span_ns,
    };
    let judged = fail_if.iter().map(|condition| condition.judge(&measured));
    Ended {
        may_be_empty: !file.metrics.is_empty(),
        judged: judged.collect(),
        stopped_by: outcome.ended.clone(),
        lost: outcome.lost.clone(),
        scenario_broke: false,
        summary,
    }
}
