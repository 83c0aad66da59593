//! encarno, a hit generator: input → schedule → workers → nib → output.
//!
//! The modules in the order in which a hit meets them:
//!
//! - [`strings`]: labels, addresses and error texts, each known by a number
//! - [`script`]: what a record asks for beyond being sent
//! - [`hit`]: what is sent, and what became of it
//! - [`settings`]: what a run is asked to do
//! - [`config`]: the configuration file
//! - [`input`]: records from files
//! - [`schedule`]: when hits start
//! - [`workers`]: event loops that make hits
//! - [`nib`]: the protocols they speak
//! - [`frame`]: framed blocks with checksums
//! - [`results`]: the native result file
//! - [`output`]: hits to files
//! - [`progress`]: what is shown meanwhile, and at the end
//! - [`pipeline`]: one run, of all these
//! - [`statistics`]: sums and distributions of hits
//! - [`stats`]: sums from a result file
//! - [`show`]: files for people to read
//! - [`convert`]: files to other formats
//! - [`tail`]: a result file while it grows
//! - [`target`]: a scripted server to test and calibrate with
//! - [`cli`]: the commands
//! - [`clock`], [`error`]: the run's clock, and why it may fail

pub mod cli;
pub mod clock;
pub mod config;
pub mod convert;
pub mod error;
pub mod frame;
pub mod hit;
pub mod input;
pub mod nib;
pub mod output;
pub mod pipeline;
pub mod progress;
pub mod results;
pub mod schedule;
pub mod script;
pub mod settings;
pub mod show;
pub mod statistics;
pub mod stats;
pub mod strings;
pub mod tail;
pub mod target;
pub mod workers;
