//! `encarno convert`: converts results to other formats, and inputs to our own or
//! Go-encarno's.

mod go_payload;

use std::io;
use std::path::{Path, PathBuf};

use encarno_input::native::NativeInputWriter;
use encarno_input::{BadRecord, InputError, InputSettings, LeftOut, Scripts};
use encarno_record::formats::{OutputError, ResultFormat, SecondsSink, Sink};
#[cfg(feature = "parquet")]
use encarno_record::formats::{Partition, PartitionedSink};
use encarno_record::results::whole::{self, FileError};
use encarno_record::results::{Ending, ResultSummary, SumsReader};
use encarno_record::{Hit, Payload, Record, Strings, Texts};
use go_payload::GoPayloadWriter;

/// The number of hits that are handed to a sink at once.
const PORTION: usize = 8192;

/// The format into which an input is converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputTarget {
    /// Our own format.
    Native,
    /// Go-encarno's payload file, with its strings inside.
    GoPayload,
}

/// Why a conversion failed.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The result file can't be read.
    #[error(transparent)]
    Results(#[from] FileError),
    /// The input file can't be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// Too many records are broken.
    #[error("{0}")]
    Bad(BadRecord),
    /// The file has only sums.
    #[error(
        "{file} has sums by second, and no hits: convert it to seconds, or read it with encarno \
         stats",
        file = .0.display()
    )]
    NoHits(PathBuf),
    /// The new file can't be written.
    #[error(transparent)]
    Output(#[from] OutputError),
}

/// The result of a conversion.
#[derive(Clone, Debug, Default)]
pub struct Converted {
    /// The number of hits or records.
    pub count: u64,
    /// For results: how much was read and lost.
    pub results: Option<ResultSummary>,
    /// For inputs: the first broken records.
    pub bad: Vec<BadRecord>,
    /// For inputs: the number of broken records.
    pub bad_count: u64,
    /// For inputs: what was left out on purpose.
    pub left_out: LeftOut,
    /// A warning about what the new file lacks.
    pub warning: Option<String>,
}

/// What a native result file is converted to.
#[derive(Clone, Debug)]
pub enum ResultsTarget {
    /// One file.
    File(ResultFormat),
    /// Parquet files in folders of this run.
    #[cfg(feature = "parquet")]
    Folders(String, Partition),
}

impl From<ResultFormat> for ResultsTarget {
    fn from(format: ResultFormat) -> Self {
        Self::File(format)
    }
}

/// Converts a native result file.
pub fn results(
    from: &Path,
    to: &Path,
    target: impl Into<ResultsTarget>,
) -> Result<Converted, ConvertError> {
    let target = target.into();
    if let ResultsTarget::File(ResultFormat::Seconds) = target
        && let Some(reader) = whole::open_sums(from)?
    {
        return seconds(reader, from, to);
    }
    let mut reader = whole::open(from)?;
    let (started_unix_ns, expected) = (reader.started_unix_ns(), reader.expected());
    let create = || -> Result<Box<dyn Sink>, OutputError> {
        Ok(match &target {
            ResultsTarget::File(format) => format.create(to, started_unix_ns, &expected)?,
            #[cfg(feature = "parquet")]
            ResultsTarget::Folders(run, partition) => Box::new(PartitionedSink::create(
                to,
                run,
                *partition,
                started_unix_ns,
            )?),
        })
    };
    // It is created with the first hits, so that a file without hits replaces nothing.
    let mut sink = None::<Box<dyn Sink>>;
    let mut texts = Texts::default();
    let mut portion: Vec<Hit> = Vec::with_capacity(PORTION);
    whole::drain(&mut reader, from, &mut texts, |hits, texts| {
        for hit in hits.iter() {
            portion.push(hit);
            if portion.len() == PORTION {
                let sink = match &mut sink {
                    Some(sink) => sink,
                    none => none.insert(create()?),
                };
                sink.hits(&portion, texts)?;
                portion.clear();
            }
        }
        Ok::<_, ConvertError>(())
    })?;
    let summary = reader.summary();
    if summary.hits == 0 && (!reader.metrics().is_empty() || has_summed_hits(from)?) {
        return Err(ConvertError::NoHits(from.to_owned()));
    }
    let mut sink = match sink {
        Some(sink) => sink,
        None => create()?,
    };
    sink.hits(&portion, &mut texts)?;
    sink.finish(Ending::default(), &mut texts)?;
    Ok(Converted {
        count: summary.hits,
        results: Some(summary),
        warning: sink.warning(),
        ..Converted::default()
    })
}

