//! Go-encarno's binary results: 74-byte records, and a file of strings.
//!
//! A record (little endian): start in unix seconds u32, status u16, error
//! index u16, concurrency u32, then seconds as f64: elapsed, connect, sent,
//! first byte, read; worker u32, label index u16, sent bytes u64, received
//! bytes u64. An index is a line of the strings file, from 1; 0 is empty.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::sink::{OutputError, OutputFile, Sink};
use crate::results::Ending;
use crate::{Hit, StringId, Texts};

/// The length of a record.
pub(super) const RECORD_BYTES: usize = 74;
/// The text for all strings past the last index.
pub const CATCH_ALL: &str = "(more strings than this format can number)";

const LINES_MAX: usize = u16::MAX as usize;
const NS_PER_S: u64 = 1_000_000_000;

/// Go-encarno's binary results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoBinarySettings {
    /// 74-byte records.
    pub file: PathBuf,
    /// Their strings, a line each (`.ostr`).
    pub strings_file: PathBuf,
    /// The input's strings file. Its lines come first, so that input and output use the
    /// same numbers.
    pub input_strings_file: Option<PathBuf>,
}

/// A Go-encarno result file and its strings.
#[derive(Debug)]
pub struct GoBinarySink {
    records: OutputFile,
    strings: OutputFile,
    started_unix_ns: u64,
    lines: HashMap<String, u16>,
    lines_count: usize,
    lines_of: HashMap<StringId, u16>,
    catch_all_count: u64,
}

impl GoBinarySink {
    /// Creates both files.
    pub fn create(settings: &GoBinarySettings, started_unix_ns: u64) -> Result<Self, OutputError> {
        let mut sink = Self {
            records: OutputFile::create(&settings.file)?,
            strings: OutputFile::create(&settings.strings_file)?,
            started_unix_ns,
            lines: HashMap::new(),
            lines_count: 0,
            lines_of: HashMap::from([(StringId(0), 0)]),
            catch_all_count: 0,
        };
        if let Some(path) = &settings.input_strings_file {
            for text in read_lines(path)?.lines() {
                sink.line(text);
            }
        }
        sink.strings.write_out()?;
        Ok(sink)
    }

    fn index(&mut self, id: StringId, texts: &mut Texts) -> u16 {
        if let Some(&line) = self.lines_of.get(&id) {
            return line;
        }
        let text = one_line(&texts.get(id));
        let line = match self.lines.get(&text) {
            Some(&line) => line,
            None => self.line(&text),
        };
        self.lines_of.insert(id, line);
        if usize::from(line) == LINES_MAX {
            self.catch_all_count += 1;
        }
        line
    }

    /// Adds a line to the strings file. The last line with a number is the catch-all.
    fn line(&mut self, text: &str) -> u16 {
        if self.lines_count >= LINES_MAX {
            return u16::MAX;
        }
        self.lines_count += 1;
        let line = self.lines_count as u16;
        let text = if self.lines_count == LINES_MAX {
            CATCH_ALL
        } else {
            text
        };
        self.strings.buffer.extend_from_slice(text.as_bytes());
        self.strings.buffer.push(b'\n');
        self.lines.entry(text.to_owned()).or_insert(line);
        line
    }
}

impl Sink for GoBinarySink {
    fn hits(&mut self, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError> {
        for hit in hits {
            let error = self.index(hit.error, texts);
            let label = self.index(hit.label, texts);
            let record = encode(hit, self.started_unix_ns, error, label);
            self.records.buffer.extend_from_slice(&record);
        }
        // Write strings first: a record must not refer to a missing line.
        self.strings.write_out()?;
        self.records.write_out()
    }

    fn finish(&mut self, _ending: Ending, _texts: &mut Texts) -> Result<u64, OutputError> {
        self.strings.write_out()?;
        self.records.write_out()?;
        Ok(self.strings.bytes() + self.records.bytes())
    }

    fn warning(&self) -> Option<String> {
        (self.catch_all_count > 0).then(|| {
            format!(
                "Go-encarno's format numbers {LINES_MAX} strings: {} further labels and errors are \
                 \"{CATCH_ALL}\" in it; the native format keeps them apart",
                self.catch_all_count
            )
        })
    }
}

/// A hit as a record.
pub(super) fn encode(
    hit: &Hit,
    started_unix_ns: u64,
    error: u16,
    label: u16,
) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        record[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(&(((started_unix_ns + hit.started_ns) / NS_PER_S) as u32).to_le_bytes());
    put(&hit.go_status().to_le_bytes());
    put(&error.to_le_bytes());
    put(&hit.concurrency.to_le_bytes());
    put(&seconds(hit.service_ns()));
    for phase_ns in hit.phases_ns() {
        put(&seconds(phase_ns));
    }
    put(&hit.worker.to_le_bytes());
    put(&label.to_le_bytes());
    put(&hit.sent_bytes.to_le_bytes());
    put(&hit.received_bytes.to_le_bytes());
    record
}

fn seconds(ns: u64) -> [u8; 8] {
    (ns as f64 / NS_PER_S as f64).to_le_bytes()
}

/// The text without line breaks, as the strings file needs it.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn read_lines(path: &PathBuf) -> Result<String, OutputError> {
    let error = |source| OutputError {
        operation: "read",
        path: path.clone(),
        source,
    };
    let mut bytes = Vec::new();
    std::fs::File::open(Path::new(path))
        .and_then(|file| file.take(256 << 20).read_to_end(&mut bytes))
        .map_err(error)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
