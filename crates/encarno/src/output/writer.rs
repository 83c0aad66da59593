//! The thread that writes, and what it says at the end.

use std::path::PathBuf;

use super::Recorder;
use crate::settings::OutputSettings;
use crate::strings::Strings;

/// Opens all outputs and starts the writer thread: a recorder for each event
/// loop, and the thread's handle. `started_unix_ns` is the wall clock at the
/// run's start.
pub fn open(
    settings: &OutputSettings,
    recorders: usize,
    strings: &Strings,
    started_unix_ns: u64,
) -> Result<(Vec<Recorder>, WriterThread), OutputError> {
    let _ = (settings, recorders, strings, started_unix_ns);
    Ok((Vec::new(), WriterThread {}))
}

/// An output that can't be opened or written.
#[derive(Debug, thiserror::Error)]
#[error("can't {operation} {path}: {source}", path = path.display())]
pub struct OutputError {
    /// What was tried: `create`, `write`, …
    pub operation: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: std::io::Error,
}

/// The thread that writes.
#[derive(Debug)]
pub struct WriterThread {}

impl WriterThread {
    /// True once an output failed (disk full …): the run had better end.
    pub fn failed(&self) -> bool {
        false
    }

    /// Writes what recorders handed over, closes all files, and says what
    /// happened. Drop (or flush) all recorders before. An output's first error
    /// comes back here; what was written before it is readable.
    pub fn finish(self) -> Result<WriteSummary, OutputError> {
        Ok(WriteSummary::default())
    }
}

/// What was written, and what wasn't.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteSummary {
    /// Hits written (to each output).
    pub hits: u64,
    /// Hits that weren't recorded because the writer fell behind past the bound.
    pub hits_lost: u64,
    /// How often a recorder found the queue full.
    pub queue_full_count: u64,
    /// Hits written to the trace.
    pub traces: u64,
    /// Traces that weren't recorded because the writer fell behind.
    pub traces_lost: u64,
    /// Bytes written to all files.
    pub bytes: u64,
    /// What a reader of the files must know, a sentence each.
    pub warnings: Vec<String>,
}
