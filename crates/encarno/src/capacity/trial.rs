//! What a trial showed: as it stands in the result file, in the summary and in
//! the progress.

use serde::{Deserialize, Serialize};

use super::Settings;

/// A trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its number, from 1.
    pub number: usize,
    /// What was asked for.
    pub load: TrialLoad,
    /// Where it begins, ns from the run's start.
    pub from_ns: u64,
    /// Where it ends.
    pub to_ns: u64,
    /// What of it was cut off as warm-up, ns.
    pub warm_up_ns: u64,
    /// What came of it.
    pub verdict: Verdict,
    /// Why, if that isn't clear.
    pub reason: Option<String>,
    /// Hits that ended after the warm-up, and those of them that failed.
    pub hits: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Hits that found no free connection in time, and weren't made.
    pub dropped: u64,
    /// Hits per second after the warm-up.
    pub throughput: f64,
    /// Half of the 95 % interval of the throughput, as a part of it; none if it
    /// isn't known.
    pub half_width: Option<f64>,
    /// The standard error of the throughput, as a part of it; 0 = not known.
    pub relative_error: f64,
    /// Hits in flight, on average.
    pub in_flight: f64,
    /// The mean service time, s.
    pub service_s: f64,
    /// How far Little's law is off: |N − X·R| as a part of N.
    pub littles_error: f64,
    /// The share of its core that the busiest event loop used.
    pub busy: f64,
    /// How late hits started at the 99th percentile, s.
    pub lag_p99_s: f64,
    /// Each condition of the goal, as it was in this trial.
    pub conditions: Vec<Condition>,
    /// Thresholds of k6, if it made the trial.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
}

/// What is asked for in a trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialLoad {
    /// A closed load: so many workers.
    Workers(u32),
    /// An open load: hits per second, as a Poisson process.
    Rate(f64),
    /// A closed load that may keep the goal: so many virtual users of k6.
    Users(u32),
}

/// What came of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The throughput settled.
    Steady,
    /// It still moved when the time was over; what was measured counts all the
    /// same, with its error.
    Unstable,
    /// The trial contradicts itself (Little's law): it doesn't count.
    ThrownAway,
    /// Too many hits failed.
    Errors,
    /// The generator was the limit.
    GeneratorLimit,
    /// The goal holds.
    Holds,
    /// It doesn't.
    Fails,
    /// Time was over, and it could be either: that counts as not holding.
    Undecided,
}

/// A condition of the goal in a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// As in the goal.
    pub condition: String,
    /// What was measured: seconds, or a part of the hits.
    pub value: f64,
}

/// A threshold of k6 in a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// The metric and the condition.
    pub name: String,
    /// Whether it was met.
    pub met: bool,
}

/// What stands in a result file, under the key `capacity`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// Once, before the first trial.
    Settings(Settings),
    /// A trial has ended.
    Trial(Trial),
    /// Nothing more is measured, and why.
    GivenUp(String),
}

/// A mark of a result file that is about a capacity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Marked {
    /// What it says.
    pub capacity: Note,
}

impl Trial {
    /// How long it took, s.
    pub fn seconds(&self) -> f64 {
        self.to_ns.saturating_sub(self.from_ns) as f64 * 1e-9
    }

    /// The part of the hits that failed or weren't made.
    pub fn bad_part(&self) -> f64 {
        let all = (self.hits + self.dropped).max(1);
        (self.failed + self.dropped) as f64 / all as f64
    }
}
