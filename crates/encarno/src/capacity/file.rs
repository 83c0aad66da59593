//! The trials of a result file.

use std::path::Path;

use encarno_record::results::Block;
use encarno_record::results::whole::{self, FileError};

use super::findings::Findings;
use super::trial::{Marked, Note};

/// Why a result file has no measurement of a capacity.
#[derive(Debug, thiserror::Error)]
pub enum FromError {
    /// The file can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file has no trial.
    #[error("{0} has no trials: `encarno capacity` didn't write it, or its first part is missing")]
    NoTrials(String),
}

/// Reads the trials of a result file.
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

/// Reads the trials from the texts of a result file's marks.
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
        // Other marks are about other subjects.
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
