//! `encarno stats`: prints sums and distributions of result files.

use std::io::{self, Write};

use encarno_record::notes::{AgentClock, Check, Threshold, Transport};
use encarno_record::results::whole::FileStatistics;
use serde::Serialize;

use crate::report;
use crate::report::json::JsonLabel;
use crate::report::metrics::{self, JsonMetric};

/// Prints the table that the run printed at its end.
pub fn print_table(file: &FileStatistics, out: &mut dyn Write) -> io::Result<()> {
    // An account belongs to one file, and only to all of it.
    let account = file
        .notes
        .totals
        .filter(|totals| totals.done.saturating_add(totals.failed) == file.statistics.total().hits);
    if let Some(account) = &account {
        writeln!(out, "{account}")?;
    }
    report::write_table(&file.statistics, file.span_ns(), out)?;
    if let (Some(_), Some(transport)) = (&account, &file.notes.transport) {
        writeln!(out, "{transport}")?;
    }
    metrics::write_table(&file.metrics, file.span_ns(), out)?;
    metrics::write_demands(&file.notes, out)?;
    match (&account, &file.notes.verdict) {
        (Some(_), Some(verdict)) => {
            writeln!(out, "{}", report::verdict_text(verdict))
        }
        _ => Ok(()),
    }
}

/// Prints the statistics as JSON: `{started_unix_ns, whole, …, total, labels}`.
pub fn print_json(file: &FileStatistics, out: &mut dyn Write) -> io::Result<()> {
    let span_ns = file.span_ns();
    let labels = file
        .statistics
        .labels()
        .map(|(label, statistics)| JsonLabel::of(Some(label.to_owned()), statistics, span_ns));
    let summary = &file.summary;
    let json = Json {
        started_unix_ns: file.span_unix_ns.0,
        whole: summary.is_whole(),
        ended: summary.ended,
        expected: file.expected.to_string(),
        hits_read: summary.hits,
        hits_damaged: summary.hits_damaged,
        hits_lost: summary.hits_lost,
        damaged_bytes: summary.damage.bytes,
        incomplete_bytes: summary.incomplete_bytes,
        labels: labels.collect(),
        metrics: metrics::json(&file.metrics, span_ns),
        transport: file.notes.transport,
        thresholds: &file.notes.thresholds,
        checks: &file.notes.checks,
        clocks: &file.notes.clocks,
        total: JsonLabel::of(None, &file.statistics.total(), span_ns),
    };
    serde_json::to_writer_pretty(&mut *out, &json)?;
    writeln!(out)
}

#[derive(Serialize)]
struct Json<'a> {
    started_unix_ns: u64,
    whole: bool,
    ended: bool,
    /// The statuses that don't fail a hit.
    expected: String,
    hits_read: u64,
    hits_damaged: u64,
    hits_lost: u64,
    damaged_bytes: u64,
    incomplete_bytes: u64,
    total: JsonLabel,
    labels: Vec<JsonLabel>,
    /// Metrics that aren't hits, as k6 has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<JsonMetric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<Transport>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    thresholds: &'a [Threshold],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    checks: &'a [Check],
    /// The clocks of the agents that made the run.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    clocks: &'a [AgentClock],
}
