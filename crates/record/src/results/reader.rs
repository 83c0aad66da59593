//! Reads a native result file block by block, also a damaged or growing one.

use std::fmt;
use std::io::{self, Read};

use super::{
    HIT_BYTES, KIND_END, KIND_HITS, KIND_MARK, KIND_NOTES, KIND_POINTS, KIND_RUN, KIND_SERIES,
    KIND_STRINGS, SCHEMA_VERSION, decode,
};
use crate::frame::{Damage, FrameReader, RESULT_MAGIC};
use crate::notes::Notes;
use crate::series::Metrics;
use crate::statistics::{counted, was};
use crate::{Expected, Hit, StringId, Texts};

/// A block of a result file.
#[derive(Clone, Copy, Debug)]
pub enum Block<'a> {
    /// Texts, numbered from the first one.
    Strings(TextBlock<'a>),
    /// Hits.
    Hits(Hits<'a>),
    /// A mark.
    Mark(Mark<'a>),
    /// A frame that only [`super::SumsReader`] or a later version uses.
    Other,
    /// The end frame: the file is complete.
    End,
}

/// The texts of a block.
#[derive(Clone, Copy, Debug)]
pub struct TextBlock<'a> {
    first: u32,
    bytes: &'a [u8],
}

impl<'a> TextBlock<'a> {
    /// The texts of a frame's payload.
    pub(super) fn of(payload: &'a [u8]) -> Self {
        let (first, bytes) = payload.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
        Self {
            first: u32::from_le_bytes(*first),
            bytes,
        }
    }
}

/// The hits of a block.
#[derive(Clone, Copy, Debug)]
pub struct Hits<'a> {
    first: u64,
    number: u32,
    hits: &'a [[u8; HIT_BYTES]],
}

impl<'a> Hits<'a> {
    /// The hits of a frame's payload; `None` if it is too short.
    pub(super) fn of(payload: &'a [u8], version: u32) -> Option<Self> {
        let (first, rest) = payload.split_first_chunk::<8>()?;
        let (number, rest) = match version {
            1 => (0, rest),
            _ => {
                let (number, rest) = rest.split_first_chunk::<4>()?;
                (u32::from_le_bytes(*number), rest)
            }
        };
        Some(Self {
            first: u64::from_le_bytes(*first),
            number,
            hits: rest.as_chunks::<HIT_BYTES>().0,
        })
    }
}

/// A mark about an instant of the run.
#[derive(Clone, Copy, Debug)]
pub struct Mark<'a> {
    /// ns from the run's start.
    pub at_ns: u64,
    /// A JSON object whose keys name its subject.
    pub text: &'a str,
}

impl<'a> Mark<'a> {
    /// The mark of a frame's payload; `None` if it isn't one.
    pub(super) fn of(payload: &'a [u8]) -> Option<Self> {
        let (at_ns, text) = payload.split_first_chunk::<8>()?;
        Some(Self {
            at_ns: u64::from_le_bytes(*at_ns),
            text: str::from_utf8(text).ok()?,
        })
    }
}

impl<'a> TextBlock<'a> {
    /// Adds the texts to the known ones.
    pub fn add_to(self, texts: &mut Texts) {
        for (id, text) in self.iter() {
            texts.insert(id, &text);
        }
    }

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

    /// The number of hits.
    pub fn len(&self) -> usize {
        self.hits.len()
    }

    /// Whether there are no hits.
    pub fn is_empty(&self) -> bool {
        self.hits.is_empty()
    }
}

/// Why a file can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// An operating system error.
    #[error("can't read the results: {0}")]
    Read(#[from] io::Error),
    /// The file is of another kind.
    #[error("this isn't a native result file: it doesn't start with encarno's mark")]
    Magic,
    /// The first frame, which describes the run, is missing or broken.
    #[error("the result file's first block is missing or damaged")]
    Run,
    /// A later version wrote the file.
    #[error("the result file has schema version {0}; this version reads up to {SCHEMA_VERSION}")]
    Schema(u32),
}

