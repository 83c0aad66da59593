//! What workers do beside sending: for the whole run, and for hits by label.

use std::path::PathBuf;

use encarno_record::script::Script;

/// Scripting of a run. The default is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScriptSettings {
    /// Each worker keeps cookies, from one record to the next.
    pub cookies: bool,
    /// A worker's variables and cookies last from one pass to the next.
    pub same_user: bool,
    /// Rows whose fields become variables.
    pub data: Vec<DataSettings>,
    /// What holds for every hit whose label matches.
    pub rules: Vec<RuleSettings>,
    /// The seed of what is random: matches, pauses, rows.
    pub seed: u64,
    /// This share of hits, from 0 to 1, begins a trace: with a header `traceparent`.
    pub traced_share: f64,
}

/// A file of rows; each pass of a worker takes a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSettings {
    /// The file.
    pub file: PathBuf,
    /// What stands between fields.
    pub delimiter: u8,
    /// Whether fields may be quoted by `"`.
    pub quoted: bool,
    /// The variables; empty = the file's first row names them.
    pub names: Vec<String>,
    /// Which row comes next.
    pub order: DataOrder,
}

/// Which row comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataOrder {
    /// The following one, from whichever worker asks, and the first after the last.
    #[default]
    Loop,
    /// Any.
    Random,
    /// The following one; a worker that finds none left ends.
    Once,
}

/// What holds for every hit whose label matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSettings {
    /// The expression for the label, as the record has it (before values are put in).
    pub label: String,
    /// What is added: extracts and asserts to those of the record; think and
    /// follow where the record has none.
    pub script: Script,
}
