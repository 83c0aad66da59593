//! `encarno stats`: sums and distributions from result files.

use std::io::{self, Write};

use encarno_record::histogram::Histogram;
use encarno_record::notes::{Check, Threshold};
use encarno_record::results::whole::FileStatistics;
use encarno_record::statistics::{LabelStatistics, QUANTILES};
use serde::Serialize;

use super::metrics::JsonMetric;
use crate::report::rate;

/// Prints a table for people.
pub fn print_table(file: &FileStatistics, out: &mut dyn Write) -> io::Result<()> {
    crate::report::write_table(&file.statistics, file.span_ns(), out)?;
    super::metrics::write_table(&file.metrics, file.span_ns(), out)?;
    super::metrics::write_demands(&file.notes, out)
}

/// Prints the same as JSON: `{started_unix_ns, whole, …, total, labels}`.
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
        metrics: super::metrics::json(&file.metrics, span_ns),
        thresholds: &file.notes.thresholds,
        checks: &file.notes.checks,
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
    /// Those that aren't hits, as k6 has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<JsonMetric>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    thresholds: &'a [Threshold],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    checks: &'a [Check],
}

#[derive(Serialize)]
struct JsonLabel {
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    hits: u64,
    failed: u64,
    duration_s: f64,
    /// None if a single hit, or none, can't say it.
    rate: Option<f64>,
    sent_bytes: u64,
    received_bytes: u64,
    net_codes: std::collections::BTreeMap<u16, u64>,
    protocol_codes: std::collections::BTreeMap<u16, u64>,
    errors: Vec<JsonError>,
    service_ns: JsonTimes,
    response_ns: JsonTimes,
    lag_ns: JsonTimes,
}

impl JsonLabel {
    fn of(label: Option<String>, statistics: &LabelStatistics, span_ns: u64) -> Self {
        Self {
            label,
            hits: statistics.hits,
            failed: statistics.failed,
            duration_s: span_ns as f64 * 1e-9,
            rate: rate(statistics.hits, span_ns),
            sent_bytes: statistics.sent_bytes,
            received_bytes: statistics.received_bytes,
            net_codes: statistics.net_codes.clone(),
            protocol_codes: statistics.protocol_codes.clone(),
            errors: statistics
                .errors
                .iter()
                .map(|((net_code, text), &hits)| JsonError {
                    net_code: *net_code,
                    text: text.to_string(),
                    hits,
                })
                .collect(),
            service_ns: JsonTimes::of(&statistics.service_ns),
            response_ns: JsonTimes::of(&statistics.response_ns),
            lag_ns: JsonTimes::of(&statistics.lag_ns),
        }
    }
}

#[derive(Serialize)]
struct JsonError {
    net_code: u16,
    text: String,
    hits: u64,
}

#[derive(Serialize)]
struct JsonTimes {
    min: u64,
    mean: f64,
    p50: u64,
    p75: u64,
    p90: u64,
    p95: u64,
    p99: u64,
    #[serde(rename = "p99.9")]
    p999: u64,
    max: u64,
}

impl JsonTimes {
    fn of(times: &Histogram) -> Self {
        let [p50, p75, p90, p95, p99, p999] = QUANTILES.map(|(_, share)| times.quantile(share));
        Self {
            min: times.min(),
            mean: times.mean(),
            p50,
            p75,
            p90,
            p95,
            p99,
            p999,
            max: times.max(),
        }
    }
}
