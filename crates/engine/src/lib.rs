//! One run: schedule, input, scripts, event loops, recorders.
//!
//! The modules in the order in which a run meets them:
//!
//! - [`settings`]: what a run is asked to do
//! - [`schedule`]: when hits start
//! - [`script`]: what a record asks for beyond being sent
//! - workers: event loops that make hits
//! - [`control`]: how a run is stopped, paused, and made to do more or less
//! - [`output`]: hits on their way to files
//! - [`meter`]: what a run does, second by second, and at the end; as data
//! - [`pilot`]: who follows a run, and may steer it
//! - run: one run, of all these

mod error;
mod run;
mod workers;

pub mod meter;
pub mod output;
pub mod pilot;
pub mod schedule;
pub mod script;
pub mod settings;

pub use error::RunError;
pub use run::{read_through, run, steer};
pub use workers::control;
pub use workers::event_loop::LoopError;
pub use workers::feed::InputFailure;
