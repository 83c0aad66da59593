//! The trait of files that take hits.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::exemplar::Exemplar;
use crate::files::{self, Contents};
use crate::notes::Notes;
use crate::results::Ending;
use crate::series::Measured;
use crate::sums::LoopSums;
use crate::{Hit, Texts};

/// A file that takes hits in its format. Both the writer thread and `convert` use it.
pub trait Sink: Send {
    /// Writes hits, and keeps nothing in memory that belongs in the file.
    fn hits(&mut self, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError>;

    /// Writes hits of one event loop.
    fn hits_of(
        &mut self,
        _number: u32,
        hits: &[Hit],
        texts: &mut Texts,
    ) -> Result<(), OutputError> {
        self.hits(hits, texts)
    }

    /// Takes sums of one event loop, after all hits that belong to them.
    fn sums(&mut self, _sums: &LoopSums, _texts: &mut Texts) -> Result<(), OutputError> {
        Ok(())
    }

    /// Takes a mark about an instant, ns from the run's start. Most formats can't store
    /// it.
    fn mark(&mut self, _at_ns: u64, _text: &str) -> Result<(), OutputError> {
        Ok(())
    }

    /// Takes hits that took part in traces.
    fn exemplars(&mut self, _exemplars: &[Exemplar]) -> Result<(), OutputError> {
        Ok(())
    }

    /// Takes times that were measured beside hits. Most formats can't store them.
    fn measured(&mut self, _measured: &Measured, _texts: &mut Texts) -> Result<(), OutputError> {
        Ok(())
    }

    /// Takes what is known of the run beside its hits.
    fn notes(&mut self, _notes: &Notes) -> Result<(), OutputError> {
        Ok(())
    }

    /// Tells that every hit that ended before this instant of the wall clock was handed
    /// over.
    fn at_rest(&mut self, _unix_ns: u64, _texts: &mut Texts) -> Result<(), OutputError> {
        Ok(())
    }

    /// Completes the file, and returns its length in bytes.
    fn finish(&mut self, ending: Ending, texts: &mut Texts) -> Result<u64, OutputError>;

    /// A warning for readers of the file.
    fn warning(&self) -> Option<String> {
        None
    }
}

/// Why an output can't be opened or written.
#[derive(Debug, thiserror::Error)]
#[error("can't {operation} {path}: {source}", path = path.display())]
pub struct OutputError {
    /// The operation that failed: `create`, `write`, …
    pub operation: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

impl OutputError {
    /// Whether the reader of the output has closed it, which isn't a failure.
    pub fn is_broken_pipe(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }
}

/// A file that is written in complete pieces.
#[derive(Debug)]
pub struct OutputFile {
    /// Append here, then call [`OutputFile::write_out`].
    pub buffer: Vec<u8>,
    path: PathBuf,
    file: File,
    bytes: u64,
    /// Whether the file was created by this program, so that it may be truncated.
    is_own: bool,
}

impl OutputFile {
    /// Creates the file, or empties it. `-` is the standard output.
    pub fn create(path: &Path) -> Result<Self, OutputError> {
        Self::create_for(path, Contents::Results)
    }

    /// Creates the file, or empties it; only its owner may read a file with requests.
    pub fn create_for(path: &Path, contents: Contents) -> Result<Self, OutputError> {
        let file = files::create(path, contents).map_err(|source| OutputError {
            operation: "create",
            path: path.into(),
            source,
        })?;
        Ok(Self {
            buffer: Vec::new(),
            path: path.into(),
            file,
            bytes: 0,
            is_own: !files::is_stdout(path) && path != Path::new("/dev/stderr"),
        })
    }

    /// Writes the buffer. If that fails in the middle, the file is truncated to the last
    /// complete piece.
    pub fn write_out(&mut self) -> Result<(), OutputError> {
        if let Err(error) = self.file.write_all(&self.buffer) {
            if self.is_own {
                // The first error matters; a pipe can't be truncated.
                let _ = self.file.set_len(self.bytes);
            }
            return Err(self.error("write", error));
        }
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// The number of bytes written.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// An error about this file.
    pub fn error(&self, operation: &'static str, source: io::Error) -> OutputError {
        OutputError {
            operation,
            path: self.path.clone(),
            source,
        }
    }
}
