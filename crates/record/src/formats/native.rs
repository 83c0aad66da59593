//! Writes the native result file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::sink::{OutputError, OutputFile, Sink};
use crate::exemplar::Exemplar;
use crate::frame::RESULT_MAGIC;
use crate::notes::Notes;
use crate::series::{Measured, OTHER, Points, SERIES_MAX, Series};
use crate::sums::LoopSums;
use crate::{Expected, Hit, StringId, Texts, results};

/// A native result file.
#[derive(Debug)]
pub struct NativeSink {
    file: OutputFile,
    hits: u64,
    strings: u32,
    /// The series of measured times, by metric and label.
    measured: HashMap<(&'static str, StringId), u32>,
}

impl NativeSink {
    /// Creates the file with its description of the run.
    pub fn create(
        path: &Path,
        started_unix_ns: u64,
        loops: u32,
        expected: &Expected,
        settings_text: &str,
    ) -> Result<Self, OutputError> {
        let mut file = OutputFile::create(path)?;
        file.buffer.extend_from_slice(&RESULT_MAGIC);
        results::append_run(
            &mut file.buffer,
            started_unix_ns,
            loops,
            expected,
            settings_text,
        );
        file.write_out()?;
        Ok(Self {
            file,
            hits: 0,
            strings: 0,
            measured: HashMap::new(),
        })
    }

    /// Writes the description of a series, before its first points.
    pub fn series(&mut self, number: u32, series: &Series) -> Result<(), OutputError> {
        results::append_series(&mut self.file.buffer, number, series);
        self.file.write_out()
    }

    /// Writes points, by second (Unix time) and series.
    pub fn points(
        &mut self,
        seconds: &BTreeMap<u64, BTreeMap<u32, Points>>,
    ) -> Result<(), OutputError> {
        results::append_points(&mut self.file.buffer, seconds);
        self.file.write_out()
    }

    /// Writes sums of hits that aren't in the file themselves.
    pub fn sums_alone(&mut self, sums: &LoopSums, texts: &mut Texts) -> Result<(), OutputError> {
        self.append_strings(texts);
        results::append_sums_alone(&mut self.file.buffer, sums);
        self.file.write_out()
    }

    /// Writes frames after the texts that they use.
    pub(crate) fn frames(
        &mut self,
        texts: &mut Texts,
        append: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), OutputError> {
        self.append_strings(texts);
        append(&mut self.file.buffer);
        self.file.write_out()
    }

    /// Closes a file without an end frame, because it isn't complete.
    pub(crate) fn leave(mut self) -> Result<u64, OutputError> {
        self.file.write_out()?;
        Ok(self.file.bytes())
    }

    fn append_strings(&mut self, texts: &mut Texts) {
        let new = texts.since(StringId(self.strings));
        results::append_strings(&mut self.file.buffer, StringId(self.strings), &new);
        self.strings += new.len() as u32;
    }
}

impl Sink for NativeSink {
    fn hits(&mut self, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError> {
        self.hits_of(0, hits, texts)
    }

    fn hits_of(&mut self, number: u32, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError> {
        self.append_strings(texts);
        results::append_hits(&mut self.file.buffer, self.hits, number, hits);
        self.hits += hits.len() as u64;
        self.file.write_out()
    }

    fn sums(&mut self, sums: &LoopSums, texts: &mut Texts) -> Result<(), OutputError> {
        self.append_strings(texts);
        results::append_sums(&mut self.file.buffer, sums);
        self.file.write_out()
    }

    fn mark(&mut self, at_ns: u64, text: &str) -> Result<(), OutputError> {
        results::append_mark(&mut self.file.buffer, at_ns, text);
        self.file.write_out()
    }

    fn exemplars(&mut self, exemplars: &[Exemplar]) -> Result<(), OutputError> {
        results::append_exemplars(&mut self.file.buffer, exemplars);
        self.file.write_out()
    }

    fn measured(&mut self, measured: &Measured, texts: &mut Texts) -> Result<(), OutputError> {
        let mut seconds = BTreeMap::<u64, BTreeMap<u32, Points>>::new();
        for (second, metric, label, points) in measured.sums() {
            let count = self.measured.len();
            let number = match self.measured.get(&(metric, label)) {
                Some(&number) => number,
                None => {
                    // Further labels share a series.
                    let series = match count < SERIES_MAX {
                        true => Measured::series(metric, &texts.get(label)),
                        false => Measured::series(metric, OTHER),
                    };
                    let number = count.min(SERIES_MAX) as u32;
                    results::append_series(&mut self.file.buffer, number, &series);
                    if count < SERIES_MAX {
                        self.measured.insert((metric, label), number);
                    }
                    number
                }
            };
            let of_second = seconds.entry(second).or_default();
            of_second.entry(number).or_default().merge(points);
        }
        self.points(&seconds)
    }

    fn notes(&mut self, notes: &Notes) -> Result<(), OutputError> {
        results::append_notes(&mut self.file.buffer, notes);
        self.file.write_out()
    }

    fn finish(&mut self, ending: results::Ending, _texts: &mut Texts) -> Result<u64, OutputError> {
        results::append_end(&mut self.file.buffer, self.hits, ending);
        self.file.write_out()?;
        Ok(self.file.bytes())
    }
}
