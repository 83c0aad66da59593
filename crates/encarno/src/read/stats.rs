//! `encarno stats`: sums and distributions from result files.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use encarno_record::histogram::Histogram;
use encarno_record::results::{
    Block, FileSums, ResultReader, ResultSummary, ResultsError, SumsReader, Taken,
};
use encarno_record::series::Metrics;
use encarno_record::statistics::{LabelStatistics, QUANTILES, Statistics};
use encarno_record::sums::OutcomeSums;
use encarno_record::{Expected, Texts};
use serde::Serialize;

use super::metrics::JsonMetric;
use crate::report::rate;

/// Outcomes are put together by their labels when there are so many.
const OUTCOMES_MAX: usize = 1 << 16;

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

impl FileError {
    /// About that file.
    pub fn of<E: Into<ResultsError>>(path: &Path) -> impl Fn(E) -> Self {
        move |source| Self {
            path: path.into(),
            source: source.into(),
        }
    }
}

/// What result files say.
#[derive(Clone, Debug)]
pub struct FileStatistics {
    /// From the start of the run to its end, Unix time. Of a file without an
    /// end: to the last thing that is known of it.
    pub span_unix_ns: (u64, u64),
    /// The statuses that the run expected.
    pub expected: Expected,
    /// The hits.
    pub statistics: Statistics,
    /// The metrics that aren't hits, as k6 has them.
    pub metrics: Metrics,
    /// What was read and what was lost.
    pub summary: ResultSummary,
}

impl FileStatistics {
    /// How long it lasts.
    pub fn span_ns(&self) -> u64 {
        self.span_unix_ns.1 - self.span_unix_ns.0
    }

    /// Adds what another file says.
    pub fn merge(&mut self, other: &Self) {
        let ((start, end), (other_start, other_end)) = (self.span_unix_ns, other.span_unix_ns);
        self.span_unix_ns = (start.min(other_start), end.max(other_end));
        self.statistics.merge(&other.statistics);
        self.metrics.merge(&other.metrics);
        self.summary.merge(&other.summary);
    }
}

/// Opens a native result file.
pub fn open(path: &Path) -> Result<ResultReader<File>, FileError> {
    let file = File::open(path).map_err(FileError::of(path))?;
    ResultReader::new(file).map_err(FileError::of(path))
}

/// Opens the sums of a native result file; none if it can't be read anywhere
/// (a pipe).
pub fn open_sums(path: &Path) -> Result<Option<SumsReader>, FileError> {
    let file = File::open(path).map_err(FileError::of(path))?;
    if !file.metadata().map_err(FileError::of(path))?.is_file() {
        return Ok(None);
    }
    SumsReader::new(file).map(Some).map_err(FileError::of(path))
}

/// Sums up a native result file: by the sums that it carries, and the hits that
/// these don't cover.
pub fn read(path: &Path) -> Result<FileStatistics, FileError> {
    match open_sums(path)? {
        Some(reader) => read_sums(reader).map_err(FileError::of(path)),
        None => read_hits(path),
    }
}

fn read_sums(mut reader: SumsReader) -> io::Result<FileStatistics> {
    let mut gathered = Gathered::new(reader.started_unix_ns(), reader.expected());
    while let Some(taken) = reader.next_taken()? {
        match taken {
            Taken::Strings(texts) => gathered.learn(texts.into_iter()),
            Taken::Sums(sums) => gathered.add(&sums),
            Taken::End => {}
        }
    }
    reader.rest(|sums| gathered.add(&sums))?;
    let known_until_ns = match reader.whole_until_ns() {
        // All loops have ended: their last hit is the end.
        u64::MAX => 1,
        until_ns => until_ns,
    };
    let span_ns = reader.span_ns().max(known_until_ns);
    Ok(gathered.finish(span_ns, reader.summary(), reader.metrics()))
}

/// Sums up a native result file hit by hit, from its start to its end.
pub fn read_hits(path: &Path) -> Result<FileStatistics, FileError> {
    let mut reader = open(path)?;
    let mut gathered = Gathered::new(reader.started_unix_ns(), reader.expected());
    loop {
        match reader.next_block().map_err(FileError::of(path))? {
            Some(Block::Hits(hits)) => hits.iter().for_each(|hit| gathered.record(&hit)),
            Some(Block::Strings(texts)) => gathered.learn(texts.iter()),
            Some(Block::Mark(_) | Block::Other | Block::End) => {}
            None => break,
        }
    }
    Ok(gathered.finish(reader.span_ns(), reader.summary(), reader.metrics()))
}

/// What was gathered from a file up to now.
struct Gathered {
    started_unix_ns: u64,
    expected: Expected,
    texts: Texts,
    sums: OutcomeSums,
    statistics: Statistics,
}

impl Gathered {
    fn new(started_unix_ns: u64, expected: Expected) -> Self {
        Self {
            started_unix_ns,
            expected,
            texts: Texts::default(),
            sums: OutcomeSums::default(),
            statistics: Statistics::default(),
        }
    }

