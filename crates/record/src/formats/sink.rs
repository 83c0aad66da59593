//! What takes hits, one file at a time.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::exemplar::Exemplar;
use crate::files::{self, Contents};
use crate::notes::Notes;
use crate::results::Ending;
use crate::sums::LoopSums;
use crate::{Hit, Texts};

/// A file that hits are written to, in its format. Both the writer thread and
/// `convert` feed it.
pub trait Sink: Send {
    /// Writes some hits, and leaves nothing in memory that belongs in the file.
    fn hits(&mut self, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError>;

    /// The same, of hits that came from one event loop.
    fn hits_of(
        &mut self,
        _number: u32,
        hits: &[Hit],
        texts: &mut Texts,
    ) -> Result<(), OutputError> {
        self.hits(hits, texts)
    }

    /// Takes sums of hits of one event loop; all that belong to them came before.
    fn sums(&mut self, _sums: &LoopSums, _texts: &mut Texts) -> Result<(), OutputError> {
        Ok(())
    }

    /// Takes what somebody wants to be known of that instant, ns from the run's
    /// start. Most formats have no place for it.
    fn mark(&mut self, _at_ns: u64, _text: &str) -> Result<(), OutputError> {
        Ok(())
    }

    /// Takes hits that took part in traces.
    fn exemplars(&mut self, _exemplars: &[Exemplar]) -> Result<(), OutputError> {
        Ok(())
    }

    /// Takes what is known of the run beside its hits.
    fn notes(&mut self, _notes: &Notes) -> Result<(), OutputError> {
        Ok(())
    }

    /// Every hit that ended before that wall-clock instant was handed over.
    fn at_rest(&mut self, _unix_ns: u64, _texts: &mut Texts) -> Result<(), OutputError> {
        Ok(())
    }

    /// Completes the file: how many bytes it has.
    fn finish(&mut self, ending: Ending, texts: &mut Texts) -> Result<u64, OutputError>;

    /// What a reader of the file must know.
    fn warning(&self) -> Option<String> {
        None
    }
}

/// An output that can't be opened or written.
#[derive(Debug, thiserror::Error)]
#[error("can't {operation} {path}: {source}", path = path.display())]
pub struct OutputError {
    /// What was tried: `create`, `write`, …
    pub operation: &'static str,
    /// The file.
    pub path: PathBuf,
    /// Why not.
    #[source]
    pub source: io::Error,
}

impl OutputError {
    /// Whether nobody reads the output any more: a reader that has seen enough
    /// is no failure.
    pub fn is_broken_pipe(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }
}

/// A file to which whole pieces are written.
#[derive(Debug)]
pub struct OutputFile {
    /// Append here, then call [`OutputFile::write_out`].
    pub buffer: Vec<u8>,
    path: PathBuf,
    file: File,
    bytes: u64,
    /// The file is ours from its start, so that it may be cut.
    is_own: bool,
}

impl OutputFile {
    /// Creates the file, or empties it. `-` is the standard output.
    pub fn create(path: &Path) -> Result<Self, OutputError> {
        Self::create_for(path, Contents::Results)
    }

    /// The same; nobody but its owner reads a file with requests.
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

    /// Writes the buffer. If that fails in the middle, the file is cut back to
    /// the last whole piece.
    pub fn write_out(&mut self) -> Result<(), OutputError> {
        if let Err(error) = self.file.write_all(&self.buffer) {
            if self.is_own {
                // The error that matters is the first one; a pipe can't be cut.
                let _ = self.file.set_len(self.bytes);
            }
            return Err(self.error("write", error));
        }
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Bytes written.
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
