//! Writes hits to files, with a module for each format.

mod csv;
mod format;
mod go_binary;
mod ldjson;
mod native;
#[cfg(feature = "parquet")]
mod parquet;
#[cfg(feature = "parquet")]
mod partitions;
mod phout;
mod seconds;
mod sink;
mod trace;

pub use csv::CsvSink;
pub use format::ResultFormat;
pub use go_binary::{CATCH_ALL, GoBinarySettings, GoBinarySink};
pub use ldjson::LdjsonSink;
pub use native::NativeSink;
#[cfg(feature = "parquet")]
pub use parquet::ParquetSink;
#[cfg(feature = "parquet")]
pub use partitions::{Partition, PartitionedSink};
pub use phout::PhoutSink;
pub use seconds::SecondsSink;
pub use sink::{OutputError, OutputFile, Sink};
pub use trace::{Trace, TraceFile, TraceSettings};
