//! Steps: records that aren't sent, but decide where a worker continues.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a worker does at a step.
///
/// The worker sets variables, and passes if the step's one condition holds. If it passes,
/// it goes on with the next record, `back`, or to an `end`. If not, it skips `skip`
/// further records. Without a condition, it skips them, unless there is a `back` or an `end`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Variables and their values, which may contain variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Passes unless the worker was here in an earlier pass.
    #[serde(skip_serializing_if = "is_false")]
    pub once: bool,
    /// Passes if this condition holds.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Passes this number of times, and then starts to count again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<String>,
    /// Passes once for each value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<Each>,
    /// How many records a worker skips that doesn't pass.
    #[serde(skip_serializing_if = "is_zero")]
    pub skip: u32,
    /// How many records a worker that passes goes back.
    #[serde(skip_serializing_if = "is_zero")]
    pub back: u32,
    /// What ends for a worker that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<StepEnd>,
}

/// A variable that gets one value after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Each {
    /// The variable.
    pub name: String,
    /// The list that an extract of all matches has set.
    pub of: String,
    /// If there is no list, these variables, up to the first without a value.
    #[serde(default)]
    pub items: Vec<String>,
}

/// What ends at a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepEnd {
    /// This pass of the worker.
    Pass,
    /// The worker.
    Worker,
}

fn is_false(value: &bool) -> bool {
    !value
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}
