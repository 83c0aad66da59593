//! The thresholds of a k6 script, judged by the metrics of a result file.
//!
//! The grammar is k6's: an aggregation, an operator and a number, such as `p(95)<500`. It
//! applies to a metric, or to those of its series that have certain tags, such as
//! `http_req_duration{status:200}`.

use std::time::Duration;

use serde::Deserialize;

use crate::duration::parse_duration;
use crate::notes::Threshold;
use crate::series::{MetricKind, Metrics, Points, Series};

/// The name of the setting in which k6's output keeps the thresholds of its script.
pub const SETTING: &str = "thresholds";

/// Tags, as names and values.
type Tags = Vec<(String, String)>;

/// A threshold of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    /// The metric with the tags, as in the script.
    metric: String,
    /// The metric's name without tags.
    name: String,
    /// The tags that the metric's series must have.
    tags: Tags,
    /// The text in the script.
    source: String,
    aggregation: Aggregation,
    operator: Operator,
    bound: f64,
    /// If set, the run ends as soon as the threshold isn't met, but not before this time has
    /// passed.
    pub abort_after: Option<Duration>,
}

/// Why thresholds can't be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{metric}: {reason}")]
pub struct ThresholdError {
    /// The metric.
    metric: String,
    /// The reason.
    reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Aggregation {
    Avg,
    Count,
    Max,
    Med,
    Min,
    Rate,
    Value,
    /// A quantile, from 0 to 1.
    Quantile(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Above,
    AtLeast,
    Below,
    AtMost,
    Equal,
    Unequal,
}

/// The operators. Longer ones come first, because others are parts of them.
const OPERATORS: [(&str, Operator); 7] = [
    ("===", Operator::Equal),
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    (">", Operator::Above),
    ("<", Operator::Below),
];

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Plain(String),
    Whole {
        threshold: String,
        #[serde(default, rename = "abortOnFail")]
        abort_on_fail: bool,
        #[serde(default, rename = "delayAbortEval")]
        delay_abort_eval: Option<String>,
    },
}

/// Reads k6's option `thresholds`, which is JSON: the thresholds of each metric.
pub fn parse(json: &str) -> Result<Vec<Demand>, ThresholdError> {
    let error = |metric: &str, reason: String| ThresholdError {
        metric: metric.to_owned(),
        reason,
    };
    let all: std::collections::BTreeMap<String, Vec<Written>> =
        serde_json::from_str(json).map_err(|reason| error("thresholds", reason.to_string()))?;
    let mut demands = Vec::new();
    for (metric, written) in all {
        for one in written {
            let (source, abort_after) = match one {
                Written::Plain(source) => (source, None),
                Written::Whole {
                    threshold,
                    abort_on_fail,
                    delay_abort_eval,
                } => {
                    let delay = delay_abort_eval
                        .as_deref()
                        .map_or(Some(Duration::ZERO), go_duration);
                    let delay = delay.ok_or_else(|| {
                        error(&metric, format!("{delay_abort_eval:?} is no duration"))
                    })?;
                    (threshold, abort_on_fail.then_some(delay))
                }
            };
            let demand = Demand::new(&metric, source, abort_after);
            demands.push(demand.map_err(|reason| error(&metric, reason))?);
        }
    }
    Ok(demands)
}

impl Demand {
    fn new(metric: &str, source: String, abort_after: Option<Duration>) -> Result<Self, String> {
        let (name, tags) = name_and_tags(metric)?;
        let wrong = || format!("{source:?} is no threshold, such as p(95)<500");
        let (at, sign, operator) = OPERATORS
            .iter()
            .filter_map(|&(sign, operator)| Some((source.find(sign)?, sign, operator)))
            .min_by_key(|&(at, sign, _)| (at, usize::MAX - sign.len()))
            .ok_or_else(wrong)?;
        let aggregation = Aggregation::parse(source[..at].trim()).ok_or_else(wrong)?;
        let bound = source[at + sign.len()..]
            .trim()
            .parse()
            .map_err(|_| wrong())?;
        Ok(Self {
            metric: metric.to_owned(),
            name: name.to_owned(),
            tags,
            source,
            aggregation,
            operator,
            bound,
            abort_after,
        })
    }

