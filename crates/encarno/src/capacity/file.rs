//! The trials of a result file.

use std::path::Path;

use encarno_record::results::Block;
use encarno_record::results::whole::{self, FileError};

use super::findings::Findings;
use super::trial::{Marked, Note};

/// Why a result file says nothing of a capacity.
#[derive(Debug, thiserror::Error)]
pub enum FromError {
    /// It can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// No trial is in it.
    #[error("{0} has no trials: it isn't of `encarno capacity`, or its first part is missing")]
    NoTrials(String),
}

/// What the trials of a result file say.
pub fn read(path: &Path) -> Result<Findings, FromError> {
    let mut reader = whole::open(path)?;
    let mut findings = None;
    while let Some(block) = reader.next_block().map_err(FileError::of(path))? {
        let Block::Mark(mark) = block else {
            continue;
        };
        // Marks of others are about something else.
        let Ok(marked) = serde_json::from_str::<Marked>(mark.text) else {
            continue;
        };
        match (marked.capacity, &mut findings) {
            (Note::Settings(settings), _) => findings = Some(Findings::new(settings)),
            (Note::Trial(trial), Some(findings)) => findings.observe(trial),
            (Note::GivenUp(reason), Some(findings)) => findings.give_up(reason),
            (_, None) => {}
        }
    }
    let mut findings = findings.ok_or_else(|| FromError::NoTrials(path.display().to_string()))?;
    findings.end();
    Ok(findings)
}
