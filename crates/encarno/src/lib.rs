//! encarno, a hit generator: input → schedule → workers → nib → output.
//!
//! The modules in the order in which a hit meets them:
//!
//! - [`strings`]: labels, addresses and error texts, each known by a number
//! - [`script`]: what a record asks for beyond being sent
//! - [`hit`]: what is sent, and what became of it
//! - [`settings`]: what a run is asked to do
//! - [`input`]: records from files
//! - [`frame`]: framed blocks with checksums
//! - [`results`]: the native result file
//! - [`output`]: hits to files
//! - [`statistics`]: sums and distributions of hits
//! - [`stats`]: sums from a result file

pub mod frame;
pub mod hit;
pub mod input;
pub mod output;
pub mod results;
pub mod schedule;
pub mod script;
pub mod settings;
pub mod statistics;
pub mod stats;
pub mod strings;
