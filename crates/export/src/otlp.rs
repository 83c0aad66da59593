//! Messages of OTLP. Sums and histograms are cumulative, so a receiver that misses a
//! message gets everything with the next one.

mod message;

use encarno_record::exemplar::Exemplar;
use encarno_record::histogram::Histogram;
use prost::Message as _;

use crate::buckets::Buckets;
use crate::steps::{Exemplars, Kind, Step};
use crate::totals::Totals;
use crate::{Body, Origin};
use message::{
    AnyValue, CUMULATIVE, ExponentialHistogram, ExponentialHistogramDataPoint, KeyValue, Metric,
    NumberDataPoint, Request, Resource, ResourceMetrics, Response, Scope, ScopeMetrics, Sum,
    metric::Data, value::Value,
};

/// The content type of a body.
pub const CONTENT_TYPE: &str = "application/x-protobuf";
/// The path of a receiver, if its URL has none.
pub const PATH: &str = "/v1/metrics";

/// The scale, at which a quantile is off by at most 0.27 %.
const SCALE: u32 = 7;

/// Makes the messages of a run.
#[derive(Debug)]
pub struct Exporter {
    started_unix_ns: u64,
    resource: Vec<KeyValue>,
    totals: Totals,
}

impl Exporter {
    /// An exporter of this run.
    pub fn new(origin: &Origin) -> Self {
        let resource = [
            ("service.name", "encarno"),
            ("service.instance.id", &origin.instance),
            ("service.version", &origin.program),
            ("test.run.id", &origin.run),
        ];
        Self {
            started_unix_ns: origin.started_unix_ns,
            resource: resource.map(|(key, value)| text(key, value)).into(),
            totals: Totals::default(),
        }
    }

    /// Adds a period, and returns its message.
    pub fn take(&mut self, step: &Step) -> Body {
        let times = (self.started_unix_ns, step.until_unix_ns);
        let mut points: [Vec<_>; 3] = Default::default();
        let mut numbers: [Vec<_>; 2] = Default::default();
        let mut totals = std::mem::take(&mut self.totals);
        for (kind, known) in totals.add(step) {
            let exemplars = step.exemplars.get(kind).map(Exemplars::in_order);
            let exemplars = exemplars.unwrap_or_default();
            let of = |time: fn(&Exemplar) -> u64| {
                let all = exemplars.iter();
                all.map(|one| self.exemplar(one, time(one))).collect()
            };
            let histograms = [
                (&known.response_ns, of(|one| one.response_ns)),
                (&known.service_ns, of(|one| one.service_ns)),
                (&known.lag_ns, Vec::new()),
            ];
            for (points, (histogram, exemplars)) in points.iter_mut().zip(histograms) {
                points.push(ExponentialHistogramDataPoint {
                    exemplars,
                    ..histogram_point(kind, histogram, times)
                });
            }
            for (numbers, sum) in numbers
                .iter_mut()
                .zip([known.sent_bytes, known.received_bytes])
            {
                numbers.push(number_point(kind, sum, times));
            }
        }
        self.totals = totals;
        let count = points.iter().map(Vec::len).sum::<usize>()
            + numbers.iter().map(Vec::len).sum::<usize>();
        let [response, service, lag] = points;
        let [sent, received] = numbers;
        let metrics = vec![
            histogram_metric(
                "encarno.response.duration",
                "from the instant at which a hit was due to its end",
                response,
            ),
            histogram_metric(
                "http.client.request.duration",
                "from the start of a hit to its end",
                service,
            ),
            histogram_metric("encarno.lag.duration", "how late a hit started", lag),
            sum_metric("encarno.sent", "bytes sent", sent),
            sum_metric("encarno.received", "bytes received", received),
        ];
        let request = Request {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(Resource {
                    attributes: self.resource.clone(),
                }),
                scope_metrics: vec![ScopeMetrics {
                    scope: Some(Scope {
                        name: "encarno".to_owned(),
                        version: env!("CARGO_PKG_VERSION").to_owned(),
                    }),
                    metrics,
                }],
            }],
        };
        Body {
            bytes: request.encode_to_vec(),
            points: count as u64,
        }
    }
}

impl Exporter {
    fn exemplar(&self, exemplar: &Exemplar, time_ns: u64) -> message::Exemplar {
        message::Exemplar {
            time_unix_nano: self.started_unix_ns.saturating_add(exemplar.ended_ns),
            as_double: Some(time_ns as f64 * 1e-9),
            span_id: match exemplar.trace.span_id {
                0 => Vec::new(),
                span => span.to_be_bytes().into(),
            },
            trace_id: exemplar.trace.trace_id.to_be_bytes().into(),
        }
    }
}

/// How many points a receiver took and threw away, and why, as its answer says.
pub fn rejected(answer: &[u8]) -> Option<(u64, String)> {
    let partial = Response::decode(answer).ok()?.partial_success?;
    let rejected = u64::try_from(partial.rejected_data_points).unwrap_or(0);
    (rejected > 0).then_some((rejected, partial.error_message))
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::Text(value.to_owned()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
    }
}

fn attributes(kind: &Kind) -> Vec<KeyValue> {
    let mut attributes = vec![text("label", &kind.label)];
    if kind.status > 0 {
        let status = Value::Number(i64::from(kind.status));
        attributes.push(attribute("http.response.status_code", status));
    }
    if kind.failed {
        let what = match (kind.net_code, kind.status) {
            (0, 0) => "other".to_owned(),
            (0, status) => status.to_string(),
            (net_code, _) => format!("net {net_code}"),
        };
        attributes.push(text("error.type", &what));
    }
    attributes
}

fn histogram_point(
    kind: &Kind,
    times: &Histogram,
    (started, until): (u64, u64),
) -> ExponentialHistogramDataPoint {
    let buckets = Buckets::of(times, SCALE);
    ExponentialHistogramDataPoint {
        attributes: attributes(kind),
        start_time_unix_nano: started,
        time_unix_nano: until,
        exemplars: Vec::new(),
        count: times.count(),
        sum: Some(times.sum() as f64 * 1e-9),
        scale: buckets.scale,
        zero_count: buckets.zeros,
        positive: Some(message::Buckets {
            offset: buckets.offset,
            bucket_counts: buckets.counts,
        }),
        min: Some(times.min() as f64 * 1e-9),
        max: Some(times.max() as f64 * 1e-9),
    }
}

fn number_point(kind: &Kind, sum: u64, (started, until): (u64, u64)) -> NumberDataPoint {
    NumberDataPoint {
        start_time_unix_nano: started,
        time_unix_nano: until,
        as_int: Some(i64::try_from(sum).unwrap_or(i64::MAX)),
        attributes: attributes(kind),
    }
}

fn histogram_metric(
    name: &str,
    description: &str,
    data_points: Vec<ExponentialHistogramDataPoint>,
) -> Metric {
    let data = ExponentialHistogram {
        data_points,
        aggregation_temporality: CUMULATIVE,
    };
    metric(name, description, "s", Data::ExponentialHistogram(data))
}

fn sum_metric(name: &str, description: &str, data_points: Vec<NumberDataPoint>) -> Metric {
    let data = Sum {
        data_points,
        aggregation_temporality: CUMULATIVE,
        is_monotonic: true,
    };
    metric(name, description, "By", Data::Sum(data))
}

fn metric(name: &str, description: &str, unit: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        description: description.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
    }
}
