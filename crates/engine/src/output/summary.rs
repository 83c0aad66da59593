//! The result of the writing thread.

use encarno_record::series::Metrics;

/// The counts of what was written and what was lost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WriteSummary {
    /// Hits written to each output.
    pub hits: u64,
    /// Hits that weren't recorded because the writer was too slow.
    pub hits_lost: u64,
    /// How often a recorder found the queue full.
    pub queue_full_count: u64,
    /// Hits written to the trace.
    pub traces: u64,
    /// Traces that weren't recorded because the writer was too slow.
    pub traces_lost: u64,
    /// Bytes written to all files.
    pub bytes: u64,
    /// The times that were measured beside hits.
    pub metrics: Metrics,
    /// Warnings for readers of the files, a sentence each.
    pub warnings: Vec<String>,
}
