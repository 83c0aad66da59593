//! Prometheus's remote write, version 1, with native histograms. Counters and histograms
//! are those of the run up to now.
//!
//! Source: <https://prometheus.io/docs/specs/prw/remote_write_spec/> and `prompb/types.proto`.

mod message;

use encarno_record::exemplar::Exemplar;
use encarno_record::histogram::Histogram;
use prost::Message as _;

use crate::prometheus::{FAMILIES, Native, Values, ZERO_THRESHOLD, labels, trace_labels};
use crate::steps::{Exemplars, Kind, Step};
use crate::totals::Totals;
use crate::{Body, Origin};
use message::{Label, Metadata, NativeHistogram, Sample, TimeSeries, WriteRequest};

/// The content type of a body.
pub const CONTENT_TYPE: &str = "application/x-protobuf";
/// The path of a receiver, if its URL has none.
pub const PATH: &str = "/api/v1/write";
/// The headers of each body.
pub const HEADERS: [(&str, &str); 2] = [
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

/// The messages of a run.
#[derive(Debug)]
pub struct Exporter {
    origin: Origin,
    totals: Totals,
}

impl Exporter {
    /// An exporter of this run.
    pub fn new(origin: &Origin) -> Self {
        Self {
            origin: origin.clone(),
            totals: Totals::default(),
        }
    }

    /// Adds a period, and returns its message.
    pub fn take(&mut self, step: &Step) -> Body {
        let timestamp_ms = (step.until_unix_ns / 1_000_000) as i64;
        let started = self.origin.started_unix_ns;
        let mut timeseries = Vec::new();
        for (kind, sums) in self.totals.add(step) {
            timeseries.extend(FAMILIES.iter().map(|family| {
                let (mut samples, mut histograms) = (Vec::new(), Vec::new());
                let mut exemplars = Vec::new();
                match family.values {
                    Values::Counter(value) => samples.push(Sample {
                        value: value(sums) as f64,
                        timestamp_ms,
                    }),
                    Values::Histogram(times, traced) => {
                        histograms.push(native(times(sums), timestamp_ms));
                        let known = step.exemplars.get(kind).map(Exemplars::in_order);
                        let known = known.unwrap_or_default();
                        exemplars.extend(traced.iter().flat_map(|time| {
                            known.iter().map(|one| exemplar(one, time(one), started))
                        }));
                    }
                }
                TimeSeries {
                    labels: all_labels(family.name, kind, &self.origin),
                    samples,
                    exemplars,
                    histograms,
                }
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

/// In the order of their names, as Prometheus wants them.
fn all_labels(name: &str, kind: &Kind, origin: &Origin) -> Vec<Label> {
    let mut all = vec![("__name__", name.to_owned()), ("job", "encarno".to_owned())];
    if !origin.instance.is_empty() {
        all.push(("instance", origin.instance.clone()));
    }
    all.extend(labels(kind, &origin.run));
    all.sort_unstable_by_key(|(name, _)| *name);
    all.into_iter()
        .map(|(name, value)| Label {
            name: name.to_owned(),
            value,
        })
        .collect()
}

fn exemplar(exemplar: &Exemplar, time_ns: u64, started_unix_ns: u64) -> message::Exemplar {
    let labels = trace_labels(exemplar);
    message::Exemplar {
        labels: labels
            .map(|(name, value)| Label {
                name: name.to_owned(),
                value,
            })
            .collect(),
        value: time_ns as f64 * 1e-9,
        timestamp_ms: (started_unix_ns.saturating_add(exemplar.ended_ns) / 1_000_000) as i64,
    }
}

fn native(times: &Histogram, timestamp_ms: i64) -> NativeHistogram {
    let native = Native::of(times);
    NativeHistogram {
        count: Some(times.count()),
        sum: times.sum() as f64 * 1e-9,
        schema: native.schema,
        zero_threshold: ZERO_THRESHOLD,
        zero_count: Some(native.zeros),
        positive_spans: native.spans,
        positive_deltas: native.deltas,
        timestamp_ms,
    }
}

fn metadata() -> Vec<Metadata> {
    let all = FAMILIES.iter().map(|family| Metadata {
        kind: match family.values {
            Values::Counter(_) => 1,
            Values::Histogram(..) => 3,
        },
        name: family.name.to_owned(),
        help: family.help.to_owned(),
        unit: family.unit.to_owned(),
    });
    all.collect()
}

/// Compresses in Snappy's block format.
fn compressed(bytes: &[u8]) -> Vec<u8> {
    // This fails only for 4 GiB and more, and a message has some MiB.
    snap::raw::Encoder::new()
        .compress_vec(bytes)
        .unwrap_or_default()
}
