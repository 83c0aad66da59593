//! Result files to systems that keep metrics, with the times at which it happened.
//!
//! The modules in the order of the data's path:
//!
//! - [`steps`]: a file's sums in periods of time
//! - [`otlp`]: as OTLP's messages, with exponential histograms from our buckets
//! - [`influx`]: as Influx's lines
//! - [`deliver`]: by HTTP, with retries that are bounded

pub mod deliver;
pub mod influx;
pub mod otlp;
pub mod steps;
