//! The metrics of a run that aren't hits: those of k6, and times within hits.

use std::collections::BTreeMap;
use std::io::{self, Write};

use encarno_record::notes::Notes;
use encarno_record::series::{MetricKind, Metrics, Points, Series};
use encarno_record::statistics::{QUANTILES, time_text};
use serde::Serialize;

use crate::texts::printable;

/// A metric for JSON output. Values have k6's units: times are milliseconds.
#[derive(Serialize)]
pub(crate) struct JsonMetric {
    metric: String,
    #[serde(rename = "type")]
    kind: MetricKind,
    contains: String,
    /// The number of samples.
    count: u64,
    /// Values by name, as k6's summary names them.
    values: BTreeMap<String, f64>,
    /// The values of each set of tags, if there are tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    series: Vec<JsonSeries>,
}

#[derive(Serialize)]
struct JsonSeries {
    tags: BTreeMap<String, String>,
    count: u64,
    values: BTreeMap<String, f64>,
}

pub(crate) fn json(metrics: &Metrics, span_ns: u64) -> Vec<JsonMetric> {
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

/// The values of a metric, named as in k6's summary.
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
    // JSON has no infinity, which is the minimum of no values.
    named.into_iter().filter(|(_, value)| value.is_finite())
}

/// Writes a line for each metric; metrics with a distribution have a table of their own.
pub(crate) fn write_table(metrics: &Metrics, span_ns: u64, out: &mut dyn Write) -> io::Result<()> {
    const SHOWN: [&str; 5] = ["avg", "p50", "p95", "p99", "max"];
    if metrics.is_empty() {
        return Ok(());
    }
    let by_metric = metrics.by_metric();
    let names = by_metric.keys().map(|series| series.metric.chars().count());
    let width = names.max().unwrap_or(0).clamp(7, 30);
    let (trends, others): (Vec<_>, Vec<_>) = by_metric
        .iter()
        .partition(|(series, _)| series.kind == MetricKind::Trend);
    writeln!(out, "\nmetrics")?;
    for (series, points) in others {
        let mut line = format!("  {:width$}", printable(&series.metric));
        for (name, value) in values(series.kind, points, span_ns) {
            let text = match (series.kind, &*name) {
                (MetricKind::Rate, "rate") => format!("{:.2} %", value * 100.0),
                (_, "rate") => format!("{value:.1}/s"),
                _ => number(series, value),
            };
            line.push_str(&format!("  {name} {text}"));
        }
        writeln!(out, "{line}")?;
    }
    if trends.is_empty() {
        return Ok(());
    }
    let head = SHOWN.map(|name| format!("{name:>9}")).concat();
    writeln!(out, "\n  {:width$}{head}", "trends")?;
    for (series, points) in trends {
        let values: BTreeMap<String, f64> = values(series.kind, points, span_ns).collect();
        let cells = SHOWN.map(|name| {
            let text = values.get(name).map(|&value| number(series, value));
            format!(" {:>8}", text.unwrap_or_default())
        });
        let name = printable(&series.metric);
        writeln!(out, "  {name:width$}{}", cells.concat())?;
    }
    Ok(())
}

/// Writes the thresholds of the run and the checks of its script.
pub(crate) fn write_demands(notes: &Notes, out: &mut dyn Write) -> io::Result<()> {
    if !notes.thresholds.is_empty() {
        writeln!(out, "\nthresholds")?;
    }
    for threshold in &notes.thresholds {
        let (metric, demand) = (printable(&threshold.metric), printable(&threshold.demand));
        let value = threshold.value.map(|value| format!(" ({value})"));
        let word = if threshold.met { "met" } else { "CROSSED" };
        let value = value.unwrap_or_default();
        writeln!(out, "  {word:8}{metric}: {demand}{value}")?;
    }
    if !notes.checks.is_empty() {
        writeln!(out, "\nchecks")?;
    }
    for check in &notes.checks {
        let name = printable(&format!("{} {}", check.group, check.name));
        let (passes, fails) = (check.passes, check.fails);
        writeln!(
            out,
            "  {passes} of {} hold: {}",
            passes.saturating_add(fails),
            name.trim()
        )?;
    }
    Ok(())
}

fn number(series: &Series, value: f64) -> String {
    match &*series.contains {
        "time" => time_text(value * 1e6),
        _ => format!("{}", (value * 1000.0).round() / 1000.0),
    }
}
