//! The native result file, as the writer writes it.

use std::path::Path;

use super::sink::{OutputError, OutputFile, Sink, Texts};
use crate::frame::RESULT_MAGIC;
use crate::{Hit, StringId, results};

/// A native result file.
#[derive(Debug)]
pub struct NativeSink {
    file: OutputFile,
    hits: u64,
    strings: u32,
}

impl NativeSink {
    /// Creates the file and says in it which run this is.
    pub fn create(
        path: &Path,
        started_unix_ns: u64,
        settings_text: &str,
    ) -> Result<Self, OutputError> {
        let mut file = OutputFile::create(path)?;
        file.buffer.extend_from_slice(&RESULT_MAGIC);
        results::append_run(&mut file.buffer, started_unix_ns, settings_text);
        file.write_out()?;
        Ok(Self {
            file,
            hits: 0,
            strings: 0,
        })
    }
}

impl Sink for NativeSink {
    fn hits(&mut self, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError> {
        let new = texts.since(StringId(self.strings));
        results::append_strings(&mut self.file.buffer, StringId(self.strings), &new);
        self.strings += new.len() as u32;
        results::append_hits(&mut self.file.buffer, self.hits, hits);
        self.hits += hits.len() as u64;
        self.file.write_out()
    }

    fn finish(&mut self, hits_lost: u64) -> Result<u64, OutputError> {
        results::append_end(&mut self.file.buffer, self.hits, hits_lost);
        self.file.write_out()?;
        Ok(self.file.bytes())
    }
}
