//! What a record asks for beyond being sent, as files have it.

mod json;
mod step;

pub use json::{JsonAssert, JsonExtract, assert_json, extract_json};
pub use step::{Each, Step, StepEnd};

use serde::{Deserialize, Serialize};

/// The script of one record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Script {
    /// Variables to substitute as `${name}` in payload, label and address. An
    /// unknown one becomes `NO_VALUE`.
    pub replaces: Vec<String>,
    /// Variables to set from the answer.
    pub extracts: Vec<Extract>,
    /// What the answer must look like.
    pub asserts: Vec<Assert>,
    /// The pause after the hit, as [`encarno_nib::delay::Delay`] is written.
    pub think: Option<String>,
    /// What follows a hit that failed.
    pub on_fail: OnFail,
    /// Whether a scenario starts here.
    pub scenario: bool,
    /// At most so many redirects are followed; none said = none followed.
    pub follow: Option<u32>,
    /// The hit's own timeout.
    pub timeout_ns: Option<u64>,
    /// Close the connection after the hit.
    pub close: bool,
    /// The first line may have a whole URL once its values are put in: the hit
    /// goes there.
    pub whole_url: bool,
    /// Nothing is sent: the record says where a worker goes on.
    pub step: Option<Box<Step>>,
}

/// A variable that is set from the answer: by a regular expression, or by a JSONPath.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Extract {
    /// The variable.
    pub name: String,
    /// The regular expression; empty with a JSONPath.
    pub regex: String,
    /// Which match, from 0; -1 = a random one; -2 = all, as a list.
    pub match_number: i32,
    /// Which group; 0 = the whole match.
    pub group_number: u32,
    /// The JSONPath, for the body.
    pub jsonpath: Option<String>,
    /// The value without a match; none = `NOT_FOUND`.
    pub default: Option<String>,
    /// What is searched.
    pub subject: Subject,
    /// The value put together from groups, such as `$1$-$2$`.
    pub template: Option<String>,
}

/// What the answer must have, or must not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Assert {
    /// The regular expression, unless there is a text or a JSONPath.
    pub regex: String,
    /// True: it must not match.
    pub invert: bool,
    /// A text that is looked for as it is.
    pub text: Option<String>,
    /// A JSONPath that must find something in the body …
    pub jsonpath: Option<String>,
    /// … and that is this. (Or that the regular expression matches.)
    pub equals: Option<String>,
    /// What is searched.
    pub subject: Subject,
}

/// The part of an answer that is searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Subject {
    /// Head and body.
    #[default]
    Response,
    /// The body, out of its chunks and decompressed.
    Body,
    /// The status line and the headers.
    Headers,
    /// The status, three digits.
    Code,
}

/// What follows a hit without an answer, or with one that isn't as asserted.
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
    /// Whether there is anything left to do once its values are put in.
    pub fn is_more_than_values(&self) -> bool {
        let replaces = self.replaces.clone();
        *self
            != Self {
                replaces,
                ..Self::default()
            }
    }
}