    fn learn(&mut self, texts: impl Iterator<Item = (encarno_record::StringId, String)>) {
        for (id, text) in texts {
            self.texts.insert(id, &text);
        }
    }

    fn record(&mut self, hit: &encarno_record::Hit) {
        self.sums.record(hit);
        self.settle(OUTCOMES_MAX);
    }

    fn add(&mut self, sums: &FileSums) {
        sums.for_each(|_, outcome, sums| {
            self.sums.merge(*outcome, sums);
            self.settle(OUTCOMES_MAX);
        });
    }

    fn settle(&mut self, outcomes_max: usize) {
        if self.sums.len() > outcomes_max {
            let sums = std::mem::take(&mut self.sums);
            let (started, expected) = (self.started_unix_ns, &self.expected);
            self.statistics
                .add(&sums, &mut self.texts, started, expected);
        }
    }

    fn finish(mut self, span_ns: u64, summary: ResultSummary, metrics: &Metrics) -> FileStatistics {
        self.settle(0);
        let total = self.statistics.total();
        let start_ns = self.started_unix_ns;
        let span_unix_ns = match (span_ns, total.span_unix_ns) {
            // Nobody said how long it was: as long as there were hits.
            (0, Some(span)) => span,
            (span_ns, span) => {
                let last_ns = span.map_or(start_ns, |(_, last_ns)| last_ns);
                (start_ns, start_ns.saturating_add(span_ns).max(last_ns))
            }
        };
        FileStatistics {
            span_unix_ns,
            expected: self.expected,
            summary: ResultSummary {
                hits: total.hits,
                ..summary
            },
            statistics: self.statistics,
            metrics: metrics.clone(),
        }
    }
}

/// Prints a table for people.
pub fn print_table(file: &FileStatistics, out: &mut dyn Write) -> io::Result<()> {
    crate::report::write_table(&file.statistics, file.span_ns(), out)?;
    super::metrics::write_table(&file.metrics, file.span_ns(), out)
}

/// Prints the same as JSON: `{started_unix_ns, whole, …, total, labels}`.
pub fn print_json(file: &FileStatistics, out: &mut dyn Write) -> io::Result<()> {
    let span_ns = file.span_ns();
    let labels = file
        .statistics
        .labels()
        .map(|(label, statistics)| JsonLabel::of(Some(label.to_owned()), statistics, span_ns));
    let summary = &file.summary;
    let json = Json {
        started_unix_ns: file.span_unix_ns.0,
        whole: summary.is_whole(),
        ended: summary.ended,
        expected: file.expected.to_string(),
        hits_read: summary.hits,
        hits_damaged: summary.hits_damaged,
        hits_lost: summary.hits_lost,
        damaged_bytes: summary.damage.bytes,
        incomplete_bytes: summary.incomplete_bytes,
        labels: labels.collect(),
        metrics: super::metrics::json(&file.metrics, span_ns),
        total: JsonLabel::of(None, &file.statistics.total(), span_ns),
    };
    serde_json::to_writer_pretty(&mut *out, &json)?;
    writeln!(out)
}

#[derive(Serialize)]
struct Json {
    started_unix_ns: u64,
    whole: bool,
    ended: bool,
    /// The statuses that don't fail a hit.
    expected: String,
    hits_read: u64,
    hits_damaged: u64,
    hits_lost: u64,
    damaged_bytes: u64,
    incomplete_bytes: u64,
    total: JsonLabel,
    labels: Vec<JsonLabel>,
    /// Those that aren't hits, as k6 has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    metrics: Vec<JsonMetric>,
}

#[derive(Serialize)]
struct JsonLabel {
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    hits: u64,
    failed: u64,
    duration_s: f64,
    /// None if a single hit, or none, can't say it.
    rate: Option<f64>,
    sent_bytes: u64,
    received_bytes: u64,
    net_codes: std::collections::BTreeMap<u16, u64>,
    protocol_codes: std::collections::BTreeMap<u16, u64>,
    errors: Vec<JsonError>,
    service_ns: JsonTimes,
    response_ns: JsonTimes,
    lag_ns: JsonTimes,
}

impl JsonLabel {
    fn of(label: Option<String>, statistics: &LabelStatistics, span_ns: u64) -> Self {
        Self {
            label,
            hits: statistics.hits,
            failed: statistics.failed,
            duration_s: span_ns as f64 * 1e-9,
            rate: rate(statistics.hits, span_ns),
            sent_bytes: statistics.sent_bytes,
            received_bytes: statistics.received_bytes,
            net_codes: statistics.net_codes.clone(),
            protocol_codes: statistics.protocol_codes.clone(),
            errors: statistics
                .errors
                .iter()
                .map(|((net_code, text), &hits)| JsonError {
                    net_code: *net_code,
                    text: text.to_string(),
                    hits,
                })
                .collect(),
            service_ns: JsonTimes::of(&statistics.service_ns),
            response_ns: JsonTimes::of(&statistics.response_ns),
            lag_ns: JsonTimes::of(&statistics.lag_ns),
        }
    }
}

#[derive(Serialize)]
struct JsonError {
    net_code: u16,
    text: String,
    hits: u64,
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
