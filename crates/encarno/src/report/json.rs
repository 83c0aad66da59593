//! Figures as JSON: the output of `encarno stats --json`, and the summary of a run.

use std::collections::BTreeMap;

use encarno_engine::control::Stop;
use encarno_record::histogram::Histogram;
use encarno_record::notes::{Judgement, Transport};
use encarno_record::statistics::{LabelStatistics, QUANTILES};
use serde::Serialize;

use super::metrics::{self, JsonMetric};
use super::rate;
use crate::criteria::Judged;
use crate::supervise::Ended;

/// The version of the summary's schema, which docs/summary.md describes. It changes when
/// a key is removed or changes its meaning, but not when a key is added.
const VERSION: u32 = 1;

/// The summary of a run, as text.
pub fn summary(ended: &Ended, exit_status: u8) -> String {
    let summary = &ended.summary;
    let totals = &summary.totals;
    let labels = summary
        .statistics
        .labels()
        .map(|(label, hits)| JsonLabel::of(Some(label.to_owned()), hits, summary.span_ns));
    let json = JsonSummary {
        version: VERSION,
        encarno: env!("CARGO_PKG_VERSION"),
        started_unix_ns: summary.started_unix_ns,
        duration_s: summary.span_ns as f64 * 1e-9,
        elapsed_s: summary.elapsed_ns as f64 * 1e-9,
        expected: summary.expected.to_string(),
        exit_status,
        hits: JsonHits {
            scheduled: totals.scheduled,
            started: totals.started,
            done: totals.done,
            failed: totals.failed,
            dropped: totals.dropped,
            lost: totals.lost,
            dropped_at_end: totals.dropped_at_end,
            unexpected_status: totals.refused,
            assertion_failed: totals.unmet,
            stale_connection: totals.stale,
            redirects_followed: totals.redirects,
        },
        verdict: JsonVerdict {
            judgement: match summary.verdict.judgement {
                Judgement::Sound => "sound",
                Judgement::Limited => "generator_limited",
                Judgement::Unknown => "unknown",
            },
            reasons: summary.verdict.reasons.clone(),
        },
        criteria: ended.judged.iter().map(JsonCriterion::of).collect(),
        stopped: match (summary.stop, &ended.stopped_by) {
            (Stop::No, _) => None,
            (Stop::Now, _) => Some("at_once"),
            (Stop::Drain, Some(_)) => Some("by_condition"),
            (Stop::Drain, None) => Some("by_signal"),
        },
        stopped_by: ended.stopped_by.clone(),
        total: JsonLabel::of(None, &summary.total, summary.span_ns),
        labels: labels.collect(),
        transport: totals.transport.known(),
        addresses: summary
            .addresses
            .iter()
            .map(|(address, hits)| JsonAddress {
                address: address.clone(),
                hits: *hits,
            })
            .collect(),
        input: JsonInput {
            records: summary.read.records,
            broken: summary.read.bad,
            left_out: summary.read.left_out.count(),
        },
        output: JsonOutput {
            hits_lost: summary.written.hits_lost,
            queue_full: summary.written.queue_full_count,
            warnings: summary
                .written
                .warnings
                .iter()
                .map(ToString::to_string)
                .collect(),
        },
        metrics: metrics::json(&summary.written.metrics, summary.span_ns),
    };
    let text = serde_json::to_string_pretty(&json);
    // Serialisation fails only for maps whose keys aren't texts.
    text.unwrap_or_default() + "\n"
}

#[derive(Serialize)]
struct JsonSummary {
    version: u32,
    encarno: &'static str,
    started_unix_ns: u64,
    duration_s: f64,
    elapsed_s: f64,
    expected: String,
    exit_status: u8,
    hits: JsonHits,
    verdict: JsonVerdict,
    criteria: Vec<JsonCriterion>,
    stopped: Option<&'static str>,
    stopped_by: Option<String>,
    total: JsonLabel,
    labels: Vec<JsonLabel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<Transport>,
    addresses: Vec<JsonAddress>,
    input: JsonInput,
    output: JsonOutput,
    /// Times within hits, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<JsonMetric>,
}

#[derive(Serialize)]
struct JsonHits {
    scheduled: u64,
    started: u64,
    done: u64,
    failed: u64,
    dropped: u64,
    lost: u64,
    dropped_at_end: u64,
    unexpected_status: u64,
    assertion_failed: u64,
    stale_connection: u64,
    redirects_followed: u64,
}

#[derive(Serialize)]
struct JsonVerdict {
    judgement: &'static str,
    reasons: Vec<String>,
}

#[derive(Serialize)]
struct JsonCriterion {
    condition: String,
    failed: bool,
    value: Option<f64>,
    unit: &'static str,
    shown: String,
}

impl JsonCriterion {
    fn of(judged: &Judged) -> Self {
        Self {
            condition: judged.text.clone(),
            failed: judged.holds,
            value: judged.value,
            unit: judged.unit,
            shown: judged.shown.clone(),
        }
    }
}

#[derive(Serialize)]
struct JsonAddress {
    address: String,
    hits: u64,
}

#[derive(Serialize)]
struct JsonInput {
    records: u64,
    broken: u64,
    left_out: u64,
}

#[derive(Serialize)]
struct JsonOutput {
    hits_lost: u64,
    queue_full: u64,
    warnings: Vec<String>,
}

/// The figures of a label, or of all hits.
#[derive(Serialize)]
pub(crate) struct JsonLabel {
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    hits: u64,
    failed: u64,
    duration_s: f64,
    /// `None` if there are fewer than two hits.
    rate: Option<f64>,
    sent_bytes: u64,
    received_bytes: u64,
    net_codes: BTreeMap<u16, u64>,
    protocol_codes: BTreeMap<u16, u64>,
    errors: Vec<JsonError>,
    concurrency: u32,
    service_ns: JsonTimes,
    response_ns: JsonTimes,
    lag_ns: JsonTimes,
}

impl JsonLabel {
    pub(crate) fn of(label: Option<String>, statistics: &LabelStatistics, span_ns: u64) -> Self {
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
            concurrency: statistics.concurrency,
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
    /// Whether the quantiles are exact.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    exact: bool,
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
            exact: times.is_exact(),
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
