//! What a run must keep to, in the user's words: conditions that fail it, and
//! conditions that end it early.
//!
//! One condition, such as `p99>200ms`, is [`encarno_record::condition`].
//!
//! - [`stop`]: conditions that must hold for a while, and Tank's autostop
//! - [`watch`]: looks at each window of a run

pub mod stop;
pub mod watch;

use std::path::PathBuf;

pub use encarno_record::condition::{Condition, Judged};
pub use stop::StopRules;

/// All conditions of a run.
#[derive(Clone, Debug, Default)]
pub struct Criteria {
    /// The run has failed if one of them holds at its end.
    pub fail_if: Vec<Condition>,
    /// The run ends as soon as one of them holds.
    pub stop_if: StopRules,
}

/// What is judged of a run, and where its summary goes beside the terminal.
#[derive(Clone, Debug, Default)]
pub struct Judging {
    /// What it must keep to.
    pub criteria: Criteria,
    /// Whether a run that the generator itself limited is a failure.
    pub strict: bool,
    /// The summary as JSON.
    pub summary_file: Option<PathBuf>,
    /// The conditions as JUnit's XML.
    pub junit_file: Option<PathBuf>,
    /// The summary is printed as JSON.
    pub json: bool,
}
