//! What the thread that writes says at the end.

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
