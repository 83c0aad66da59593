//! Hits on their way to files, written by one thread.
//!
//! Each event loop has a [`Recorder`]. It fills a buffer and hands it to the writer
//! thread through a bounded queue; empty buffers come back. If the queue is full, buffers
//! wait in the recorder, up to a bound. Beyond the bound they are lost. The
//! [`WriteSummary`] has the counts of both. Hits are never slowed down.
//!
//! Once a second a recorder also hands over the sums of its hits, to the writer,
//! whose native file carries them, and to the meter. Sums are never lost.

mod recorder;
mod sample;
mod summary;
mod writer;

pub use recorder::Recorder;
pub use sample::{Sample, TENTH_NS, Tenth};
pub use summary::WriteSummary;
pub use writer::{WriterThread, open};
