//! Steps: records that aren't sent, but say where a worker goes on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a worker does at such a record.
///
/// It sets variables, and passes if the one condition that there is holds:
/// then it goes on with the next record, `back`, or to an `end`. If it doesn't
/// pass, it goes on behind `skip` further records. Without any of these it
/// goes there at once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Variables and their values, which may have variables in them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Passes unless the worker has been here in an earlier pass.
    #[serde(skip_serializing_if = "is_false")]
    pub once: bool,
    /// Passes if this condition holds.
    #[serde(rename = "if", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Passes so many times, and then starts to count again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<String>,
    /// Passes once for each value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub each: Option<Each>,
    /// How many records are left out by a worker that doesn't pass.
    #[serde(skip_serializing_if = "is_zero")]
    pub skip: u32,
    /// How many records a worker that passes goes back.
    #[serde(skip_serializing_if = "is_zero")]
    pub back: u32,
    /// What ends for a worker that passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<StepEnd>,
}

/// A variable that has one value after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Each {
    /// The variable.
    pub name: String,
    /// The list that an extract of all matches set …
    pub of: String,
    /// … or else, if there is none, these variables, up to the first without a value.
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
