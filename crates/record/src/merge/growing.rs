//! Merges result files while they grow.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::{MergeError, Merging, Numbering};
use crate::formats::{NativeSink, Sink as _};
use crate::notes::Notes;
use crate::results::{Ending, ResultReader, ResultsError};

/// Merges files while they grow, for those who look at a run that goes on. The merged file
/// has what [`super::merge`] would write, in the order in which it came.
#[derive(Debug)]
pub struct Growing {
    out: PathBuf,
    parts: Vec<Part>,
    merging: Option<Merging>,
}

#[derive(Debug)]
struct Part {
    path: PathBuf,
    reader: Option<ResultReader<File>>,
    numbering: Option<Numbering>,
    is_given_up: bool,
}

impl Part {
    /// Opens the file, if it has begun.
    fn open(&mut self) -> Result<(), MergeError> {
        if self.reader.is_some() {
            return Ok(());
        }
        let Ok(file) = File::open(&self.path) else {
            return Ok(());
        };
        match ResultReader::new(file) {
            Ok(reader) => self.reader = Some(reader),
            // Its start isn't whole yet.
            Err(ResultsError::Magic | ResultsError::Run) => {}
            Err(error) => return Err(super::FileError::of(&self.path)(error).into()),
        }
        Ok(())
    }
}

impl Growing {
    /// Merges these files into `out`. Neither `out` nor the files need to exist.
    pub fn new(parts: impl IntoIterator<Item = PathBuf>, out: &Path) -> Self {
        let part = |path| Part {
            path,
            reader: None,
            numbering: None,
            is_given_up: false,
        };
        Self {
            out: out.to_owned(),
            parts: parts.into_iter().map(part).collect(),
            merging: None,
        }
    }

    /// Takes what the files have by now. The merged file begins when all of them have begun
    /// or, with `without_others`, when one of them has.
    pub fn take(&mut self, without_others: bool) -> Result<(), MergeError> {
        for part in &mut self.parts {
            part.open()?;
        }
        if self.merging.is_none() {
            self.merging = self.begin(without_others)?;
        }
        let Some(merging) = &mut self.merging else {
            return Ok(());
        };
        for part in &mut self.parts {
            if let Some(reader) = &mut part.reader {
                let numbering = part
                    .numbering
                    .get_or_insert_with(|| merging.numbering(reader));
                merging.take(reader, &part.path, numbering)?;
            }
        }
        Ok(())
    }

    /// Waits no more for this file. All its event loops have ended, as far as others know.
    pub fn give_up(&mut self, path: &Path) -> Result<(), MergeError> {
        let part = self.parts.iter_mut().find(|part| part.path == path);
        let (Some(merging), Some(part)) = (&mut self.merging, part) else {
            return Ok(());
        };
        if let Some(numbering) = part.numbering.as_mut().filter(|_| !part.is_given_up) {
            part.is_given_up = true;
            merging.give_up(numbering)?;
        }
        Ok(())
    }

    fn begin(&self, without_others: bool) -> Result<Option<Merging>, MergeError> {
        let begun: Vec<_> = self
            .parts
            .iter()
            .filter_map(|part| part.reader.as_ref())
            .collect();
        let Some(first) = begun.iter().min_by_key(|reader| reader.started_unix_ns()) else {
            return Ok(None);
        };
        if begun.len() < self.parts.len() && !without_others {
            return Ok(None);
        }
        let loops = begun.iter().map(|reader| reader.loops());
        let loops = loops.fold(0, u32::saturating_add);
        let started_unix_ns = first.started_unix_ns();
        let (expected, settings) = (first.expected(), first.settings_text());
        let sink = NativeSink::create(&self.out, started_unix_ns, loops, &expected, settings)?;
        Ok(Some(Merging::new(sink, started_unix_ns)))
    }

    /// Takes the rest, and completes the merged file with the notes of the whole run. There is
    /// no merged file if no file has begun.
    pub fn finish(mut self, notes: &Notes) -> Result<(), MergeError> {
        self.take(true)?;
        let Some(mut merging) = self.merging else {
            return Ok(());
        };
        merging.sink.notes(notes)?;
        let ending = Ending {
            hits_lost: 0,
            span_ns: merging.span_ns,
        };
        merging.sink.finish(ending, &mut merging.texts)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use std::fs;
    use std::io::Write as _;
    use std::path::Path;

    use super::Growing;
    use crate::formats::{NativeSink, Sink as _};
    use crate::merge::{self, End, Part};
    use crate::results::{Ending, whole};
    use crate::sums::{LoopSums, Summing};
    use crate::{Expected, Hit, Strings, Texts};

    const STARTED: u64 = 1_700_000_000_000_000_000;

    /// A file of 500 hits.
    fn made(path: &Path, started_unix_ns: u64, label: &str) {
        let strings = Strings::default();
        let mut texts = Texts::of_run(strings.clone());
        let label = strings.intern(label);
        let expected = Expected::default();
        let mut sink = NativeSink::create(path, started_unix_ns, 1, &expected, "").unwrap();
        let hit = |number: u64| Hit {
            label,
            scheduled_ns: number * 10_000_000,
            started_ns: number * 10_000_000 + 50,
            ended_ns: number * 10_000_000 + number * 3_000,
            protocol_code: 200,
            ..Hit::default()
        };
        let hits: Vec<_> = (1..=500).map(hit).collect();
        let mut summing = Summing::new(started_unix_ns);
        summing.record_all(&hits);
        sink.hits(&hits, &mut texts).unwrap();
        let sums = LoopSums {
            until_ns: u64::MAX,
            hits_covered: 500,
            seconds: summing.take(),
            ..LoopSums::default()
        };
        sink.sums(&sums, &mut texts).unwrap();
        let ending = Ending {
            hits_lost: 0,
            span_ns: 5_500_000_000,
        };
        sink.finish(ending, &mut texts).unwrap();
    }

    /// Two files come in pieces that cut frames anywhere; the third one never comes.
    #[test]
    fn files_that_come_in_pieces_are_merged_as_whole_ones_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        made(&path("a"), STARTED + 1_500_000_000, "one");
        made(&path("b"), STARTED, "two");
        let parts = ["a", "b"].map(|name| Part::of(&path(name)));
        let merged = merge::merge(&parts, &path("whole.enc"), |_| End::Whole).unwrap();
        let names = ["a.part", "b.part", "c.part"].map(path);
        let mut growing = Growing::new(names, &path("grown.enc"));
        growing.take(true).unwrap();
        let pieces = [1_000, 7, 400, 90_000];
        let (one, two) = (fs::read(path("a")).unwrap(), fs::read(path("b")).unwrap());
        for (bytes, name) in [(&one, "a.part"), (&two, "b.part")] {
            let mut rest = &bytes[..];
            let mut file = fs::File::create(path(name)).unwrap();
            for length in pieces.iter().cycle() {
                let (piece, later) = rest.split_at((*length).min(rest.len()));
                file.write_all(piece).unwrap();
                growing.take(false).unwrap();
                assert!(!path("grown.enc").exists(), "a file is awaited");
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
        }
        growing.take(true).unwrap();
        growing.finish(&merged.notes).unwrap();
        let read = |name| whole::read(&path(name)).unwrap();
        let (whole, grown) = (read("whole.enc"), read("grown.enc"));
        assert_eq!(whole.statistics.total().hits, 1_000);
        assert_eq!(grown.statistics.total(), whole.statistics.total());
        assert_eq!(grown.span_ns(), whole.span_ns());
        assert!(grown.summary.ended && whole.summary.ended);
    }
}
