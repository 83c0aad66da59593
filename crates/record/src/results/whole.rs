//! Reads a result file as a whole: the statistics of its hits and metrics.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{Block, FileSums, Hits, ResultReader, ResultSummary, ResultsError, SumsReader};
use crate::notes::Notes;
use crate::series::Metrics;
use crate::statistics::Statistics;
use crate::sums::OutcomeSums;
use crate::{Expected, Hit, Texts};

/// With more outcomes than this, outcomes are merged by label.
const OUTCOMES_MAX: usize = 1 << 16;

/// Why a result file can't be read.
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
    /// Makes an error about this file.
    pub fn of<E: Into<ResultsError>>(path: &Path) -> impl Fn(E) -> Self {
        move |source| Self {
            path: path.into(),
            source: source.into(),
        }
    }
}

/// The contents of result files.
#[derive(Clone, Debug)]
pub struct FileStatistics {
    /// From the start of the run to its end, Unix time. If the file has no end, to the
    /// last known instant.
    pub span_unix_ns: (u64, u64),
    /// The statuses that the run expected.
    pub expected: Expected,
    /// The statistics of hits.
    pub statistics: Statistics,
    /// The metrics that aren't hits, as k6 has them.
    pub metrics: Metrics,
    /// The notes; of several files, those of the first one.
    pub notes: Notes,
    /// How much was read, and how much was lost.
    pub summary: ResultSummary,
}

impl FileStatistics {
    /// The duration.
    pub fn span_ns(&self) -> u64 {
        // A file may say that it ended before it started.
        self.span_unix_ns.1.saturating_sub(self.span_unix_ns.0)
    }

    /// Adds another file.
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

/// Opens the sums of a native result file; `None` if it doesn't support random access (a
/// pipe).
pub fn open_sums(path: &Path) -> Result<Option<SumsReader>, FileError> {
    let file = File::open(path).map_err(FileError::of(path))?;
    if !file.metadata().map_err(FileError::of(path))?.is_file() {
        return Ok(None);
    }
    SumsReader::new(file).map(Some).map_err(FileError::of(path))
}

/// Sums up a native result file, from its sums and the hits that these don't cover.
pub fn read(path: &Path) -> Result<FileStatistics, FileError> {
    match open_sums(path)? {
        Some(reader) => read_sums(reader).map_err(FileError::of(path)),
        None => read_hits(path),
    }
}

/// Reads to the present end of the file, and hands on hits with the texts that they use.
/// True if there was anything new.
pub fn drain<E: From<FileError>>(
    reader: &mut ResultReader<File>,
    path: &Path,
    texts: &mut Texts,
    mut take: impl FnMut(Hits<'_>, &mut Texts) -> Result<(), E>,
) -> Result<bool, E> {
    let mut moved = false;
    while let Some(block) = reader.next_block().map_err(FileError::of(path))? {
        moved = true;
        match block {
            Block::Strings(block) => block.add_to(texts),
            Block::Hits(hits) => take(hits, texts)?,
            Block::Mark(_) | Block::Other | Block::End => {}
        }
    }
    Ok(moved)
}

fn read_sums(mut reader: SumsReader) -> io::Result<FileStatistics> {
    let mut gathered = Gathered::of(&reader);
    let mut texts = Texts::default();
    while let Some(sums) = reader.next_sums(&mut texts)? {
        gathered.add(&sums, &mut texts);
    }
    reader.rest(|sums| gathered.add(&sums, &mut texts))?;
    Ok(gathered.statistics(&mut texts, &reader))
}

/// Sums up a native result file hit by hit, from its start to its end.
pub fn read_hits(path: &Path) -> Result<FileStatistics, FileError> {
    let mut reader = open(path)?;
    let mut gathered = Gathered::new(reader.started_unix_ns(), reader.expected());
    let mut texts = Texts::default();
    drain(&mut reader, path, &mut texts, |hits, texts| {
        hits.iter().for_each(|hit| gathered.record(&hit, texts));
        Ok::<_, FileError>(())
    })?;
    Ok(gathered.finish(
        &mut texts,
        reader.span_ns(),
        reader.summary(),
        reader.metrics(),
        reader.notes(),
    ))
}

/// The data gathered from a file so far.
#[derive(Debug)]
pub struct Gathered {
    started_unix_ns: u64,
    expected: Expected,
    sums: OutcomeSums,
    statistics: Statistics,
}

impl Gathered {
    fn new(started_unix_ns: u64, expected: Expected) -> Self {
        Self {
            started_unix_ns,
            expected,
            sums: OutcomeSums::default(),
            statistics: Statistics::default(),
        }
    }

    fn record(&mut self, hit: &Hit, texts: &mut Texts) {
        self.sums.record(hit);
        self.settle(OUTCOMES_MAX, texts);
    }

    /// Without data, for the file of this reader.
    pub fn of(reader: &SumsReader) -> Self {
        Self::new(reader.started_unix_ns(), reader.expected())
    }

    /// The statistics so far. `reader` is the one whose sums were added.
    pub fn statistics(&mut self, texts: &mut Texts, reader: &SumsReader) -> FileStatistics {
        let known_until_ns = match reader.whole_until_ns() {
            // All loops have ended, so the end is that of the last hit.
            u64::MAX => 1,
            until_ns => until_ns,
        };
        let span_ns = reader.span_ns().max(known_until_ns);
        self.finish(
            texts,
            span_ns,
            reader.summary(),
            reader.metrics(),
            reader.notes(),
        )
    }

    /// Adds sums of the file.
    pub fn add(&mut self, sums: &FileSums, texts: &mut Texts) {
        sums.for_each(|_, outcome, sums| {
            self.sums.merge(*outcome, sums);
            self.settle(OUTCOMES_MAX, texts);
        });
    }

    fn settle(&mut self, outcomes_max: usize, texts: &mut Texts) {
        if self.sums.len() > outcomes_max {
            let sums = std::mem::take(&mut self.sums);
            let (started, expected) = (self.started_unix_ns, &self.expected);
            self.statistics.add(&sums, texts, started, expected);
        }
    }

    fn finish(
        &mut self,
        texts: &mut Texts,
        span_ns: u64,
        summary: ResultSummary,
        metrics: &Metrics,
        notes: &Notes,
    ) -> FileStatistics {
        self.settle(0, texts);
        let total = self.statistics.total();
        let start_ns = self.started_unix_ns;
        let span_unix_ns = match (span_ns, total.span_unix_ns) {
            // The duration isn't known; use the span of the hits.
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
            statistics: self.statistics.clone(),
            metrics: metrics.clone(),
            notes: notes.clone(),
        }
    }
}
