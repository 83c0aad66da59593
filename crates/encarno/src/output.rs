//! Where hits go: any number of files, written by one thread.
//!
//! Each event loop has a [`Recorder`]. It fills a buffer and hands it to the
//! writer thread by a bounded queue; empty buffers come back. A full queue is
//! counted and the buffers wait in the recorder; past its bound they are lost,
//! counted and told in the [`WriteSummary`]. Hits are never slowed.
//!
//! - [`recorder`](Recorder): the hot side
//! - writer: the thread
//! - [`sink`]: what takes hits one file at a time; one module for each format

mod recorder;
mod writer;

pub mod csv;
pub mod go_binary;
pub mod ldjson;
pub mod native;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod phout;
pub mod seconds;
pub mod sink;
pub mod trace;

pub use recorder::Recorder;
pub use sink::OutputError;
pub use writer::{WriteSummary, WriterThread, open};
