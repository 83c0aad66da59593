//! `encarno tail`: a result file while it grows, until its run has ended.
//!
//! It ends with the file's end frame; without one when the process that writes
//! has ended, when nobody reads any more, or when nothing came for so long.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{fmt, io};

use encarno_record::Hit;
use encarno_record::formats::{OutputError, Sink, Texts};
use encarno_record::results::{Block, ResultReader, ResultSummary, ResultsError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::read::convert::{ConvertError, ResultFormat, create_sink};
use crate::read::stats::{self, FileError};

/// How often a file that doesn't grow is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// What is followed, and for how long.
#[derive(Clone, Debug)]
pub struct TailSettings {
    /// The native result file; it needn't be there yet.
    pub file: PathBuf,
    /// What hits are written as.
    pub format: ResultFormat,
    /// The process that writes the file.
    pub writer: Option<Pid>,
    /// Give up when nothing came for so long, unless the writer is known and lives.
    pub idle_max: Duration,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailEnd {
    /// The file is whole.
    Whole,
    /// Whoever wrote the file has ended without completing it.
    WriterGone,
    /// Nobody reads the output.
    ReaderGone,
    /// Nothing came for too long.
    Idle,
}

impl fmt::Display for TailEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "the run has ended",
            Self::WriterGone => "the process that wrote has ended, and not completed the file",
            Self::ReaderGone => "nobody reads any more",
            Self::Idle => "nothing came for too long",
        })
    }
}

/// Follows the file. `output` is what `-` stands for, watched for a reader
/// that goes away.
pub fn tail(
    settings: &TailSettings,
    to: &Path,
    output: BorrowedFd<'_>,
) -> Result<(TailEnd, ResultSummary), ConvertError> {
    let mut watch = Watch::new(settings, output)?;
    let (mut reader, mut sink) = loop {
        // Looked at first: what a writer wrote before it ended is there then.
        let end = watch.end();
        match stats::open(&settings.file) {
            Ok(reader) => {
                let started_unix_ns = reader.started_unix_ns();
                break (reader, create_sink(to, settings.format, started_unix_ns)?);
            }
            Err(error) if end.is_some() || !may_come(&error) => return Err(error.into()),
            Err(_) => watch.rest()?,
        }
    };
    let mut texts = Texts::default();
    let end = loop {
        let end = watch.end();
        let now_ns = unix_now_ns();
        let moved = read_on(&mut reader, &mut *sink, &mut texts, settings)?;
        if reader.summary().ended {
            break TailEnd::Whole;
        }
        if let Some(end) = end {
            break end;
        }
        if moved {
            watch.moved();
        }
        match sink.at_rest(now_ns) {
            Err(error) if is_broken_pipe(&error) => break TailEnd::ReaderGone,
            done => done?,
        }
        watch.rest()?;
    };
    match sink.finish(reader.summary().hits_lost) {
        Err(error) if is_broken_pipe(&error) => {}
        done => drop(done?),
    }
    Ok((end, reader.summary()))
}

/// Reads up to the end of what is there; whether there was anything.
fn read_on<R: io::Read>(
    reader: &mut ResultReader<R>,
    sink: &mut dyn Sink,
    texts: &mut Texts,
    settings: &TailSettings,
) -> Result<bool, ConvertError> {
    let mut moved = false;
    let mut portion: Vec<Hit> = Vec::new();
    loop {
        match reader.next_block() {
            Ok(Some(Block::Strings(block))) => {
                block.iter().for_each(|(id, text)| texts.insert(id, &text));
            }
            Ok(Some(Block::Hits(hits))) => {
                portion.clear();
                portion.extend(hits.iter());
                match sink.hits(&portion, texts) {
                    // The watch sees that too.
                    Err(error) if is_broken_pipe(&error) => return Ok(false),
                    done => done?,
                }
            }
            Ok(Some(Block::End)) => return Ok(true),
            Ok(None) => return Ok(moved),
            Err(source) => return Err(file_error(&settings.file, source.into()).into()),
        }
        moved = true;
    }
}

/// Whether it is there to go on.
struct Watch<'a> {
    writer: Option<OwnedFd>,
    writer_gone: bool,
    output: BorrowedFd<'a>,
    reader_gone: bool,
    idle_max: Duration,
    moved: Instant,
}

impl<'a> Watch<'a> {
    fn new(settings: &TailSettings, output: BorrowedFd<'a>) -> Result<Self, ConvertError> {
        // A handle, not a number: the number may soon be another process'.
        let writer = match settings.writer {
            None => Ok(None),
            Some(pid) => match pidfd_open(pid, PidfdFlags::empty()) {
                Ok(handle) => Ok(Some(handle)),
                Err(Errno::SRCH) => Ok(None),
                Err(errno) => Err(file_error(&settings.file, io::Error::from(errno).into())),
            },
        }?;
        Ok(Self {
            writer_gone: settings.writer.is_some() && writer.is_none(),
            writer,
            output,
            reader_gone: false,
            idle_max: settings.idle_max,
            moved: Instant::now(),
        })
    }

    fn moved(&mut self) {
        self.moved = Instant::now();
    }

    fn end(&self) -> Option<TailEnd> {
        if self.reader_gone {
            Some(TailEnd::ReaderGone)
        } else if self.writer_gone {
            Some(TailEnd::WriterGone)
        } else if self.writer.is_none() && self.moved.elapsed() >= self.idle_max {
            Some(TailEnd::Idle)
        } else {
            None
        }
    }

    /// Sleeps for a moment, or until either end goes away.
    fn rest(&mut self) -> Result<(), OutputError> {
        let mut waited = vec![PollFd::from_borrowed_fd(self.output, PollFlags::empty())];
        if let Some(writer) = &self.writer {
            waited.push(PollFd::from_borrowed_fd(writer.as_fd(), PollFlags::IN));
        }
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: LOOK.as_nanos() as i64,
        };
        match poll(&mut waited, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => {
                return Err(OutputError {
                    operation: "watch",
                    path: "-".into(),
                    source: errno.into(),
                });
            }
        }
        let happened = |place: usize| {
            waited
                .get(place)
                .map_or(PollFlags::empty(), PollFd::revents)
        };
        self.reader_gone |= happened(0).intersects(PollFlags::ERR | PollFlags::NVAL);
        self.writer_gone |= happened(1).intersects(PollFlags::IN | PollFlags::HUP);
        Ok(())
    }
}

/// Whether the file may yet become one that can be read.
fn may_come(error: &FileError) -> bool {
    match &error.source {
        ResultsError::Read(source) => source.kind() == io::ErrorKind::NotFound,
        ResultsError::Magic => std::fs::metadata(&error.path).is_ok_and(|file| file.len() < 8),
        ResultsError::Run => true,
        ResultsError::Schema(_) => false,
    }
}

fn is_broken_pipe(error: &OutputError) -> bool {
    error.source.kind() == io::ErrorKind::BrokenPipe
}

fn file_error(path: &Path, source: ResultsError) -> FileError {
    FileError {
        path: path.into(),
        source,
    }
}

fn unix_now_ns() -> u64 {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    unix.as_nanos() as u64
}
