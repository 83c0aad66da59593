//! The data for the page's script: JSON and, as varints, histograms by time.
//!
//! Layout: length of the JSON u32, JSON, then the histograms, one after the other, in the
//! order in which the JSON names them (`sections`). A histogram is the number of pairs,
//! and for each pair the distance from the last bucket and the count. `shift` is the
//! number of merged buckets, as a power of two.
//!
//! Sections have a budget. A section beyond it is made coarser, and the page says how
//! coarse.

use std::collections::BTreeMap;
use std::io::{self, Write};

use encarno_record::histogram::Histogram;
use encarno_record::series::{MetricKind, Points, Series};
use encarno_record::statistics::{LabelStatistics, QUANTILES};
use encarno_record::varint;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use crate::Run;
use crate::run::{LABEL_SHIFT, LabelBin};

/// The most compressed bytes of the histograms of all hits by time, for all runs.
const TOTAL_BYTES: usize = 900_000;
/// The most compressed bytes of the histograms of labels.
const LABELS_BYTES: usize = 800_000;
/// The resolutions for labels, each coarser than the last: (buckets, bins) that are
/// merged.
const LABEL_STEPS: [(u32, u64); 9] = [
    (4, 1),
    (5, 1),
    (5, 4),
    (6, 4),
    (6, 8),
    (6, 16),
    (7, 32),
    (7, 64),
    (7, 4096),
];

