//! encarno, a hit generator: the program around the engine.
//!
//! - [`cli`]: the commands
//! - [`config`]: the configuration file
//! - url_text: URLs and headers, whose passwords nobody sees
//! - [`files`]: no output is an input
//! - [`protocols`]: the protocols that users can name
//! - texts: how figures, names and verdicts look as text
//! - [`messages`]: what is said on the standard error
//! - [`criteria`]: conditions that fail a run, or end it
//! - [`dashboard`]: a run on a terminal
//! - [`console`]: what a run shows while it goes on
//! - [`scenario`]: loads that components decide
//! - [`supervise`]: a run with those who look at it
//! - [`report`]: what is said about hits, at a run's end and by `stats`
//! - [`read`]: what commands say about files
//! - [`calibration`]: what this machine can make truthfully
//! - [`capacity`]: how much a system can do
//! - [`exit`]: exit codes

pub mod calibration;
pub mod capacity;
pub mod cli;
pub mod config;
pub mod console;
pub mod criteria;
pub mod dashboard;
pub mod exit;
pub mod files;
#[doc(hidden)]
pub mod fuzz;
pub mod messages;
pub mod protocols;
pub mod read;
pub mod report;
pub mod scenario;
pub mod supervise;

mod texts;
mod url_text;
