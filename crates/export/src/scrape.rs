//! What Prometheus fetches: the sums of a run up to now, as text, or as protobuf for those
//! who ask for it. Protobuf has native histograms, text has classic buckets.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/>, and `metrics.proto`
//! of Prometheus's client model.

mod message;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use encarno_record::exemplar::Exemplar;
use encarno_record::histogram::{Histogram, middle_of};
use prost::Message as _;

use crate::prometheus::{FAMILIES, Family, Native, Values, ZERO_THRESHOLD, labels, trace_labels};
use crate::steps::{Exemplars, Kind, Step};
use crate::totals::Totals;

/// Where it is fetched.
pub const PATH: &str = "/metrics";

/// The upper bounds of classic buckets, in s, beside the last one, which is infinite.
const BOUNDS: [f64; 19] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0, 25.0, 50.0, 100.0,
];

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As text.
    Text,
    /// As protobuf, each metric behind its length.
    Protobuf,
}

impl Form {
    /// What a header `Accept` wants: protobuf if it stands there before text, or with more
    /// weight.
    pub fn wanted(accept: &str) -> Self {
        let (mut wanted, mut most) = (Self::Text, 0.0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
            let parameter = |name: &str| {
                let mut all = parameters.iter();
                let found = all.find(|(known, _)| known.trim().eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.trim())
            };
            let form = match &*kind {
                "text/plain" | "text/*" | "*/*" => Self::Text,
                "application/vnd.google.protobuf"
                    if parameter("proto")
                        .is_none_or(|proto| proto == "io.prometheus.client.MetricFamily")
                        && parameter("encoding").is_none_or(|it| it == "delimited") =>
                {
                    Self::Protobuf
                }
                _ => continue,
            };
            let weight = parameter("q").map_or(Some(1.0), |text| text.parse::<f64>().ok());
            let weight = weight.unwrap_or(0.0);
            if weight > most {
                (wanted, most) = (form, weight);
            }
        }
        wanted
    }

    /// The type of what is written so.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// A run up to now.
#[derive(Debug)]
pub struct Exposition {
    run: String,
    started_unix_ns: u64,
    totals: Totals,
    exemplars: BTreeMap<Kind, Exemplars>,
}

impl Exposition {
    /// Of the run of that name, which began then.
    pub fn new(run: &str, started_unix_ns: u64) -> Self {
        Self {
            run: run.to_owned(),
            started_unix_ns,
            totals: Totals::default(),
            exemplars: BTreeMap::new(),
        }
    }

    /// Adds a period.
    pub fn take(&mut self, step: &Step) {
        self.totals.add(step).for_each(drop);
        for (kind, exemplars) in &step.exemplars {
            let known = self.exemplars.entry(kind.clone()).or_default();
            known.extend(exemplars);
        }
    }

