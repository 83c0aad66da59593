//! The trace (answ log): request and answer of hits with a status from a given one on.
//!
//! For each: the hit as a line of LDJSON, the request's bytes, `\r\n`, the response's
//! bytes, `\r\n`. Bytes that may be secret are replaced by `*`, so that the lengths in
//! the line stay true.

use std::path::PathBuf;

use super::ldjson;
use super::sink::{OutputError, OutputFile};
use crate::files::Contents;
use crate::mask::Shown;
use crate::{Hit, Texts};

/// The settings of a trace: its file, and which hits it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSettings {
    /// The file.
    pub file: PathBuf,
    /// The lowest status that is written: 0 all, 400, 500, 600 or 999 network errors
    /// only, 1000 none. A network error counts as 999.
    pub level: u16,
    /// What is shown in addition to what is always shown.
    pub shown: Shown,
}

/// A hit with its bytes.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The hit.
    pub hit: Hit,
    /// The bytes that were sent.
    pub request: Box<[u8]>,
    /// The bytes that were received.
    pub response: Box<[u8]>,
}

/// A trace file.
#[derive(Debug)]
pub struct TraceFile {
    file: OutputFile,
    started_unix_ns: u64,
    shown: Shown,
}

impl TraceFile {
    /// Creates the file.
    pub fn create(settings: &TraceSettings, started_unix_ns: u64) -> Result<Self, OutputError> {
        let file = OutputFile::create_for(&settings.file, Contents::Requests)?;
        Ok(Self {
            file,
            started_unix_ns,
            shown: settings.shown.clone(),
        })
    }

    /// Writes a hit.
    pub fn write(&mut self, mut trace: Trace, texts: &mut Texts) -> Result<(), OutputError> {
        self.shown.mask(&mut trace.request);
        self.shown.mask(&mut trace.response);
        ldjson::append_line(
            &mut self.file.buffer,
            &trace.hit,
            self.started_unix_ns,
            texts,
        );
        for bytes in [&trace.request, &trace.response] {
            self.file.buffer.extend_from_slice(bytes);
            self.file.buffer.extend_from_slice(b"\r\n");
        }
        self.file.write_out()
    }

    /// The number of bytes written.
    pub fn bytes(&self) -> u64 {
        self.file.bytes()
    }
}