    /// Judges the threshold after a run of some seconds. As in k6, a metric without samples
    /// meets every threshold.
    pub fn judge(&self, metrics: &Metrics, seconds: f64) -> Threshold {
        let value = self.value(metrics, seconds);
        Threshold {
            metric: self.metric.clone(),
            demand: self.source.clone(),
            value,
            met: value.is_none_or(|value| self.operator.holds(value, self.bound)),
        }
    }

    fn value(&self, metrics: &Metrics, seconds: f64) -> Option<f64> {
        let (series, points) = select(&self.name, &self.tags, metrics)?;
        match (series.kind, self.aggregation) {
            (MetricKind::Counter, Aggregation::Count) => Some(points.sum),
            (MetricKind::Counter, Aggregation::Rate) => {
                (seconds > 0.0).then(|| points.sum / seconds)
            }
            (MetricKind::Gauge, Aggregation::Value) => Some(points.last.1),
            (MetricKind::Rate, Aggregation::Rate) => Some(points.rate()),
            (MetricKind::Trend, Aggregation::Avg) => Some(points.mean()),
            (MetricKind::Trend, Aggregation::Min) => Some(points.min),
            (MetricKind::Trend, Aggregation::Max) => Some(points.max),
            (MetricKind::Trend, Aggregation::Med) => Some(points.values.quantile(0.5)),
            (MetricKind::Trend, Aggregation::Quantile(share)) => {
                Some(points.values.quantile(share))
            }
            // k6 refuses such a script.
            _ => None,
        }
    }
}

/// The points of a metric that is written as thresholds write it, such as
/// `http_req_duration{status:200}`, with one of its series. `None` without samples.
pub fn points<'a>(metric: &str, metrics: &'a Metrics) -> Option<(&'a Series, Points)> {
    let (name, tags) = name_and_tags(metric).ok()?;
    select(name, &tags, metrics)
}

fn select<'a>(
    name: &str,
    tags: &[(String, String)],
    metrics: &'a Metrics,
) -> Option<(&'a Series, Points)> {
    let mut points = Points::default();
    let mut found = None;
    for (series, of_series) in metrics.series() {
        let has = |(name, value): &(String, String)| series.tags.get(name) == Some(value);
        if series.metric == name && tags.iter().all(has) {
            points.merge(of_series);
            found = Some(series);
        }
    }
    Some((found.filter(|_| points.count > 0)?, points))
}

impl Aggregation {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "avg" => Self::Avg,
            "count" => Self::Count,
            "max" => Self::Max,
            "med" => Self::Med,
            "min" => Self::Min,
            "rate" => Self::Rate,
            "value" => Self::Value,
            _ => {
                let percent = text.strip_prefix("p(")?.strip_suffix(')')?.trim();
                let percent: f64 = percent.parse().ok()?;
                Self::Quantile(
                    (0.0..=100.0)
                        .contains(&percent)
                        .then_some(percent / 100.0)?,
                )
            }
        })
    }
}

impl Operator {
    #[allow(clippy::float_cmp)] // so does k6
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Above => value > bound,
            Self::AtLeast => value >= bound,
            Self::Below => value < bound,
            Self::AtMost => value <= bound,
            Self::Equal => value == bound,
            Self::Unequal => value != bound,
        }
    }
}

/// A metric as a threshold names it.
fn name_and_tags(metric: &str) -> Result<(&str, Tags), String> {
    let Some((name, rest)) = metric.split_once('{') else {
        return Ok((metric, Vec::new()));
    };
    let tags = rest.strip_suffix('}').ok_or("a brace isn't closed")?;
    let tags: Option<Vec<_>> = tags.split(',').map(tag).collect();
    Ok((name, tags.ok_or("its tags aren't written as name:value")?))
}

/// A tag such as `status:200`, without quotes around its parts.
fn tag(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once(':')?;
    let bare = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    Some((bare(name), bare(value)))
}