    /// All metrics.
    pub fn write(&self, form: Form) -> Vec<u8> {
        match form {
            Form::Text => self.text().into_bytes(),
            Form::Protobuf => self.protobuf(),
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for family in &FAMILIES {
            let Family { name, help, .. } = family;
            let kind = match family.values {
                Values::Counter(_) => "counter",
                Values::Histogram(..) => "histogram",
            };
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
            for (kind, sums) in self.totals.iter() {
                let labels = labels_text(kind, &self.run);
                match family.values {
                    Values::Counter(value) => {
                        let _ = writeln!(text, "{name}{{{labels}}} {}", value(sums));
                    }
                    Values::Histogram(times, _) => histogram(name, &labels, times(sums), &mut text),
                }
            }
        }
        text
    }

    fn protobuf(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for family in &FAMILIES {
            let metrics = self.totals.iter().map(|(kind, sums)| {
                let labels = labels(kind, &self.run).into_iter();
                let mut metric = message::Metric {
                    label: labels.map(message::LabelPair::of).collect(),
                    ..message::Metric::default()
                };
                match family.values {
                    Values::Counter(value) => {
                        let value = Some(value(sums) as f64);
                        metric.counter = Some(message::Counter { value });
                    }
                    Values::Histogram(times, traced) => {
                        let known = self.exemplars.get(kind).zip(traced);
                        let known = known.map(|(known, time)| self.exemplars(known, time));
                        let known = known.unwrap_or_default();
                        metric.histogram = Some(native(times(sums), known));
                    }
                }
                metric
            });
            let message = message::MetricFamily {
                name: Some(family.name.to_owned()),
                help: Some(family.help.to_owned()),
                kind: Some(match family.values {
                    Values::Counter(_) => message::COUNTER,
                    Values::Histogram(..) => message::HISTOGRAM,
                }),
                metric: metrics.collect(),
                unit: Some(family.unit.to_owned()).filter(|unit| !unit.is_empty()),
            };
            bytes.extend(message.encode_length_delimited_to_vec());
        }
        bytes
    }

    fn exemplars(&self, known: &Exemplars, time: fn(&Exemplar) -> u64) -> Vec<message::Exemplar> {
        let of = |one: &Exemplar| {
            let ended = self.started_unix_ns.saturating_add(one.ended_ns);
            let labels = trace_labels(one);
            message::Exemplar {
                label: labels.map(message::LabelPair::of).collect(),
                value: Some(time(one) as f64 * 1e-9),
                timestamp: Some(message::Timestamp {
                    seconds: (ended / 1_000_000_000) as i64,
                    nanos: (ended % 1_000_000_000) as i32,
                }),
            }
        };
        known.in_order().iter().map(of).collect()
    }
}

fn native(times: &Histogram, exemplars: Vec<message::Exemplar>) -> message::Histogram {
    let native = Native::of(times);
    let counts = BOUNDS.iter().zip(cumulative(times));
    // A classic bucket has the last of its own.
    let mut below = 0.0;
    let mut of_bucket = |bound: f64| {
        let lower = std::mem::replace(&mut below, bound);
        let within = |one: &&message::Exemplar| {
            let value = one.value.unwrap_or(0.0);
            value <= bound && value > lower
        };
        exemplars.iter().rev().find(within).cloned()
    };
    message::Histogram {
        sample_count: Some(times.count()),
        sample_sum: Some(times.sum() as f64 * 1e-9),
        // For those who want classic buckets, too.
        bucket: counts
            .map(|(&bound, count)| message::Bucket {
                cumulative_count: Some(count),
                upper_bound: Some(bound),
                exemplar: of_bucket(bound),
            })
            .collect(),
        schema: Some(native.schema),
        zero_threshold: Some(ZERO_THRESHOLD),
        zero_count: Some(native.zeros),
        positive_span: native.spans,
        positive_delta: native.deltas,
        exemplars,
    }
}

fn histogram(name: &str, labels: &str, times: &Histogram, text: &mut String) {
    for (bound, count) in BOUNDS.iter().zip(cumulative(times)) {
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {count}");
    }
    let (count, sum) = (times.count(), times.sum() as f64 * 1e-9);
    let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {count}");
    let _ = writeln!(text, "{name}_sum{{{labels}}} {sum}");
    let _ = writeln!(text, "{name}_count{{{labels}}} {count}");
}

/// How many values are at most each of the bounds.
fn cumulative(times: &Histogram) -> Vec<u64> {
    let pairs = times.pairs();
    let mut pairs = pairs.iter().peekable();
    let mut count = 0;
    let counts = BOUNDS.map(|bound| {
        let within = |bucket: u32| {
            let ns = middle_of(bucket as usize).clamp(times.min(), times.max());
            ns as f64 <= bound * 1e9
        };
        while let Some((_, more)) = pairs.next_if(|(bucket, _)| within(*bucket)) {
            count += more;
        }
        count
    });
    counts.into()
}

fn labels_text(kind: &Kind, run: &str) -> String {
    let labels = labels(kind, run).into_iter();
    let labels = labels.map(|(name, value)| format!("{name}=\"{}\"", escaped(&value)));
    labels.collect::<Vec<_>>().join(",")
}

/// A label's value: no line may end in it, nor the value itself.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use encarno_record::sums::Sums;

    use super::{Exposition, Form};
    use crate::steps::{Kind, Step};

    #[test]
    fn protobuf_is_written_for_those_who_prefer_it() {
        let delimited = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        let cases = [
            (String::new(), Form::Text),
            ("*/*".to_owned(), Form::Text),
            (delimited.to_owned(), Form::Protobuf),
            (
                format!(
                    "{delimited};q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
                ),
                Form::Protobuf,
            ),
            (format!("text/plain;q=0.9,{delimited};q=0.8"), Form::Text),
            (
                "application/vnd.google.protobuf;encoding=text".to_owned(),
                Form::Text,
            ),
            (format!("{delimited};q=x,;=;q"), Form::Text),
        ];
        for (accept, form) in cases {
            assert_eq!(Form::wanted(&accept), form, "{accept}");
        }
    }

    #[test]
    fn text_has_classic_buckets_and_a_hostile_label_stays_one_value() {
        let mut sums = Sums {
            hits: 4,
            ..Sums::default()
        };
        for ns in [0, 90_000, 3_000_000, 200_000_000_000] {
            sums.response_ns.record(ns);
        }
        let kind = Kind {
            label: "a\"\\\n} 1".to_owned(),
            status: 200,
            net_code: 0,
            failed: false,
        };
        let step = Step {
            from_unix_ns: 0,
            until_unix_ns: 1,
            sums: BTreeMap::from([(kind, sums)]),
            exemplars: BTreeMap::new(),
        };
        let mut exposition = Exposition::new("r", 0);
        exposition.take(&step);
        exposition.take(&step);
        let text = String::from_utf8(exposition.write(Form::Text)).expect("text");
        let labels = r#"label="a\"\\\n} 1",outcome="ok",run="r",status="200""#;
        for line in [
            format!("encarno_hits_total{{{labels}}} 8"),
            format!("encarno_response_duration_seconds_bucket{{{labels},le=\"0.0001\"}} 4"),
            format!("encarno_response_duration_seconds_bucket{{{labels},le=\"0.0025\"}} 4"),
            format!("encarno_response_duration_seconds_bucket{{{labels},le=\"0.005\"}} 6"),
            format!("encarno_response_duration_seconds_bucket{{{labels},le=\"100\"}} 6"),
            format!("encarno_response_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 8"),
            format!("encarno_response_duration_seconds_count{{{labels}}} 8"),
        ] {
            assert!(text.lines().any(|known| known == line), "{line}\n{text}");
        }
        assert!(text.ends_with('\n'));
    }
}