/// Whether the sums of a file count hits. A pipe can't be read again: then it is unknown.
fn has_summed_hits(file: &Path) -> Result<bool, FileError> {
    let is_file = std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file());
    Ok(is_file && whole::read(file)?.statistics.total().hits > 0)
}

/// Writes the sums of each second.
fn seconds(mut reader: SumsReader, from: &Path, to: &Path) -> Result<Converted, ConvertError> {
    let mut sink = SecondsSink::create(to, reader.started_unix_ns(), &reader.expected())?;
    let mut texts = Texts::default();
    while take_sums(&mut reader, &mut sink, &mut texts, from)? {}
    reader
        .rest(|sums| sink.add(&sums))
        .map_err(FileError::of(from))?;
    sink.finish(Ending::default(), &mut texts)?;
    let summary = reader.summary();
    Ok(Converted {
        count: summary.hits,
        results: Some(summary),
        ..Converted::default()
    })
}

/// Hands on the next frame; false at the present end of the file.
pub(crate) fn take_sums(
    reader: &mut SumsReader,
    sink: &mut SecondsSink,
    texts: &mut Texts,
    from: &Path,
) -> Result<bool, ConvertError> {
    let Some(sums) = reader.next_sums(texts).map_err(FileError::of(from))? else {
        return Ok(false);
    };
    sink.add(&sums);
    let whole_until_ns = reader.whole_until_ns();
    sink.write_until(
        reader.started_unix_ns().saturating_add(whole_until_ns),
        texts,
    )?;
    Ok(true)
}

/// Converts an input of any format, read once, with its scripts. The settings give
/// format, headers, labels and so on.
pub fn input(
    settings: &InputSettings,
    to: &Path,
    target: InputTarget,
) -> Result<Converted, ConvertError> {
    let settings = InputSettings {
        passes: std::num::NonZeroU64::new(1),
        scripts: Scripts::Keep,
        ..settings.clone()
    };
    let strings = Strings::default();
    let mut input = encarno_input::open(&settings, &strings)?;
    let path: PathBuf = to.into();
    let error = |operation| {
        let path = path.clone();
        move |source: io::Error| OutputError {
            operation,
            path,
            source,
        }
    };
    let mut writer = match target {
        InputTarget::Native => Writer::Native(Box::new(
            NativeInputWriter::create(to, &strings).map_err(error("create"))?,
        )),
        InputTarget::GoPayload => {
            Writer::GoPayload(GoPayloadWriter::create(to, &strings).map_err(error("create"))?)
        }
    };
    let mut converted = Converted::default();
    let mut without_host = 0;
    for record in input.by_ref() {
        match record {
            Ok(record) => {
                converted.count += 1;
                without_host += u64::from(has_empty_host(&record));
                match &mut writer {
                    Writer::Native(writer) => writer.write(&record),
                    Writer::GoPayload(writer) => writer.write(&record),
                }
                .map_err(error("write"))?;
            }
            Err(bad) if bad.fatal => return Err(ConvertError::Bad(bad)),
            Err(bad) => {
                converted.bad_count += 1;
                if converted.bad.len() < 10 {
                    converted.bad.push(bad);
                }
            }
        }
    }
    converted.left_out.clone_from(input.left_out());
    match writer {
        Writer::Native(writer) => writer.finish(),
        Writer::GoPayload(writer) => {
            converted.warning = writer.warning();
            writer.finish()
        }
    }
    .map_err(error("write"))?;
    if without_host > 0 {
        converted.warning.get_or_insert(format!(
            "{without_host} requests have an empty Host header, because the file has no host: \
             give --host"
        ));
    }
    Ok(converted)
}

fn has_empty_host(record: &Record) -> bool {
    match &record.payload {
        Payload::Memory(bytes) => memchr::memmem::find(bytes, b"\r\nHost: \r\n").is_some(),
        Payload::File { .. } => false,
    }
}

enum Writer {
    Native(Box<NativeInputWriter>),
    GoPayload(GoPayloadWriter),
}
