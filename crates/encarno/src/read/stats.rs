//! `encarno stats`: sums and distributions from a result file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use encarno_record::formats::Texts;
use encarno_record::histogram::Histogram;
use encarno_record::results::{Block, ResultReader, ResultSummary, ResultsError};
use encarno_record::statistics::{LabelStatistics, OTHER_LABELS, Statistics, time_text};
use serde::Serialize;

/// The quantiles that are printed.
const QUANTILES: [(&str, f64); 6] = [
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
];

/// A result file that can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}", path = path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: ResultsError,
}

/// What a result file says.
#[derive(Clone, Debug)]
pub struct FileStatistics {
    /// The wall clock when the run started.
    pub started_unix_ns: u64,
    /// The hits.
    pub statistics: Statistics,
    /// The texts of the labels.
    pub texts: Texts,
    /// What was read and what was lost.
    pub summary: ResultSummary,
}

/// Opens a native result file.
pub fn open(path: &Path) -> Result<ResultReader<File>, FileError> {
    let error = |source| FileError {
        path: path.into(),
        source,
    };
    let file = File::open(path).map_err(|source| error(source.into()))?;
    ResultReader::new(file).map_err(error)
}

/// Sums up a native result file.
pub fn read(path: &Path) -> Result<FileStatistics, FileError> {
    let mut reader = open(path)?;
    let mut statistics = Statistics::default();
    let mut texts = Texts::default();
    loop {
        match reader.next_block() {
            Ok(Some(Block::Hits(hits))) => hits.iter().for_each(|hit| statistics.record(&hit)),
            Ok(Some(Block::Strings(block))) => {
                block.iter().for_each(|(id, text)| texts.insert(id, &text));
            }
            Ok(Some(Block::End)) => {}
            Ok(None) => break,
            Err(source) => {
                return Err(FileError {
                    path: path.into(),
                    source: source.into(),
                });
            }
        }
    }
    let (started_unix_ns, summary) = (reader.started_unix_ns(), reader.summary());
    Ok(FileStatistics {
        started_unix_ns,
        statistics,
        texts,
        summary,
    })
}

/// Prints a table for people.
pub fn print_table(
    statistics: &Statistics,
    texts: &mut Texts,
    out: &mut dyn Write,
) -> io::Result<()> {
    let total = statistics.total();
    print_label("total", &total, out)?;
    let labels: Vec<_> = statistics.labels().collect();
    if labels.len() > 1 || labels.first().is_some_and(|(label, _)| label.0 != 0) {
        for (label, statistics) in labels {
            let text = if label == OTHER_LABELS {
                "(other labels)".into()
            } else {
                texts.get(label)
            };
            let name = if text.is_empty() { "(no label)" } else { &text };
            writeln!(out)?;
            print_label(name, statistics, out)?;
        }
    }
    Ok(())
}

/// Prints the same as JSON: `{started_unix_ns, whole, …, total, labels}`.
pub fn print_json(file: &mut FileStatistics, out: &mut dyn Write) -> io::Result<()> {
    let labels = file.statistics.labels();
    let labels = labels.map(|(label, statistics)| {
        let text = if label == OTHER_LABELS {
            "(other labels)".into()
        } else {
            file.texts.get(label)
        };
        JsonLabel::of(Some(text.to_string()), statistics)
    });
    let summary = &file.summary;
    let json = Json {
        started_unix_ns: file.started_unix_ns,
        whole: summary.is_whole(),
        ended: summary.ended,
        hits_read: summary.hits,
        hits_damaged: summary.hits_damaged,
        hits_lost: summary.hits_lost,
        damaged_bytes: summary.damage.bytes,
        incomplete_bytes: summary.incomplete_bytes,
        labels: labels.collect(),
        total: JsonLabel::of(None, &file.statistics.total()),
    };
    serde_json::to_writer_pretty(&mut *out, &json)?;
    writeln!(out)
}

fn print_label(name: &str, label: &LabelStatistics, out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "{}: {} hits in {:.3} s, {:.1}/s, {} failed ({:.2} %)",
        printable(name),
        label.hits,
        label.duration_s(),
        label.rate(),
        label.failed,
        percent(label.failed, label.hits),
    )?;
    writeln!(
        out,
        "  {:<9}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "", "min", "mean", "p50", "p75", "p90", "p95", "p99", "p99.9", "max"
    )?;
    let rows = [
        ("service", &label.service_ns),
        ("response", &label.response_ns),
        ("lag", &label.lag_ns),
    ];
    for (name, times) in rows {
        write!(
            out,
            "  {name:<9}{:>10}{:>10}",
            time_text(times.min() as f64),
            time_text(times.mean())
        )?;
        for (_, share) in QUANTILES {
            write!(out, "{:>10}", time_text(times.quantile(share) as f64))?;
        }
        writeln!(out, "{:>10}", time_text(times.max() as f64))?;
    }
    writeln!(
        out,
        "  bytes    {} sent, {} received",
        label.sent_bytes, label.received_bytes
    )?;
    print_codes("protocol", &label.protocol_codes.sorted(), label.hits, out)?;
    print_codes("net", &label.net_codes.sorted(), label.hits, out)
}

fn print_codes(name: &str, codes: &[(u16, u64)], hits: u64, out: &mut dyn Write) -> io::Result<()> {
    if codes.iter().all(|&(code, _)| code == 0) {
        return Ok(());
    }
    write!(out, "  {name:<9}")?;
    for (place, &(code, count)) in codes.iter().enumerate() {
        let comma = if place > 0 { ", " } else { "" };
        let code = if code == 0 {
            "none".to_owned()
        } else {
            code.to_string()
        };
        write!(
            out,
            "{comma}{code}: {count} ({:.2} %)",
            percent(count, hits)
        )?;
    }
    writeln!(out)
}

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        100.0 * part as f64 / whole as f64
    }
}

/// A label comes from a file: it mustn't steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[derive(Serialize)]
struct Json {
    started_unix_ns: u64,
    whole: bool,
    ended: bool,
    hits_read: u64,
    hits_damaged: u64,
    hits_lost: u64,
    damaged_bytes: u64,
    incomplete_bytes: u64,
    total: JsonLabel,
    labels: Vec<JsonLabel>,
}

#[derive(Serialize)]
struct JsonLabel {
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    hits: u64,
    failed: u64,
    duration_s: f64,
    rate: f64,
    sent_bytes: u64,
    received_bytes: u64,
    net_codes: std::collections::BTreeMap<u16, u64>,
    protocol_codes: std::collections::BTreeMap<u16, u64>,
    service_ns: JsonTimes,
    response_ns: JsonTimes,
    lag_ns: JsonTimes,
}

impl JsonLabel {
    fn of(label: Option<String>, statistics: &LabelStatistics) -> Self {
        Self {
            label,
            hits: statistics.hits,
            failed: statistics.failed,
            duration_s: statistics.duration_s(),
            rate: statistics.rate(),
            sent_bytes: statistics.sent_bytes,
            received_bytes: statistics.received_bytes,
            net_codes: statistics.net_codes.sorted().into_iter().collect(),
            protocol_codes: statistics.protocol_codes.sorted().into_iter().collect(),
            service_ns: JsonTimes::of(&statistics.service_ns),
            response_ns: JsonTimes::of(&statistics.response_ns),
            lag_ns: JsonTimes::of(&statistics.lag_ns),
        }
    }
}

#[derive(Serialize)]
struct JsonTimes {
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
