//! What remote write and a scrape have in common: the metrics of a run under Prometheus's
//! names, their labels, and native histograms.

use encarno_record::exemplar::{Exemplar, TraceContext};
use encarno_record::histogram::Histogram;
use encarno_record::sums::Sums;
use prost::Message;

use crate::buckets::Buckets;
use crate::steps::Kind;

/// The finest that Prometheus has: a bucket is 0.27 % wide.
const SCHEMA: u32 = 8;
/// What lies below is zero: Prometheus's own threshold.
pub(crate) const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;
/// So many empty buckets are written rather than a new span.
const GAP_MAX: usize = 2;

/// A metric.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) values: Values,
}

/// What a metric tells of some hits. A histogram may also have a value of a hit that
/// began a trace.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Values {
    Counter(fn(&Sums) -> u64),
    Histogram(fn(&Sums) -> &Histogram, Option<fn(&Exemplar) -> u64>),
}

/// All metrics of a run.
pub(crate) const FAMILIES: [Family; 6] = [
    Family {
        name: "encarno_hits_total",
        help: "hits that ended",
        unit: "",
        values: Values::Counter(|sums| sums.hits),
    },
    Family {
        name: "encarno_sent_bytes_total",
        help: "bytes sent",
        unit: "bytes",
        values: Values::Counter(|sums| sums.sent_bytes),
    },
    Family {
        name: "encarno_received_bytes_total",
        help: "bytes received",
        unit: "bytes",
        values: Values::Counter(|sums| sums.received_bytes),
    },
    Family {
        name: "encarno_response_duration_seconds",
        help: "from the instant at which a hit was due to its end",
        unit: "seconds",
        values: Values::Histogram(|sums| &sums.response_ns, Some(|one| one.response_ns)),
    },
    Family {
        name: "encarno_service_duration_seconds",
        help: "from the start of a hit to its end",
        unit: "seconds",
        values: Values::Histogram(|sums| &sums.service_ns, Some(|one| one.service_ns)),
    },
    Family {
        name: "encarno_lag_duration_seconds",
        help: "how late a hit started",
        unit: "seconds",
        values: Values::Histogram(|sums| &sums.lag_ns, None),
    },
];

/// The labels of a kind of hit, in the order of their names; one without a value is none.
pub(crate) fn labels(kind: &Kind, run: &str) -> Vec<(&'static str, String)> {
    let number = |number: u16| match number {
        0 => String::new(),
        number => number.to_string(),
    };
    let outcome = if kind.failed { "failed" } else { "ok" };
    let mut labels = vec![
        ("label", kind.label.clone()),
        ("net", number(kind.net_code)),
        ("outcome", outcome.to_owned()),
        ("run", run.to_owned()),
        ("status", number(kind.status)),
    ];
    labels.retain(|(_, value)| !value.is_empty());
    labels
}

/// The labels of a hit that took part in a trace.
pub(crate) fn trace_labels(exemplar: &Exemplar) -> impl Iterator<Item = (&'static str, String)> {
    let TraceContext { trace_id, span_id } = exemplar.trace;
    let span = (span_id != 0).then(|| ("span_id", format!("{span_id:016x}")));
    let trace = ("trace_id", format!("{trace_id:032x}"));
    span.into_iter().chain([trace])
}

/// The buckets of a native histogram.
#[derive(Debug)]
pub(crate) struct Native {
    pub(crate) schema: i32,
    pub(crate) zeros: u64,
    pub(crate) spans: Vec<BucketSpan>,
    pub(crate) deltas: Vec<i64>,
}

impl Native {
    pub(crate) fn of(times: &Histogram) -> Self {
        let buckets = Buckets::of(times, SCHEMA);
        let (spans, deltas) = spans(buckets.offset, &buckets.counts);
        Self {
            schema: buckets.scale,
            zeros: buckets.zeros,
            spans,
            deltas,
        }
    }
}

/// Buckets without a gap: so many after the span before.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct BucketSpan {
    #[prost(sint32, tag = "1")]
    pub(crate) offset: i32,
    #[prost(uint32, tag = "2")]
    pub(crate) length: u32,
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

#[cfg(test)]
mod tests {
    use super::{BucketSpan, spans};

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
