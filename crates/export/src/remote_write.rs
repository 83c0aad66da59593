//! Prometheus's remote write, version 1, with native histograms. Counters and histograms
//! are those of the run up to now.
//!
//! Source: <https://prometheus.io/docs/specs/prw/remote_write_spec/> and `prompb/types.proto`.

mod message;

use encarno_record::histogram::Histogram;
use prost::Message as _;

use crate::buckets::Buckets;
use crate::steps::{Kind, Step};
use crate::totals::Totals;
use crate::{Body, Origin};
use message::{BucketSpan, Label, Metadata, NativeHistogram, Sample, TimeSeries, WriteRequest};

/// The type of a body.
pub const CONTENT_TYPE: &str = "application/x-protobuf";
/// Where a receiver takes it, if its URL names no path.
pub const PATH: &str = "/api/v1/write";
/// Headers that go with each body.
pub const HEADERS: [(&str, &str); 2] = [
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

const HITS: &str = "encarno_hits_total";
const SENT: &str = "encarno_sent_bytes_total";
const RECEIVED: &str = "encarno_received_bytes_total";
const RESPONSE: &str = "encarno_response_duration_seconds";
const SERVICE: &str = "encarno_service_duration_seconds";
const LAG: &str = "encarno_lag_duration_seconds";

/// The finest that Prometheus has: a bucket is 0.27 % wide.
const SCHEMA: u32 = 8;
/// What lies below is zero: Prometheus's own threshold.
const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;
/// So many empty buckets are written rather than a new span.
const GAP_MAX: usize = 2;

/// The messages of a run.
#[derive(Debug)]
pub struct Exporter {
    origin: Origin,
    totals: Totals,
}

impl Exporter {
    /// Of that run.
    pub fn new(origin: &Origin) -> Self {
        Self {
            origin: origin.clone(),
            totals: Totals::default(),
        }
    }

    /// Adds a period: the message that tells of it.
    pub fn take(&mut self, step: &Step) -> Body {
        let timestamp_ms = (step.until_unix_ns / 1_000_000) as i64;
        let mut timeseries = Vec::new();
        for (kind, sums) in self.totals.add(step) {
            let labels = |name| labels(name, kind, &self.origin);
            let counters = [
                (HITS, sums.hits),
                (SENT, sums.sent_bytes),
                (RECEIVED, sums.received_bytes),
            ];
            timeseries.extend(counters.map(|(name, value)| TimeSeries {
                labels: labels(name),
                samples: vec![Sample {
                    value: value as f64,
                    timestamp_ms,
                }],
                histograms: Vec::new(),
            }));
            let times = [
                (RESPONSE, &sums.response_ns),
                (SERVICE, &sums.service_ns),
                (LAG, &sums.lag_ns),
            ];
            timeseries.extend(times.map(|(name, times)| TimeSeries {
                labels: labels(name),
                samples: Vec::new(),
                histograms: vec![native(times, timestamp_ms)],
            }));
        }
        let points = timeseries.len() as u64;
        let request = WriteRequest {
            timeseries,
            metadata: metadata(),
        };
        Body {
            bytes: compressed(&request.encode_to_vec()),
            points,
        }
    }
}

/// In the order of their names, as Prometheus wants them; one without a value is none.
fn labels(name: &str, kind: &Kind, origin: &Origin) -> Vec<Label> {
    let number = |number: u16| match number {
        0 => String::new(),
        number => number.to_string(),
    };
    let labels = [
        ("__name__", name.to_owned()),
        ("instance", origin.instance.clone()),
        ("job", "encarno".to_owned()),
        ("label", kind.label.clone()),
        ("net", number(kind.net_code)),
        (
            "outcome",
            if kind.failed { "failed" } else { "ok" }.to_owned(),
        ),
        ("run", origin.run.clone()),
        ("status", number(kind.status)),
    ];
    let labels = labels.into_iter().filter(|(_, value)| !value.is_empty());
    labels
        .map(|(name, value)| Label {
            name: name.to_owned(),
            value,
        })
        .collect()
}

fn native(times: &Histogram, timestamp_ms: i64) -> NativeHistogram {
    let buckets = Buckets::of(times, SCHEMA);
    let (positive_spans, positive_deltas) = spans(buckets.offset, &buckets.counts);
    NativeHistogram {
        count: Some(times.count()),
        sum: times.sum() as f64 * 1e-9,
        schema: buckets.scale,
        zero_threshold: ZERO_THRESHOLD,
        zero_count: Some(buckets.zeros),
        positive_spans,
        positive_deltas,
        timestamp_ms,
    }
}

/// Runs of buckets, and what each has more than the one before.
fn spans(offset: i32, counts: &[u64]) -> (Vec<BucketSpan>, Vec<i64>) {
    let (mut spans, mut deltas) = (Vec::<BucketSpan>::new(), Vec::new());
    let mut last = 0;
    // The bucket behind the last span: at the start that of index 0.
    let mut behind = 0;
    // Prometheus's bucket i ends where OTLP's begins.
    let mut index = offset + 1;
    let mut left = counts;
    while let Some((&count, rest)) = left.split_first() {
        let empty = left.iter().take_while(|&&count| count == 0).count();
        if empty > GAP_MAX {
            index += empty as i32;
            left = &left[empty..];
            continue;
        }
        match spans.last_mut() {
            Some(span) if index == behind => span.length += 1,
            _ => spans.push(BucketSpan {
                offset: index - behind,
                length: 1,
            }),
        }
        deltas.push(count as i64 - last);
        last = count as i64;
        index += 1;
        behind = index;
        left = rest;
    }
    (spans, deltas)
}

fn metadata() -> Vec<Metadata> {
    const COUNTER: i32 = 1;
    const HISTOGRAM: i32 = 3;
    let all = [
        (HITS, COUNTER, "hits that ended", ""),
        (SENT, COUNTER, "bytes sent", "bytes"),
        (RECEIVED, COUNTER, "bytes received", "bytes"),
        (
            RESPONSE,
            HISTOGRAM,
            "from the instant at which a hit was due to its end",
            "seconds",
        ),
        (
            SERVICE,
            HISTOGRAM,
            "from the start of a hit to its end",
            "seconds",
        ),
        (LAG, HISTOGRAM, "how late a hit started", "seconds"),
    ];
    all.map(|(name, kind, help, unit)| Metadata {
        kind,
        name: name.to_owned(),
        help: help.to_owned(),
        unit: unit.to_owned(),
    })
    .into()
}

/// Snappy's block format.
fn compressed(bytes: &[u8]) -> Vec<u8> {
    // It fails for 4 GiB and more alone; a message has some MiB.
    snap::raw::Encoder::new()
        .compress_vec(bytes)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::message::BucketSpan;
    use super::spans;

    #[test]
    fn buckets_that_are_empty_part_spans() {
        let span = |offset, length| BucketSpan { offset, length };
        let cases = [
            (0, vec![], vec![], vec![]),
            (-1, vec![3, 5], vec![span(0, 2)], vec![3, 2]),
            (6, vec![1, 0, 0, 2], vec![span(7, 4)], vec![1, -1, 0, 2]),
            (
                -9,
                vec![4, 0, 0, 0, 1, 1],
                vec![span(-8, 1), span(3, 2)],
                vec![4, -3, 0],
            ),
        ];
        for (offset, counts, expected, deltas) in cases {
            assert_eq!(spans(offset, &counts), (expected, deltas), "{counts:?}");
        }
    }
}
