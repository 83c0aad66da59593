//! Sends result files to systems that keep metrics, with the original times.
//!
//! The modules in the order of the data's path:
//!
//! - [`steps`]: a file's sums in periods of time
//! - `totals`: the sums of a run up to a period
//! - `buckets`: our buckets as those of an exponential histogram
//! - [`otlp`]: as OTLP's messages
//! - `prometheus`: names, labels and native histograms, as Prometheus has them
//! - [`remote_write`]: as Prometheus's remote write
//! - [`scrape`]: as what Prometheus fetches itself
//! - [`influx`]: as Influx's lines
//! - [`deliver`]: by HTTP, with retries that are bounded

use std::path::Path;

mod buckets;
pub mod deliver;
pub mod influx;
pub mod otlp;
mod prometheus;
pub mod remote_write;
pub mod scrape;
pub mod steps;
mod totals;

/// A message, with the number of its points.
#[derive(Debug)]
pub struct Body {
    /// The bytes of the message.
    pub bytes: Vec<u8>,
    /// Data points.
    pub points: u64,
}

/// The origin of a run, for systems that keep many runs.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The start of the run, Unix time.
    pub started_unix_ns: u64,
    /// The unique name of the run.
    pub run: String,
    /// The machine.
    pub instance: String,
    /// The program, with its version.
    pub program: String,
}

/// The name of the run in that file, which no other run has.
pub fn run_name(file: &Path, started_unix_ns: u64) -> String {
    let name = file.file_name().unwrap_or(file.as_os_str());
    format!("{}-{started_unix_ns}", name.to_string_lossy())
}
