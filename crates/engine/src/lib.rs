//! One run: schedule, input, scripts, event loops, recorders.
//!
//! The modules in the order in which a run meets them:
//!
//! - [`scenario`]: what is sent, if it is decided while the run goes on
//! - [`settings`]: the settings of a run
//! - [`schedule`]: when hits start
//! - [`script`]: values, checks, redirects and pauses of records
//! - workers: the event loops that make hits
//! - [`control`]: stops and pauses a run, and changes its load
//! - [`output`]: hits on their way to files
//! - [`meter`]: the figures of a run by second and at the end, as data
//! - [`pilot`]: the observer of a run, which may steer it
//! - run: one run, built from these modules

mod error;
mod run;
mod workers;

pub mod meter;
pub mod output;
pub mod pilot;
pub mod scenario;
pub mod schedule;
pub mod script;
pub mod settings;

pub use error::RunError;
pub use run::{read_through, run, steer};
pub use workers::control;
pub use workers::event_loop::LoopError;
pub use workers::feed::{InputFailure, ReadSummary};
