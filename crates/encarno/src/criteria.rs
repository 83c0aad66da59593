//! The user's conditions for a run: conditions that fail it, and conditions that end it
//! early.
//!
//! [`encarno_record::condition`] has a single condition, such as `p99>200ms`.
//!
//! - [`stop`]: conditions that must hold for a while, and Tank's autostop
//! - [`watch`]: checks the conditions in each window of a run

pub mod stop;
pub mod watch;

use std::path::PathBuf;

pub use encarno_record::condition::{Condition, Judged};
pub use stop::StopRules;

/// All conditions of a run.
#[derive(Clone, Debug, Default)]
pub struct Criteria {
    /// The run has failed if one of these holds at its end.
    pub fail_if: Vec<Condition>,
    /// The run ends as soon as one of these holds.
    pub stop_if: StopRules,
}

/// How a run is judged, and where its summary goes besides the terminal.
#[derive(Clone, Debug, Default)]
pub struct Judging {
    /// The conditions.
    pub criteria: Criteria,
    /// Whether a run that the generator itself limited is a failure.
    pub strict: bool,
    /// The file for the summary as JSON.
    pub summary_file: Option<PathBuf>,
    /// The file for the conditions as JUnit XML.
    pub junit_file: Option<PathBuf>,
    /// Whether the summary is printed as JSON.
    pub json: bool,
    /// Whether no summary is printed, because there is another one.
    pub silent: bool,
}
