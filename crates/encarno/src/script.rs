//! What a record asks for beyond being sent: values in, values out, checks.
//!
//! The input parses it (Go-encarno's `replaces`, `extracts` and `asserts`);
//! the workers act on it.

use serde::{Deserialize, Serialize};

/// The script of one record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Script {
    /// Variables to substitute as `${name}` in payload, label and address. An
    /// unknown one becomes `NO_VALUE`.
    pub replaces: Vec<String>,
    /// Variables to set from the answer.
    pub extracts: Vec<Extract>,
    /// What the answer must look like.
    pub asserts: Vec<Assert>,
}

/// A variable that is set from the bytes of the answer; `NOT_FOUND` without a match.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Extract {
    /// The variable.
    pub name: String,
    /// The regular expression.
    pub regex: String,
    /// Which match, from 0; -1 = a random one.
    pub match_number: i32,
    /// Which group; 0 = the whole match.
    pub group_number: u32,
}

/// An expression that the bytes of the answer must match, or must not.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Assert {
    /// The regular expression.
    pub regex: String,
    /// True: it must not match.
    pub invert: bool,
}