/// How much of a file was read, and how much was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResultSummary {
    /// Hits that were read.
    pub hits: u64,
    /// Hits of the file that damage destroyed, as far as known.
    pub hits_damaged: u64,
    /// Hits that the run made but didn't record (known for a complete file).
    pub hits_lost: u64,
    /// Whether the file has an end frame.
    pub ended: bool,
    /// Bytes after the last complete frame.
    pub incomplete_bytes: u64,
    /// Damage between frames.
    pub damage: Damage,
}

impl ResultSummary {
    /// Adds another file.
    pub fn merge(&mut self, other: &Self) {
        self.hits += other.hits;
        self.hits_damaged += other.hits_damaged;
        self.hits_lost += other.hits_lost;
        self.ended &= other.ended;
        self.incomplete_bytes += other.incomplete_bytes;
        if self.damage.places == 0 {
            self.damage.first_offset = other.damage.first_offset;
        }
        self.damage.places += other.damage.places;
        self.damage.bytes += other.damage.bytes;
    }

    /// Whether everything that the run recorded was read.
    pub fn is_whole(&self) -> bool {
        self.ended && self.damage.places == 0 && self.hits_damaged == 0 && self.hits_lost == 0
    }
}

impl fmt::Display for ResultSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} read", counted(self.hits, "hit"))?;
        if !self.ended {
            write!(
                f,
                "; the file has no end: its writer was stopped, or it is still running"
            )?;
        }
        if self.incomplete_bytes > 0 {
            write!(
                f,
                "; {} after the last complete block",
                counted(self.incomplete_bytes, "byte")
            )?;
        }
        if self.damage.places > 0 {
            write!(f, "; {}", self.damage)?;
        }
        if self.hits_damaged > 0 {
            write!(f, "; {} lost to damage", counted(self.hits_damaged, "hit"))?;
        }
        if self.hits_lost > 0 {
            write!(
                f,
                "; {} {} never recorded: the writer fell behind",
                counted(self.hits_lost, "hit"),
                was(self.hits_lost)
            )?;
        }
        Ok(())
    }
}

/// The run of a file.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) version: u32,
    pub(super) started_unix_ns: u64,
    pub(super) loops: u32,
    pub(super) expected: Expected,
    pub(super) settings_text: String,
}

