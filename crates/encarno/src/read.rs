//! The commands that read files: those that runs wrote, and those that runs read.
//!
//! - [`stats`]: sums of a result file
//! - [`show`]: files as text
//! - [`convert`]: files to other formats
//! - [`tail`]: a result file while it grows

pub mod convert;
pub mod show;
pub mod stats;
pub mod tail;
