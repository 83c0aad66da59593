//! The result of a trial, as the result file, the summary and the progress have it.

use serde::{Deserialize, Serialize};

use super::Settings;

/// A trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its number, from 1.
    pub number: usize,
    /// The load of the trial.
    pub load: TrialLoad,
    /// Its start, ns from the run's start.
    pub from_ns: u64,
    /// Its end, ns from the run's start.
    pub to_ns: u64,
    /// The length of its warm-up, which doesn't count, ns.
    pub warm_up_ns: u64,
    /// The verdict on the trial.
    pub verdict: Verdict,
    /// Why, if the verdict doesn't say it.
    pub reason: Option<String>,
    /// The number of hits that ended after the warm-up.
    pub hits: u64,
    /// The number of those hits that failed.
    pub failed: u64,
    /// The number of hits that found no free connection in time and weren't made.
    pub dropped: u64,
    /// Hits per second after the warm-up.
    pub throughput: f64,
    /// Half of the 95 % interval of the throughput, as a part of it; `None` if it isn't
    /// known.
    pub half_width: Option<f64>,
    /// The standard error of the throughput, as a part of it; 0 = not known.
    pub relative_error: f64,
    /// Hits in flight, on average.
    pub in_flight: f64,
    /// The mean service time, s.
    pub service_s: f64,
    /// The error of Little's law: |N − X·R| as a part of N.
    pub littles_error: f64,
    /// The share of its core that the busiest event loop used.
    pub busy: f64,
    /// How late hits started at the 99th percentile, s.
    pub lag_p99_s: f64,
    /// The conditions of the goal, with their values in this trial.
    pub conditions: Vec<Condition>,
    /// The thresholds of k6, if k6 made the trial.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
}

/// The load of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialLoad {
    /// A closed load with this number of workers.
    Workers(u32),
    /// An open load: hits per second, as a Poisson process.
    Rate(f64),
    /// A closed load that may keep the goal, with this number of virtual users of k6.
    Users(u32),
}

/// The verdict on a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The throughput settled.
    Steady,
    /// The throughput still moved at the end of the time. The trial counts all the same,
    /// with its error.
    Unstable,
    /// The trial contradicts itself (Little's law): it doesn't count.
    ThrownAway,
    /// Too many hits failed.
    Errors,
    /// The generator was the limit.
    GeneratorLimit,
    /// The goal holds.
    Holds,
    /// The goal doesn't hold.
    Fails,
    /// At the end of the time, the goal could hold or not; that counts as not holding.
    Undecided,
}

/// A condition of the goal in a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The condition as the goal has it.
    pub condition: String,
    /// The measured value: seconds, or a part of the hits.
    pub value: f64,
}

/// A threshold of k6 in a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// The metric and the condition, as k6 names them.
    pub name: String,
    /// Whether the threshold was met.
    pub met: bool,
}

/// An entry of a result file under the key `capacity`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// The settings, once, before the first trial.
    Settings(Settings),
    /// A trial that has ended.
    Trial(Trial),
    /// The measurement ended early, for this reason.
    GivenUp(String),
}

/// A mark of a result file that is about a capacity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Marked {
    /// The entry.
    pub capacity: Note,
}

impl Trial {
    /// The time of the trial, s.
    pub fn seconds(&self) -> f64 {
        self.to_ns.saturating_sub(self.from_ns) as f64 * 1e-9
    }

    /// The part of the hits that failed or weren't made.
    pub fn bad_part(&self) -> f64 {
        let all = (self.hits + self.dropped).max(1);
        (self.failed + self.dropped) as f64 / all as f64
    }
}
