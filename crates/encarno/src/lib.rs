//! encarno, a hit generator: the program around the engine.
//!
//! - [`cli`]: the command line
//! - [`config`]: the configuration file
//! - url_text: URLs and headers, without showing their passwords
//! - [`files`]: checks that no output is an input
//! - [`protocols`]: the protocols that users can name
//! - texts: formats figures, names and verdicts
//! - [`messages`]: messages on the standard error
//! - [`criteria`]: conditions that fail a run, or end it
//! - [`dashboard`]: the display of a run on a terminal
//! - [`console`]: the progress of a run
//! - [`scenario`]: loads that components decide
//! - [`supervise`]: a run with its console and conditions
//! - [`report`]: the summary of hits, at a run's end and by `stats`
//! - [`read`]: the commands that read files
//! - [`calibration`]: how many hits this machine can make on time
//! - [`capacity`]: measures how much a system can do
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
