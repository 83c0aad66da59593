//! `encarno tail`: follows a result file while it grows, until its run has ended.
//!
//! It ends at the file's end frame. Without an end frame, it ends when the writing
//! process has ended, when the reader of the output is gone, or when nothing was written
//! for a given time.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fmt, io};

use encarno_record::formats::{OutputError, ResultFormat, SecondsSink, Sink};
use encarno_record::results::whole::{self, FileError};
use encarno_record::results::{Ending, ResultReader, ResultSummary, ResultsError, SumsReader};
use encarno_record::{Hit, Texts};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::read::convert::{ConvertError, take_sums};

/// How often a file that doesn't grow is checked.
const LOOK: Duration = Duration::from_millis(100);

/// What to follow, and how long.
#[derive(Clone, Debug)]
pub struct TailSettings {
    /// The native result file; it need not exist yet.
    pub file: PathBuf,
    /// The format of the output.
    pub format: ResultFormat,
    /// The process that writes the file.
    pub writer: Option<Pid>,
    /// How long to wait for new data if the writer isn't known or has ended.
    pub idle_max: Duration,
}

/// Why following ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailEnd {
    /// The file is complete.
    Whole,
    /// The writer has ended without completing the file.
    WriterGone,
    /// The reader of the output is gone.
    ReaderGone,
    /// Nothing was written for too long.
    Idle,
}

impl fmt::Display for TailEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "the run has ended",
            Self::WriterGone => "the writing process has ended without completing the file",
            Self::ReaderGone => "the reader of the output has ended",
            Self::Idle => "nothing was written for too long",
        })
    }
}

/// Follows the file. `output` is the file behind `-`, and is watched for a reader that
/// closes it.
pub fn tail(
    settings: &TailSettings,
    to: &Path,
    output: BorrowedFd<'_>,
) -> Result<(TailEnd, ResultSummary), ConvertError> {
    let mut watch = Watch::new(settings, output)?;
    let mut followed = loop {
        // Check this first: then everything that the writer wrote before its end is in
        // the file.
        let end = watch.end();
        match Followed::open(settings, to) {
            Ok(followed) => break followed,
            Err(ConvertError::Results(error)) if end.is_none() && may_come(&error) => {
                watch.rest()?;
            }
            Err(error) => return Err(error),
        }
    };
    let end = loop {
        let end = watch.end();
        match followed.read_on() {
            // The watch sees this too.
            Err(error) if is_broken_pipe(&error) => {}
            moved => {
                if moved? {
                    watch.moved();
                }
            }
        }
        if followed.summary().ended {
            break TailEnd::Whole;
        }
        if let Some(end) = end {
            break end;
        }
        watch.rest()?;
    };
    match followed.finish() {
        Err(error) if is_broken_pipe(&error) => {}
        done => done?,
    }
    Ok((end, followed.summary()))
}

/// A file that grows, with the output of its content.
struct Followed<'a> {
    file: &'a Path,
    texts: Texts,
    kind: Kind,
}

enum Kind {
    /// Every hit.
    Hits {
        reader: Box<ResultReader<File>>,
        sink: Box<dyn Sink>,
        portion: Vec<Hit>,
    },
    /// The sums that the file carries.
    Sums {
        reader: Box<SumsReader>,
        sink: Box<SecondsSink>,
    },
}

impl<'a> Followed<'a> {
    fn open(settings: &'a TailSettings, to: &Path) -> Result<Self, ConvertError> {
        let sums = match settings.format {
            ResultFormat::Seconds => whole::open_sums(&settings.file)?,
            _ => None,
        };
        let kind = match sums {
            Some(reader) => Kind::Sums {
                sink: Box::new(SecondsSink::create(
                    to,
                    reader.started_unix_ns(),
                    &reader.expected(),
                )?),
                reader: Box::new(reader),
            },
            None => {
                let reader = whole::open(&settings.file)?;
                let (started, expected) = (reader.started_unix_ns(), reader.expected());
                Kind::Hits {
                    sink: settings.format.create(to, started, &expected)?,
                    reader: Box::new(reader),
                    portion: Vec::new(),
                }
            }
        };
        Ok(Self {
            file: &settings.file,
            texts: Texts::default(),
            kind,
        })
    }

    /// Reads up to the present end of the file, and returns whether there was anything
    /// new.
    fn read_on(&mut self) -> Result<bool, ConvertError> {
        let mut moved = false;
        match &mut self.kind {
            Kind::Sums { reader, sink } => {
                while take_sums(reader, sink, &mut self.texts, self.file)? {
                    moved = true;
                }
            }
            Kind::Hits {
                reader,
                sink,
                portion,
            } => {
                moved = whole::drain(reader, self.file, &mut self.texts, |hits, texts| {
                    portion.clear();
                    portion.extend(hits.iter());
                    Ok::<_, ConvertError>(sink.hits(portion, texts)?)
                })?;
            }
        }
        Ok(moved)
    }

    fn finish(&mut self) -> Result<(), ConvertError> {
        match &mut self.kind {
            Kind::Sums { reader, sink } => {
                let rest = reader.rest(|sums| sink.add(&sums));
                rest.map_err(FileError::of(self.file))?;
                sink.finish(Ending::default(), &mut self.texts)?;
            }
            Kind::Hits { sink, .. } => {
                sink.finish(Ending::default(), &mut self.texts)?;
            }
        }
        Ok(())
    }

    fn summary(&self) -> ResultSummary {
        match &self.kind {
            Kind::Sums { reader, .. } => reader.summary(),
            Kind::Hits { reader, .. } => reader.summary(),
        }
    }
}

/// Watches the writer of the file and the reader of the output.
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
        // Use a handle and not the number, which another process may get.
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

    /// Sleeps for a moment, or until the writer or the reader goes away.
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

/// Whether the file may still become readable.
fn may_come(error: &FileError) -> bool {
    match &error.source {
        ResultsError::Read(source) => source.kind() == io::ErrorKind::NotFound,
        ResultsError::Magic => std::fs::metadata(&error.path).is_ok_and(|file| file.len() < 8),
        ResultsError::Run => true,
        ResultsError::Schema(_) => false,
    }
}

fn is_broken_pipe(error: &ConvertError) -> bool {
    matches!(error, ConvertError::Output(error) if error.source.kind() == io::ErrorKind::BrokenPipe)
}

fn file_error(path: &Path, source: ResultsError) -> FileError {
    FileError {
        path: path.into(),
        source,
    }
}