#[derive(Serialize)]
struct Page {
    /// The quantiles: their names and shares.
    quantiles: Vec<(&'static str, f64)>,
    runs: Vec<PageRun>,
}

#[derive(Serialize)]
struct PageRun {
    name: String,
    /// ms, Unix time.
    started_ms: f64,
    span_ns: u64,
    loops: usize,
    width: u64,
    /// The start of each bin, and the end of the last one, s.
    edges: Vec<f64>,
    hits: Vec<u64>,
    failed: Vec<u64>,
    scheduled: Vec<u64>,
    dropped: Vec<u64>,
    users: Vec<u64>,
    running: Vec<u64>,
    sent: Vec<u64>,
    received: Vec<u64>,
    connect_ns: Vec<u64>,
    first_byte_ns: Vec<u64>,
    lag_mean: Vec<u64>,
    lag_p99: Vec<u64>,
    busy: Vec<Option<f64>>,
    codes: BTreeMap<String, Vec<u64>>,
    total: PageLabel,
    labels: Vec<PageLabel>,
    sections: Vec<Section>,
    /// The number of bins that are merged for labels.
    label_merge: u64,
    metrics: Vec<PageMetric>,
}

/// A metric over time.
#[derive(Serialize)]
struct PageMetric {
    name: String,
    /// time, data, rate, or empty.
    unit: String,
    /// A name and a value for each bin.
    lines: Vec<(&'static str, Vec<Option<f64>>)>,
}

#[derive(Serialize)]
struct PageLabel {
    name: String,
    hits: u64,
    failed: u64,
    service: Vec<f64>,
    response: Vec<f64>,
    /// Its hits and failures by time; `None` for labels past the limit.
    by_time: Option<(Vec<u64>, Vec<u64>)>,
}

#[derive(Serialize)]
struct Section {
    name: String,
    shift: u32,
    count: usize,
}

/// The usual figures: min, mean, the quantiles, max.
pub(crate) fn figures(times: &Histogram) -> Vec<f64> {
    let mut figures = vec![times.min() as f64, times.mean()];
    figures.extend(
        QUANTILES
            .iter()
            .map(|&(_, share)| times.quantile(share) as f64),
    );
    figures.push(times.max() as f64);
    figures
}

/// The runs' data, compressed.
pub(crate) fn compressed(runs: &[Run]) -> io::Result<Vec<u8>> {
    let mut page = Page {
        quantiles: QUANTILES.to_vec(),
        runs: Vec::new(),
    };
    let mut binary = Vec::new();
    let (total_bytes, labels_bytes) = (
        TOTAL_BYTES / runs.len().max(1),
        LABELS_BYTES / runs.len().max(1),
    );
    for run in runs {
        let mut described = describe(run);
        let whole = run.whole.statistics.total();
        for (name, times) in [
            ("response", &whole.response_ns),
            ("service", &whole.service_ns),
        ] {
            append(&mut binary, pairs(times, 0));
            described.sections.push(section(name, 0, 1));
        }
        let bins = run.bins_count();
        let mut shift = 0;
        let (shift, bytes) = loop {
            let mut bytes = Vec::new();
            for at in 0..bins {
                append(
                    &mut bytes,
                    run.bins
                        .get(&at)
                        .map_or_else(Vec::new, |bin| pairs(&bin.response, shift)),
                );
            }
            for at in 0..bins {
                append(
                    &mut bytes,
                    run.bins
                        .get(&at)
                        .map_or_else(Vec::new, |bin| pairs(&bin.service, shift)),
                );
            }
            if shift >= 8 || gzip(&bytes)?.len() <= total_bytes {
                break (shift, bytes);
            }
            shift += 1;
        };
        binary.extend_from_slice(&bytes);
        described
            .sections
            .push(section("responses", shift, bins as usize));
        described
            .sections
            .push(section("services", shift, bins as usize));
        let (shift, merge, bytes) = labels(run, bins, labels_bytes)?;
        binary.extend_from_slice(&bytes);
        described.label_merge = merge;
        let count = run.labels_by_time().len() * bins.div_ceil(merge) as usize;
        described.sections.push(section("labels", shift, count));
        page.runs.push(described);
    }
    let json = serde_json::to_vec(&page)?;
    let mut whole = Vec::with_capacity(4 + json.len() + binary.len());
    whole.extend_from_slice(&(json.len() as u32).to_le_bytes());
    whole.extend_from_slice(&json);
    whole.extend_from_slice(&binary);
    gzip(&whole)
}

fn labels(run: &Run, bins: u64, bytes_max: usize) -> io::Result<(u32, u64, Vec<u8>)> {
    let by_time = run.labels_by_time();
    let mut last = (LABEL_SHIFT, bins.max(1), Vec::new());
    for (shift, merge) in LABEL_STEPS {
        let mut bytes = Vec::new();
        for (_, label) in &by_time {
            for at in 0..bins.div_ceil(merge) {
                let mut merged = LabelBin::default();
                let parts = label.bins.range(at * merge..(at + 1) * merge);
                parts.for_each(|(_, bin)| merged.merge(bin));
                let coarse = merged
                    .response
                    .iter()
                    .map(|(&bucket, &count)| (bucket >> (shift - LABEL_SHIFT), count));
                append(&mut bytes, together(coarse));
            }
        }
        let fits = gzip(&bytes)?.len() <= bytes_max;
        last = (shift, merge, bytes);
        if fits {
            break;
        }
    }
    Ok(last)
}

fn section(name: &str, shift: u32, count: usize) -> Section {
    Section {
        name: name.to_owned(),
        shift,
        count,
    }
}

fn describe(run: &Run) -> PageRun {
    let bins = run.bins_count();
    let mut edges: Vec<f64> = (0..bins)
        .map(|at| run.span_of(at).0 as f64 * 1e-9)
        .collect();
    edges.push(run.span_of(bins - 1).1 as f64 * 1e-9);
    let none = crate::run::Bin::default();
    let bin = |at: u64| run.bins.get(&at).unwrap_or(&none);
    let each =
        |pick: fn(&crate::run::Bin) -> u64| (0..bins).map(|at| pick(bin(at))).collect::<Vec<_>>();
    let busy = |at: u64| {
        let (from, to) = run.span_of(at);
        let cpu_ns = bin(at).cpu_ns.iter().copied().max()?;
        (to - from > 200_000_000).then(|| (cpu_ns as f64 / (to - from) as f64 * 1e4).round() / 1e4)
    };
    let mut codes: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for (&at, bin) in &run.bins {
        for (&(net, status), &hits) in &bin.codes {
            let name = if net == 0 {
                status.to_string()
            } else {
                format!("net {net}")
            };
            let known = codes.entry(name).or_insert_with(|| vec![0; bins as usize]);
            if let Some(place) = known.get_mut(at as usize) {
                *place = place.saturating_add(hits);
            }
        }
    }
    let total = run.whole.statistics.total();
    // k6 doesn't record when a request was due.
    let is_offered = run.notes.open.is_some() || run.notes == Default::default();
    PageRun {
        name: run.name.clone(),
        started_ms: run.started_unix_ns as f64 * 1e-6,
        span_ns: run.whole.span_ns,
        loops: run.loops,
        width: run.width,
        edges,
        hits: each(|bin| bin.hits),
        failed: each(|bin| bin.failed),
        scheduled: each(if is_offered {
            |bin| bin.scheduled
        } else {
            |_| 0
        }),
        dropped: each(|bin| bin.dropped),
        users: each(|bin| {
            bin.users
                .iter()
                .fold(0, |all, one| all.saturating_add(*one))
        }),
        running: each(|bin| {
            bin.running
                .iter()
                .fold(0, |all, one| all.saturating_add(*one))
        }),
        sent: each(|bin| bin.sent_bytes),
        received: each(|bin| bin.received_bytes),
        connect_ns: each(|bin| bin.connect_ns),
        first_byte_ns: each(|bin| bin.first_byte_ns),
        lag_mean: each(|bin| bin.lag.mean() as u64),
        lag_p99: each(|bin| bin.lag.quantile(0.99)),
        busy: (0..bins).map(busy).collect(),
        codes,
        total: label("", &total, None),
        labels: described_labels(run, bins),
        sections: Vec::new(),
        label_merge: 1,
        metrics: metrics(run, bins),
    }
}

fn metrics(run: &Run, bins: u64) -> Vec<PageMetric> {
    let of = |(series, points): (&Series, &BTreeMap<u64, Points>)| {
        let line = |value: &dyn Fn(u64, &Points) -> f64| {
            let value = |at| points.get(&at).map(|points| value(at, points));
            (0..bins)
                .map(|at| value(at).filter(|value| value.is_finite()))
                .collect::<Vec<_>>()
        };
        let seconds = |at| {
            let (from, to) = run.span_of(at);
            (to.saturating_sub(from) as f64 * 1e-9).max(0.1)
        };
        let (unit, lines) = match series.kind {
            MetricKind::Counter => {
                let lines = vec![("per second", line(&|at, points| points.sum / seconds(at)))];
                (&*series.contains, lines)
            }
            MetricKind::Gauge => {
                let last = line(&|_, points| points.last.1);
                (&*series.contains, vec![("value", last)])
            }
            MetricKind::Rate => ("rate", vec![("share", line(&|_, points| points.rate()))]),
            MetricKind::Trend => {
                let quantiles = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];
                let lines = quantiles
                    .map(|(name, share)| (name, line(&|_, points| points.values.quantile(share))));
                (&*series.contains, lines.to_vec())
            }
        };
        PageMetric {
            name: series.metric.clone(),
            unit: unit.to_owned(),
            lines,
        }
    };
    run.metrics_by_time.iter().map(of).collect()
}

/// Labels with a history first, in its order.
fn described_labels(run: &Run, bins: u64) -> Vec<PageLabel> {
    let known: BTreeMap<&str, &LabelStatistics> = run.whole.statistics.labels().collect();
    let mut labels = Vec::with_capacity(known.len());
    let by_time = run.labels_by_time();
    for (name, one) in &by_time {
        if let Some(statistics) = known.get(name) {
            let counts = |pick: fn(&LabelBin) -> u64| {
                (0..bins)
                    .map(|at| one.bins.get(&at).map_or(0, pick))
                    .collect::<Vec<_>>()
            };
            let by_time = (counts(|bin| bin.hits), counts(|bin| bin.failed));
            labels.push(label(name, statistics, Some(by_time)));
        }
    }
    let has_history: std::collections::HashSet<&str> =
        by_time.iter().map(|(name, _)| *name).collect();
    let others = known
        .iter()
        .filter(|(name, _)| !has_history.contains(**name));
    labels.extend(others.map(|(name, statistics)| label(name, statistics, None)));
    labels
}

fn label(
    name: &str,
    statistics: &LabelStatistics,
    by_time: Option<(Vec<u64>, Vec<u64>)>,
) -> PageLabel {
    PageLabel {
        name: name.to_owned(),
        hits: statistics.hits,
        failed: statistics.failed,
        service: figures(&statistics.service_ns),
        response: figures(&statistics.response_ns),
        by_time,
    }
}

fn pairs(times: &Histogram, shift: u32) -> Vec<(u32, u64)> {
    let pairs = times.pairs().into_iter();
    together(pairs.map(|(bucket, count)| (bucket >> shift, count)))
}

fn together(pairs: impl Iterator<Item = (u32, u64)>) -> Vec<(u32, u64)> {
    let mut merged: Vec<(u32, u64)> = Vec::new();
    for (bucket, count) in pairs {
        match merged.last_mut() {
            Some(last) if last.0 == bucket => last.1 = last.1.saturating_add(count),
            _ => merged.push((bucket, count)),
        }
    }
    merged
}

fn append(out: &mut Vec<u8>, pairs: Vec<(u32, u64)>) {
    varint::append(out, pairs.len() as u64);
    let mut last = 0;
    for (bucket, count) in pairs {
        varint::append(out, u64::from(bucket - last));
        varint::append(out, count);
        last = bucket;
    }
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::new(6));
    gzip.write_all(bytes)?;
    gzip.finish()
}
