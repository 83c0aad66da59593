//! Records from files: recognised, read ahead in large blocks, never whole.

use std::path::PathBuf;

use crate::hit::Record;
use crate::settings::InputSettings;
use crate::strings::Strings;

/// Opens the input. The result is an endless or bounded stream of records, as
/// the settings say; broken ones come as data between the good ones. Read it
/// on a thread of its own; open it once for each worker if it isn't shared.
pub fn open(settings: &InputSettings, strings: &Strings) -> Result<Input, InputError> {
    let _ = (settings, strings);
    Ok(Input {})
}

/// The records of an input.
#[derive(Debug)]
pub struct Input {}

impl Iterator for Input {
    type Item = Result<Record, BadRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

/// A record that can't be used: skipped, counted, reported.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}, offset {offset}: {reason}", file = file.display())]
pub struct BadRecord {
    /// The file.
    pub file: PathBuf,
    /// Where the record starts in it (decompressed, if it is compressed).
    pub offset: u64,
    /// What is wrong with it.
    pub reason: String,
    /// Whether the input ends here, because nothing after it can be read.
    pub fatal: bool,
}

/// An input that can't be opened or recognised.
#[derive(Debug, thiserror::Error)]
#[error("can't {operation} {file}: {reason}", file = file.display())]
pub struct InputError {
    /// What was tried: `open`, `recognise`, `read`.
    pub operation: &'static str,
    /// The file.
    pub file: PathBuf,
    /// Why not, and the way out.
    pub reason: String,
}