/// A duration in Go's format, such as `1m30s` or `500ms`; `None` if it isn't one. A number
/// without a unit isn't one.
fn go_duration(text: &str) -> Option<Duration> {
    let is_bare = text != "0" && text.ends_with(|letter: char| letter.is_ascii_digit());
    let duration_ns = (!is_bare).then(|| parse_duration(text))??;
    Some(Duration::from_nanos(duration_ns))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{go_duration, parse};
    use crate::series::{MetricKind, Metrics, Points, Series};

    fn metrics() -> Metrics {
        let mut metrics = Metrics::default();
        let mut add = |metric: &str, kind, tags: &[(&str, &str)], values: &[f64]| {
            let tags = tags
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()));
            let series = Series {
                metric: metric.to_owned(),
                kind,
                contains: String::new(),
                tags: tags.collect::<BTreeMap<String, String>>(),
            };
            let mut points = Points::default();
            for (at, value) in values.iter().enumerate() {
                points.record(kind, at as u64, *value);
            }
            metrics.add(&series, &points);
        };
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        add("time", MetricKind::Trend, &[("status", "200")], &values);
        add("time", MetricKind::Trend, &[("status", "500")], &[1000.0]);
        add("calls", MetricKind::Counter, &[], &[3.0, 4.0]);
        add("good", MetricKind::Rate, &[], &[1.0, 1.0, 0.0, 1.0]);
        add("users", MetricKind::Gauge, &[], &[5.0, 2.0]);
        metrics
    }

    #[test]
    fn demands_are_judged_as_k6_does() {
        let metrics = metrics();
        for (metric, demand, value, met) in [
            ("time{status:200}", "p(95)<96", Some(95.0), true),
            ("time{status:200}", "p(95) < 94", Some(95.0), false),
            ("time{ 'status' : \"200\" }", "med<=50", Some(50.0), true),
            ("time", "max===1000", Some(1000.0), true),
            ("time", "avg>=60", Some(6050.0 / 101.0), false),
            ("time{status:404}", "max<1", None, true),
            ("calls", "count==7", Some(7.0), true),
            ("calls", "rate>3.5", Some(3.5), false),
            ("good", "rate>0.74", Some(0.75), true),
            ("users", "value!=2", Some(2.0), false),
            ("nothing", "count>0", None, true),
        ] {
            let json = serde_json::json!({ metric: [demand] }).to_string();
            let demands = parse(&json).unwrap();
            let judged = demands[0].judge(&metrics, 2.0);
            assert_eq!(judged.met, met, "{metric} {demand}: {judged:?}");
            match (judged.value, value) {
                (Some(is), Some(should)) => {
                    assert!(
                        (is - should).abs() <= 0.001 * should,
                        "{metric} {demand}: {is}"
                    );
                }
                (is, should) => assert_eq!(is, should, "{metric} {demand}"),
            }
        }
    }

    #[test]
    fn a_threshold_may_end_the_run() {
        let json = r#"{"a": ["max<1", {"threshold": "min>2", "abortOnFail": true, "delayAbortEval": "1m30s"},
            {"threshold": "avg>2", "abortOnFail": true, "delayAbortEval": null}]}"#;
        let aborts: Vec<_> = parse(json)
            .unwrap()
            .iter()
            .map(|it| it.abort_after)
            .collect();
        let seconds = Duration::from_secs;
        assert_eq!(aborts, [None, Some(seconds(90)), Some(seconds(0))]);
        assert_eq!(go_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(go_duration("0s"), Some(Duration::ZERO));
        assert_eq!(go_duration("5"), None);
    }

    #[test]
    fn what_is_no_threshold_is_named() {
        for (json, word) in [
            (r#"{"a": ["p(95)"]}"#, "no threshold"),
            (r#"{"a": ["p(101)<1"]}"#, "no threshold"),
            (r#"{"a": ["avg<x"]}"#, "no threshold"),
            (r#"{"a{b": ["avg<1"]}"#, "isn't closed"),
            (r#"{"a{b}": ["avg<1"]}"#, "name:value"),
            ("[]", "thresholds"),
        ] {
            let error = parse(json).unwrap_err().to_string();
            assert!(error.contains(word), "{json}: {error}");
        }
    }
}
