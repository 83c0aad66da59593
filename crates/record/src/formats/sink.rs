//! What takes hits, one file at a time.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::files::{self, Contents};
use crate::{Hit, StringId, Strings};

/// A file that hits are written to, in its format. Both the writer thread and
/// `convert` feed it.
pub trait Sink: Send {
    /// Writes some hits, and leaves nothing in memory that belongs in the file.
    fn hits(&mut self, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError>;

    /// Everything that was there up to that wall-clock instant was handed over.
    fn at_rest(&mut self, _unix_ns: u64) -> Result<(), OutputError> {
        Ok(())
    }

    /// Completes the file: how many bytes it has. `hits_lost` weren't recorded.
    fn finish(&mut self, hits_lost: u64) -> Result<u64, OutputError>;

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

/// The texts behind the numbers in hits: those of a run, or those of a file.
#[derive(Clone, Debug, Default)]
pub struct Texts {
    live: Option<Strings>,
    known: Vec<Option<Arc<str>>>,
}

impl Texts {
    /// The texts of a run, as they come up.
    pub fn of_run(strings: Strings) -> Self {
        Self {
            live: Some(strings),
            known: Vec::new(),
        }
    }

    /// Takes a text that a file holds.
    pub fn insert(&mut self, id: StringId, text: &str) {
        /// A hostile file could ask for all memory.
        const TEXTS_MAX: usize = 1 << 22;
        let place = id.0 as usize;
        if place >= TEXTS_MAX {
            return;
        }
        if place >= self.known.len() {
            self.known.resize(place + 1, None);
        }
        self.known[place] = Some(text.into());
    }

    /// The text of that number; `#number` if damage took it.
    pub fn get(&mut self, id: StringId) -> Arc<str> {
        self.learn(id);
        match self.known.get(id.0 as usize) {
            Some(Some(text)) => Arc::clone(text),
            _ if id.0 == 0 => Arc::from(""),
            _ => format!("#{}", id.0).into(),
        }
    }

    /// All texts from that number on, as far as they are known now.
    pub fn since(&mut self, first: StringId) -> Vec<Arc<str>> {
        self.learn(StringId(u32::MAX));
        let known = self.known.get(first.0 as usize..).unwrap_or_default();
        known
            .iter()
            .map(|text| text.clone().unwrap_or_default())
            .collect()
    }

    fn learn(&mut self, id: StringId) {
        if let Some(strings) = &self.live
            && id.0 as usize >= self.known.len()
        {
            let new = strings.since(StringId(self.known.len() as u32));
            self.known.extend(new.into_iter().map(Some));
        }
    }
}
