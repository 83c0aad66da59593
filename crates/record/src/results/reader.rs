//! Reads a native result file block by block, whatever state it is in.

use std::fmt;
use std::io::{self, Read};

use super::{HIT_BYTES, KIND_END, KIND_HITS, KIND_RUN, KIND_STRINGS, SCHEMA_VERSION, decode};
use crate::frame::{Damage, FrameReader, RESULT_MAGIC};
use crate::{Hit, StringId};

/// A block of a result file.
#[derive(Clone, Copy, Debug)]
pub enum Block<'a> {
    /// Texts, numbered from the first on.
    Strings(Texts<'a>),
    /// Hits.
    Hits(Hits<'a>),
    /// The file is whole.
    End,
}

/// The texts of a block.
#[derive(Clone, Copy, Debug)]
pub struct Texts<'a> {
    first: u32,
    bytes: &'a [u8],
}

/// The hits of a block.
#[derive(Clone, Copy, Debug)]
pub struct Hits<'a> {
    first: u64,
    hits: &'a [[u8; HIT_BYTES]],
}

impl<'a> Texts<'a> {
    /// Each text with its number.
    pub fn iter(self) -> impl Iterator<Item = (StringId, String)> + 'a {
        let mut bytes = self.bytes;
        let mut number = self.first;
        std::iter::from_fn(move || {
            let (length, rest) = bytes.split_first_chunk::<4>()?;
            let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            bytes = rest;
            let id = StringId(number);
            number = number.checked_add(1)?;
            Some((id, String::from_utf8_lossy(text).into_owned()))
        })
    }
}

impl<'a> Hits<'a> {
    /// Each hit.
    pub fn iter(self) -> impl Iterator<Item = Hit> + 'a {
        self.hits.iter().map(decode)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.hits.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }
}

/// Why a file isn't read.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The operating system said no.
    #[error("can't read the results: {0}")]
    Read(#[from] io::Error),
    /// Another kind of file.
    #[error("this isn't a native result file: it doesn't start with encarno's mark")]
    Magic,
    /// The first block, which says which run it is, is missing or broken.
    #[error("the result file's first block is missing or damaged")]
    Run,
    /// Written by a later version.
    #[error("the result file has schema version {0}; this version reads up to {SCHEMA_VERSION}")]
    Schema(u32),
}

/// What a file held, and what of it was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResultSummary {
    /// Hits that were read.
    pub hits: u64,
    /// Hits that the file had and that damage took, as far as known.
    pub hits_damaged: u64,
    /// Hits that the run made and couldn't record (in a whole file).
    pub hits_lost: u64,
    /// Whether the file is whole.
    pub ended: bool,
    /// Bytes after the last complete block.
    pub incomplete_bytes: u64,
    /// Damage in between.
    pub damage: Damage,
}

impl ResultSummary {
    /// Whether all that the run recorded was read.
    pub fn is_whole(&self) -> bool {
        self.ended && self.damage.places == 0 && self.hits_damaged == 0 && self.hits_lost == 0
    }
}

impl fmt::Display for ResultSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hits read", self.hits)?;
        if !self.ended {
            write!(
                f,
                "; the file has no end: its writer was stopped, or it is still running"
            )?;
        }
        if self.incomplete_bytes > 0 {
            write!(
                f,
                "; {} bytes after the last complete block",
                self.incomplete_bytes
            )?;
        }
        if self.damage.places > 0 {
            write!(f, "; {}", self.damage)?;
        }
        if self.hits_damaged > 0 {
            write!(f, "; {} hits lost to damage", self.hits_damaged)?;
        }
        if self.hits_lost > 0 {
            write!(
                f,
                "; {} hits were never recorded: the writer fell behind",
                self.hits_lost
            )?;
        }
        Ok(())
    }
}

/// Reads a result file.
#[derive(Debug)]
pub struct ResultReader<R> {
    frames: FrameReader<R>,
    started_unix_ns: u64,
    settings_text: String,
    summary: ResultSummary,
    next_hit: u64,
}

impl<R: Read> ResultReader<R> {
    /// Reads the start of the file.
    pub fn new(mut source: R) -> Result<Self, ResultsError> {
        let mut magic = [0; RESULT_MAGIC.len()];
        match source.read_exact(&mut magic) {
            Ok(()) if magic == RESULT_MAGIC => {}
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error.into()),
            _ => return Err(ResultsError::Magic),
        }
        let mut frames = FrameReader::new(source);
        let (started_unix_ns, settings_text) = match frames.next_frame()? {
            Some(frame) if frame.kind == KIND_RUN => run(frame.payload)?,
            _ => return Err(ResultsError::Run),
        };
        let summary = ResultSummary::default();
        Ok(Self {
            frames,
            started_unix_ns,
            settings_text,
            summary,
            next_hit: 0,
        })
    }

    /// The wall clock when the run started.
    pub fn started_unix_ns(&self) -> u64 {
        self.started_unix_ns
    }

    /// The settings of the run.
    pub fn settings_text(&self) -> &str {
        &self.settings_text
    }

    /// The next block; none at the end of what is there now.
    pub fn next_block(&mut self) -> io::Result<Option<Block<'_>>> {
        let Some(frame) = self.frames.next_frame()? else {
            return Ok(None);
        };
        let payload = frame.payload;
        Ok(Some(match (frame.kind, payload.split_first_chunk::<8>()) {
            (KIND_HITS, Some((first, hits))) => {
                let first = u64::from_le_bytes(*first);
                let (hits, _) = hits.as_chunks::<HIT_BYTES>();
                self.summary.hits_damaged += first.saturating_sub(self.next_hit);
                self.next_hit = first.saturating_add(hits.len() as u64);
                self.summary.hits += hits.len() as u64;
                Block::Hits(Hits { first, hits })
            }
            (KIND_END, Some((hits, rest))) => {
                let hits = u64::from_le_bytes(*hits);
                self.summary.ended = true;
                self.summary.hits_damaged += hits.saturating_sub(self.next_hit);
                self.next_hit = hits;
                let lost = rest.first_chunk::<8>().copied().unwrap_or_default();
                self.summary.hits_lost = u64::from_le_bytes(lost);
                Block::End
            }
            (KIND_STRINGS, _) => match payload.split_first_chunk::<4>() {
                Some((first, bytes)) => Block::Strings(Texts {
                    first: u32::from_le_bytes(*first),
                    bytes,
                }),
                None => Block::Strings(Texts {
                    first: 0,
                    bytes: &[],
                }),
            },
            // A kind of a later version: nothing that this one needs.
            _ => Block::Strings(Texts {
                first: 0,
                bytes: &[],
            }),
        }))
    }

    /// What was read up to now, and what was lost.
    pub fn summary(&self) -> ResultSummary {
        ResultSummary {
            damage: self.frames.damage(),
            incomplete_bytes: self.frames.incomplete_bytes(),
            ..self.summary
        }
    }
}

impl Hits<'_> {
    /// The number of the first, from the start of the run.
    pub fn first(&self) -> u64 {
        self.first
    }
}

fn run(payload: &[u8]) -> Result<(u64, String), ResultsError> {
    let (version, rest) = payload.split_first_chunk::<4>().ok_or(ResultsError::Run)?;
    let (started, settings) = rest.split_first_chunk::<8>().ok_or(ResultsError::Run)?;
    match u32::from_le_bytes(*version) {
        SCHEMA_VERSION => Ok((
            u64::from_le_bytes(*started),
            String::from_utf8_lossy(settings).into_owned(),
        )),
        version => Err(ResultsError::Schema(version)),
    }
}
