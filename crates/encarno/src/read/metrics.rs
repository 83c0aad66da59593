//! The metrics of a result file that aren't hits: those of k6.

use std::collections::BTreeMap;
use std::io::{self, Write};

use encarno_record::series::{MetricKind, Metrics, Points, Series};
use encarno_record::statistics::{QUANTILES, time_text};
use serde::Serialize;

use crate::report::printable;

/// A metric, for programs. Values have k6's units: times are milliseconds.
#[derive(Serialize)]
pub(super) struct JsonMetric {
    metric: String,
    #[serde(rename = "type")]
    kind: MetricKind,
    contains: String,
    /// How many samples.
    count: u64,
    /// By name, as k6's summary names them.
    values: BTreeMap<String, f64>,
    /// The same of each set of tags, if there are tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    series: Vec<JsonSeries>,
}

#[derive(Serialize)]
struct JsonSeries {
    tags: BTreeMap<String, String>,
    count: u64,
    values: BTreeMap<String, f64>,
}

pub(super) fn json(metrics: &Metrics, span_ns: u64) -> Vec<JsonMetric> {
    let by_metric = metrics.by_metric();
    let of = |metric: Series, points: Points| JsonMetric {
        series: metrics
            .series()
            .filter(|(series, _)| series.metric == metric.metric && !series.tags.is_empty())
            .map(|(series, points)| JsonSeries {
                tags: series.tags.clone(),
                count: points.count,
                values: values(series.kind, points, span_ns).collect(),
            })
            .collect(),
        count: points.count,
        values: values(metric.kind, &points, span_ns).collect(),
        metric: metric.metric,
        kind: metric.kind,
        contains: metric.contains,
    };
    by_metric
        .into_iter()
        .map(|(metric, points)| of(metric, points))
        .collect()
}

/// What a metric comes to, as k6's summary names it.
fn values(kind: MetricKind, points: &Points, span_ns: u64) -> impl Iterator<Item = (String, f64)> {
    let named = match kind {
        MetricKind::Counter => vec![
            ("count".to_owned(), points.sum),
            ("rate".to_owned(), points.sum * 1e9 / span_ns.max(1) as f64),
        ],
        MetricKind::Gauge => vec![
            ("value".to_owned(), points.last.1),
            ("min".to_owned(), points.min),
            ("max".to_owned(), points.max),
        ],
        MetricKind::Rate => vec![
            ("rate".to_owned(), points.rate()),
            ("passes".to_owned(), points.nonzero as f64),
            (
                "fails".to_owned(),
                points.count.saturating_sub(points.nonzero) as f64,
            ),
        ],
        MetricKind::Trend => {
            let mut named = vec![
                ("min".to_owned(), points.min),
                ("avg".to_owned(), points.mean()),
            ];
            let quantiles = QUANTILES
                .iter()
                .map(|&(name, share)| (name.to_owned(), points.values.quantile(share)));
            named.extend(quantiles);
            named.push(("max".to_owned(), points.max));
            named
        }
    };
    // JSON has no infinity, which is the least of nothing.
    named.into_iter().filter(|(_, value)| value.is_finite())
}

/// A line for each metric.
pub(super) fn write_table(metrics: &Metrics, span_ns: u64, out: &mut dyn Write) -> io::Result<()> {
    if metrics.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nmetrics of the script's runner")?;
    let by_metric = metrics.by_metric();
    let names = by_metric.keys().map(|series| series.metric.chars().count());
    let width = names.max().unwrap_or(0).min(40);
    for (series, points) in &by_metric {
        let name = printable(&series.metric);
        let mut line = format!("  {name:width$}");
        for (name, value) in values(series.kind, points, span_ns) {
            let is_share = series.kind == MetricKind::Rate && name == "rate";
            let is_count = series.kind == MetricKind::Rate && !is_share;
            let text = match (&*series.contains, &*name) {
                _ if is_share => format!("{:.2} %", value * 100.0),
                _ if is_count => format!("{value}"),
                (_, "rate") => format!("{value:.1}/s"),
                ("time", _) => time_text(value * 1e6),
                _ => format!("{}", (value * 1000.0).round() / 1000.0),
            };
            line.push_str(&format!("  {name} {text}"));
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}