/// Reads a result file.
#[derive(Debug)]
pub struct ResultReader<R> {
    frames: FrameReader<R>,
    run: Run,
    summary: ResultSummary,
    next_hit: u64,
    span_ns: u64,
    notes: Notes,
    metrics: Metrics,
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
        let run = match frames.next_frame()? {
            Some(frame) if frame.kind == KIND_RUN => Run::of(frame.payload)?,
            _ => return Err(ResultsError::Run),
        };
        Ok(Self {
            frames,
            run,
            summary: ResultSummary::default(),
            next_hit: 0,
            span_ns: 0,
            notes: Notes::default(),
            metrics: Metrics::default(),
        })
    }

    /// The wall clock when the run started.
    pub fn started_unix_ns(&self) -> u64 {
        self.run.started_unix_ns
    }

    /// The statuses that the run expected.
    pub fn expected(&self) -> Expected {
        self.run.expected
    }

    /// The settings of the run.
    pub fn settings_text(&self) -> &str {
        &self.run.settings_text
    }

    /// The notes up to here.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The metrics that aren't hits, up to here.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The duration of the run, once its end was read; 0 means unknown.
    pub fn span_ns(&self) -> u64 {
        self.span_ns
    }

    /// The number of event loops of the run.
    pub fn loops(&self) -> u32 {
        self.run.loops
    }

    /// The schema of the file.
    pub fn schema_version(&self) -> u32 {
        self.run.version
    }

    /// The next block; `None` at the present end of the data.
    pub fn next_block(&mut self) -> io::Result<Option<Block<'_>>> {
        Ok(self.next_frame()?.map(|(_, _, block)| block))
    }

    /// The next block, with its kind and payload in the file.
    #[allow(clippy::type_complexity, reason = "it has one user")]
    pub(crate) fn next_frame(&mut self) -> io::Result<Option<(u16, &[u8], Block<'_>)>> {
        let Some(frame) = self.frames.next_frame()? else {
            return Ok(None);
        };
        let payload = frame.payload;
        let block = match frame.kind {
            KIND_HITS => match Hits::of(payload, self.run.version) {
                Some(hits) => {
                    self.summary.hits_damaged += hits.first.saturating_sub(self.next_hit);
                    self.next_hit = hits.first.saturating_add(hits.len() as u64);
                    self.summary.hits += hits.len() as u64;
                    Block::Hits(hits)
                }
                None => Block::Other,
            },
            KIND_END => {
                let [hits, lost, span_ns] = end_numbers(payload);
                self.summary.ended = true;
                self.summary.hits_damaged += hits.saturating_sub(self.next_hit);
                self.next_hit = hits;
                self.summary.hits_lost = lost;
                self.span_ns = span_ns;
                Block::End
            }
            KIND_NOTES => {
                if let Some(notes) = Notes::parse(payload) {
                    self.notes.add(notes);
                }
                Block::Other
            }
            KIND_STRINGS => Block::Strings(TextBlock::of(payload)),
            KIND_SERIES => {
                self.metrics.learn(payload);
                Block::Other
            }
            KIND_POINTS => {
                self.metrics.take(payload);
                Block::Other
            }
            KIND_MARK => Mark::of(payload).map_or(Block::Other, Block::Mark),
            _ => Block::Other,
        };
        Ok(Some((frame.kind, payload, block)))
    }

    /// How much was read up to now, and how much was lost.
    pub fn summary(&self) -> ResultSummary {
        ResultSummary {
            damage: self.frames.damage(),
            incomplete_bytes: self.frames.incomplete_bytes(),
            ..self.summary
        }
    }
}

impl Hits<'_> {
    /// The number of the first hit, from the start of the run.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The event loop that made them.
    pub fn number(&self) -> u32 {
        self.number
    }
}

impl Run {
    /// The run in the first frame's payload.
    pub(super) fn of(payload: &[u8]) -> Result<Self, ResultsError> {
        let (version, rest) = payload.split_first_chunk::<4>().ok_or(ResultsError::Run)?;
        let (started, mut rest) = rest.split_first_chunk::<8>().ok_or(ResultsError::Run)?;
        let version = u32::from_le_bytes(*version);
        let (mut loops, mut expected) = (1, Expected::default());
        match version {
            1 => {}
            SCHEMA_VERSION => {
                let (count, texts) = rest.split_first_chunk::<4>().ok_or(ResultsError::Run)?;
                loops = u32::from_le_bytes(*count);
                let (length, texts) = texts.split_first_chunk::<4>().ok_or(ResultsError::Run)?;
                let length = u32::from_le_bytes(*length) as usize;
                let (text, settings) = texts.split_at_checked(length).ok_or(ResultsError::Run)?;
                let text = str::from_utf8(text).map_err(|_| ResultsError::Run)?;
                expected = text.parse().map_err(|_| ResultsError::Run)?;
                rest = settings;
            }
            version => return Err(ResultsError::Schema(version)),
        }
        Ok(Self {
            version,
            started_unix_ns: u64::from_le_bytes(*started),
            loops,
            expected,
            settings_text: String::from_utf8_lossy(rest).into_owned(),
        })
    }
}

/// The numbers of hits and of lost hits, and the duration, as far as the payload has
/// them.
pub(super) fn end_numbers(payload: &[u8]) -> [u64; 3] {
    let mut numbers = [0; 3];
    let (there, _) = payload.as_chunks::<8>();
    for (number, bytes) in numbers.iter_mut().zip(there) {
        *number = u64::from_le_bytes(*bytes);
    }
    numbers
}
