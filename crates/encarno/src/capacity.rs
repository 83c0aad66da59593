//! `encarno capacity`: how much a system can do, measured by one run whose load
//! changes from trial to trial.
//!
//! - [`written`]: how settings are written
//! - [`trial`]: the result of a trial, as the result file has it
//! - [`findings`]: all trials up to now: the next trial, and the result
//! - judge: one trial judged by what the event loops did
//! - [`driver`]: steers the run from trial to trial
//! - [`k6`]: makes a trial of a run of k6 instead
//! - [`outcome`]: the end, as data and as an exit status
//! - [`text`]: the end, as text
//! - [`board`]: the display while trials go on
//! - [`file`]: the trials of a result file
//! - [`drawn`]: the curve and trials for the report

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

/// The settings of a measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// The numbers of workers that may be measured.
    pub workers: RangeInclusive<u32>,
    /// The goal whose highest rate is searched for; `None` measures only the curve.
    #[serde(with = "as_text")]
    pub goal: Option<Goal>,
    /// The distance of the goal's two bounds, as a part of the lower one.
    pub within: f64,
    /// The half width of a trial's 95 % interval, as a part of its throughput.
    pub precision: f64,
    /// The shortest time of a trial, without its warm-up.
    pub trial_min: Duration,
    /// The longest time of a trial, with its warm-up. A trial of the goal may take four
    /// times as long.
    pub trial_max: Duration,
    /// The seed for the order of trials and for the Poisson process.
    pub seed: u64,
    /// The most hits that run at a time while the goal is searched for.
    pub in_flight_max: u32,
    /// The rate of such hits to which this machine is calibrated, hits per second.
    pub generator_max: Option<f64>,
    /// Whether a script of k6 is run, whose own thresholds are the goal.
    #[serde(default)]
    pub k6: bool,
}

/// A capacity measurement that a configuration asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The settings of the measurement.
    pub settings: Settings,
    /// The file for the result, as JSON.
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
