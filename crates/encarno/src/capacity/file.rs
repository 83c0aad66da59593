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
    let mut gathered = Gathered::default();
    while let Some(block) = reader.next_block().map_err(FileError::of(path))? {
        if let Block::Mark(mark) = block {
            gathered.take(mark.text);
        }
    }
    gathered.finish(path)
}

/// The same, from the texts of its marks.
pub fn of_marks<'a>(
    path: &Path,
    texts: impl Iterator<Item = &'a str>,
) -> Result<Findings, FromError> {
    let mut gathered = Gathered::default();
    texts.for_each(|text| gathered.take(text));
    gathered.finish(path)
}

#[derive(Default)]
struct Gathered(Option<Findings>);

impl Gathered {
    fn take(&mut self, text: &str) {
        // Marks of others are about something else.
        let Ok(marked) = serde_json::from_str::<Marked>(text) else {
            return;
        };
        match (marked.capacity, &mut self.0) {
            (Note::Settings(settings), _) => self.0 = Some(Findings::new(settings)),
            (Note::Trial(trial), Some(findings)) => findings.observe(trial),
            (Note::GivenUp(reason), Some(findings)) => findings.give_up(reason),
            (_, None) => {}
        }
    }

    fn finish(self, path: &Path) -> Result<Findings, FromError> {
        let no_trials = || FromError::NoTrials(path.display().to_string());
        let mut findings = self.0.ok_or_else(no_trials)?;
        findings.end();
        Ok(findings)
    }
}
