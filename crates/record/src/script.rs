//! Scripts of records, as files have them.

mod json;
mod step;

pub use json::{JsonAssert, JsonExtract, assert_json, extract_json};
pub use step::{Each, Step, StepEnd};

use serde::{Deserialize, Serialize};

/// The script of one record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Script {
    /// Variables to fill in as `${name}` in payload, label and address. An unknown one
    /// becomes `NO_VALUE`.
    pub replaces: Vec<String>,
    /// Variables to set from the answer.
    pub extracts: Vec<Extract>,
    /// Checks of the answer.
    pub asserts: Vec<Assert>,
    /// The pause after the hit, in the syntax of [`encarno_nib::delay::Delay`].
    pub think: Option<String>,
    /// What the worker does after a failed hit.
    pub on_fail: OnFail,
    /// Whether a scenario starts with this record.
    pub scenario: bool,
    /// The most redirects to follow; `None` means that no redirect is followed.
    pub follow: Option<u32>,
    /// The hit's own timeout.
    pub timeout_ns: Option<u64>,
    /// Whether the connection is closed after the hit.
    pub close: bool,
    /// Whether the first line may contain a whole URL once its values are filled in; the
    /// hit then goes there.
    pub whole_url: bool,
    /// The step, if the record isn't sent but decides where a worker continues.
    pub step: Option<Box<Step>>,
}

/// A variable that is set from the answer, by a regular expression or a JSONPath.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Extract {
    /// The variable.
    pub name: String,
    /// The regular expression; empty if there is a JSONPath.
    pub regex: String,
    /// The number of the match, from 0; -1 means a random one, -2 all of them as a list.
    pub match_number: i32,
    /// The number of the group; 0 means the whole match.
    pub group_number: u32,
    /// The JSONPath, for the body.
    pub jsonpath: Option<String>,
    /// The value if nothing matches; `None` means `NOT_FOUND`.
    pub default: Option<String>,
    /// The part of the answer that is searched.
    pub subject: Subject,
    /// A template that builds the value from groups, such as `$1$-$2$`.
    pub template: Option<String>,
}

/// A check of the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Assert {
    /// The regular expression, unless there is a text or a JSONPath.
    pub regex: String,
    /// Whether the check holds if the expression doesn't match.
    pub invert: bool,
    /// A literal text to search for.
    pub text: Option<String>,
    /// A JSONPath that must find something in the body.
    pub jsonpath: Option<String>,
    /// The text that the found value must be, or, if it is one, the regular expression
    /// that it must match.
    pub equals: Option<String>,
    /// The part of the answer that is searched.
    pub subject: Subject,
}

/// The part of an answer that is searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// Head and body.
    #[default]
    Response,
    /// The body, without chunked coding and decompressed.
    Body,
    /// The status line and the headers.
    Headers,
    /// The status, three digits.
    Code,
}

/// What a worker does after a hit without an answer, or whose answer breaks an assert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFail {
    /// The next record.
    #[default]
    Continue,
    /// The next record that starts a scenario, or the next pass.
    Next,
    /// The next pass.
    Stop,
}

impl Script {
    /// Whether there is anything left to do once values are filled in.
    pub fn is_more_than_values(&self) -> bool {
        let replaces = self.replaces.clone();
        *self
            != Self {
                replaces,
                ..Self::default()
            }
    }
}
