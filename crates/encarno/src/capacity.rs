//! `encarno capacity`: how much a system can do, measured by one run whose load
//! changes from trial to trial.
//!
//! - [`written`]: how settings are written
//! - [`trial`]: what a trial showed, as it stands in the result file
//! - [`findings`]: all trials up to now: what to measure next, and what they say
//! - judge: one trial judged by what the event loops did
//! - [`driver`]: steers the run from trial to trial
//! - [`k6`]: makes a trial of a run of k6 instead
//! - [`outcome`]: the end, as data and as an exit status
//! - [`text`]: the same for people
//! - [`board`]: what is shown meanwhile
//! - [`file`]: the trials of a result file
//! - [`drawn`]: the same for the report

pub mod board;
pub mod drawn;
pub mod driver;
pub mod file;
pub mod findings;
pub mod k6;
pub mod outcome;
pub mod text;
pub mod trial;
pub mod written;

mod judge;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use encarno_capacity::goal::Goal;
use serde::{Deserialize, Serialize};

/// What is measured, and how exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The numbers of workers that may be measured.
    pub workers: RangeInclusive<u32>,
    /// What the highest rate is searched for; none = only the curve.
    #[serde(with = "as_text")]
    pub goal: Option<Goal>,
    /// The distance of the goal's two bounds, as a part of the lower one.
    pub within: f64,
    /// The half width of a trial's 95 % interval, as a part of its throughput.
    pub precision: f64,
    /// A trial takes at least so long after its warm-up …
    pub trial_min: Duration,
    /// … and at most so long in all; one of the goal four times as long.
    pub trial_max: Duration,
    /// Of the order of the trials and of the Poisson process.
    pub seed: u64,
    /// At most so many hits run at a time when the goal is searched.
    pub in_flight_max: u32,
    /// This machine can make so many hits per second of this kind, as far as it was
    /// calibrated.
    pub generator_max: Option<f64>,
    /// A script of k6 is run, whose own thresholds are the goal.
    #[serde(default)]
    pub k6: bool,
}

/// A capacity that a configuration asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What is measured.
    pub settings: Settings,
    /// What came of it goes to that file, as JSON.
    pub json_file: Option<PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            workers: 1..=1000,
            goal: None,
            within: 0.05,
            precision: 0.02,
            trial_min: Duration::from_secs(2),
            trial_max: Duration::from_secs(15),
            seed: 0,
            in_flight_max: 1000,
            generator_max: None,
            k6: false,
        }
    }
}

mod as_text {
    use encarno_capacity::goal::Goal;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(goal: &Option<Goal>, to: S) -> Result<S::Ok, S::Error> {
        goal.as_ref().map(Goal::to_string).serialize(to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Option<Goal>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        let goal = text.map(|text| text.parse()).transpose();
        goal.map_err(D::Error::custom)
    }
}
