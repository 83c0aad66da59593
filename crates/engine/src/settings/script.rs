//! What workers do in addition to sending, for the whole run and for hits by label.

use std::path::PathBuf;

use encarno_record::script::Script;

/// Scripting of a run. The default is none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScriptSettings {
    /// Whether each worker keeps cookies from one record to the next.
    pub cookies: bool,
    /// Whether a worker's variables and cookies last from one pass to the next.
    pub same_user: bool,
    /// Rows whose fields become variables.
    pub data: Vec<DataSettings>,
    /// The rules for hits with matching labels.
    pub rules: Vec<RuleSettings>,
    /// The seed of random matches, pauses and rows.
    pub seed: u64,
    /// This share of hits, from 0 to 1, begins a trace: with a header `traceparent`.
    pub traced_share: f64,
}

/// A file of rows; each pass of a worker takes a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSettings {
    /// The file.
    pub file: PathBuf,
    /// The byte between fields.
    pub delimiter: u8,
    /// Whether fields may be quoted by `"`.
    pub quoted: bool,
    /// The names of the variables; empty means that the file's first row has them.
    pub names: Vec<String>,
    /// The order of rows.
    pub order: DataOrder,
}

/// The order of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataOrder {
    /// The next row for whichever worker asks, and after the last row the first again.
    #[default]
    Loop,
    /// A random row.
    Random,
    /// The next row. A worker that finds no row left ends.
    Once,
}

/// A rule for every hit whose label matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSettings {
    /// The expression for the label as the record has it, before values are filled in.
    pub label: String,
    /// The script to add. Extracts and asserts are added to those of the record; think
    /// and follow apply if the record has none.
    pub script: Script,
}
