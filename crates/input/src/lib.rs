//! Reads records from files. The format is recognised, and files are read ahead in large
//! blocks, never as a whole.
//!
//! A payload is a view into the block that was read, or, if it is large, a range of the
//! file; memory doesn't depend on the file's size.
//!
//! - settings: the settings of an input
//! - block_reader: blocks, lines and payloads of a file that may be compressed
//! - recognise: finds the format of a file
//! - one module for each format
//! - context: the parts of a record that don't come from its format

mod access;
mod block_reader;
mod context;
mod json_values;
mod jsonline;
mod left_out;
mod payload;
mod raw;
mod recognise;
mod request;
mod settings;
mod strings_file;
mod uri;
mod urls;
mod vegeta;

pub mod native;

use std::path::PathBuf;
use std::sync::Arc;

use encarno_record::{Record, Strings};

pub use left_out::LeftOut;
pub use request::{basic, basic_of};
pub use settings::{AutoLabel, BadLimit, InputFormat, InputSettings, Scripts, Sharing};

use block_reader::BlockReader;
use context::RecordContext;
use strings_file::StringsFile;

const BLOCK_BYTES: usize = 256 << 10;
/// The block size for each worker, because there may be thousands of workers.
const BLOCK_BYTES_PER_WORKER: usize = 16 << 10;

/// Opens the input. The result is an endless or bounded stream of records, depending on
/// the settings; broken records are items between the good ones. Read it on a thread of
/// its own. [`Input::again`] gives each worker its own stream, if the input isn't shared.
pub fn open(settings: &InputSettings, strings: &Strings) -> Result<Input, InputError> {
    let (source, format) = open_source(settings)?;
    if settings.passes.is_some_and(|passes| passes.get() > 1) && !source.can_rewind() {
        return Err(InputError {
            operation: "read several times",
            file: settings.file.clone(),
            reason: "a pipe can be read only once: write it to a file first".to_owned(),
        });
    }
    let strings_file = match &settings.strings_file {
        Some(file) => StringsFile::read(file)?,
        None => StringsFile::default(),
    };
    let context = RecordContext::new(strings, Arc::new(strings_file), Arc::new(settings.clone()));
    Ok(Input::new(source, format, context, Arc::new(AsRead)))
}

/// The format of the input: the one that the settings name, or the one that its content
/// shows.
pub fn format_of(settings: &InputSettings) -> Result<InputFormat, InputError> {
    match settings.format {
        Some(format) => Ok(format),
        None => open_source(settings).map(|(_, format)| format),
    }
}

fn open_source(settings: &InputSettings) -> Result<(BlockReader, InputFormat), InputError> {
    let error = |operation, reason: String| InputError {
        operation,
        file: settings.file.clone(),
        reason,
    };
    let block_bytes = match settings.sharing {
        Sharing::Shared => BLOCK_BYTES,
        Sharing::PerWorker => BLOCK_BYTES_PER_WORKER,
    };
    let mut source = BlockReader::open(
        &settings.file,
        block_bytes,
        settings.memory_payload_bytes_max,
    )
    .map_err(|source| error("open", source.to_string()))?;
    let format = match settings.format {
        Some(format) => format,
        None => {
            let start = source
                .peek(BLOCK_BYTES)
                .map_err(|source| error("read", source.to_string()))?;
            recognise::format(start).map_err(|reason| error("recognise", reason))?
        }
    };
    Ok((source, format))
}

/// Prepares records on the thread that reads them.
pub trait Prepare: Send + Sync {
    /// The item that the input returns instead of the record.
    type Prepared;

    /// Prepares a record. An error ends the input, because a flow without one of its
    /// steps is wrong.
    fn prepare(&self, record: Record) -> Result<Self::Prepared, String>;
}

/// Records without preparation.
#[derive(Clone, Copy, Debug)]
pub struct AsRead;

impl Prepare for AsRead {
    type Prepared = Record;

    fn prepare(&self, record: Record) -> Result<Record, String> {
        Ok(record)
    }
}

/// The records of an input.
pub struct Input<P = AsRead> {
    source: BlockReader,
    parser: Box<dyn Parse>,
    context: RecordContext,
    format: InputFormat,
    passes: Option<u64>,
    one_pass: bool,
    pass: u64,
    records: u64,
    records_in_pass: u64,
    bad: u64,
    /// The first broken record: its offset and the reason.
    first_bad: Option<String>,
    /// The counts of the first pass, once it has ended.
    left_out: Option<LeftOut>,
    prepare: Arc<P>,
    /// The start of this pass in the file's times: each pass continues after the last
    /// one.
    pass_start_ns: u64,
    last_scheduled_ns: u64,
    ended: bool,
}

impl Input {
    /// Prepares the records as they are read.
    pub fn prepared_by<P: Prepare>(self, prepare: &Arc<P>) -> Input<P> {
        Input {
            source: self.source,
            parser: self.parser,
            context: self.context,
            format: self.format,
            passes: self.passes,
            one_pass: self.one_pass,
            pass: self.pass,
            records: self.records,
            records_in_pass: self.records_in_pass,
            bad: self.bad,
            first_bad: self.first_bad,
            left_out: self.left_out,
            prepare: Arc::clone(prepare),
            pass_start_ns: self.pass_start_ns,
            last_scheduled_ns: self.last_scheduled_ns,
            ended: self.ended,
        }
    }
}

impl<P: Prepare> Input<P> {
    fn new(
        source: BlockReader,
        format: InputFormat,
        context: RecordContext,
        prepare: Arc<P>,
    ) -> Self {
        let parser: Box<dyn Parse> = match format {
            InputFormat::Payload => Box::new(payload::PayloadParser::default()),
            InputFormat::Raw => Box::new(raw::RawParser::raw()),
            InputFormat::Stpd => Box::new(raw::RawParser::stpd()),
            InputFormat::Uri => Box::new(uri::UriParser::uri()),
            InputFormat::UriPost => Box::new(uri::UriParser::with_bodies()),
            InputFormat::Access => Box::new(access::AccessParser::default()),
            InputFormat::JsonLine => Box::new(jsonline::JsonLineParser),
            InputFormat::Urls => Box::new(urls::UrlsParser),
            InputFormat::Vegeta => Box::new(vegeta::VegetaParser::default()),
            InputFormat::Native => Box::new(native::NativeParser::default()),
        };
        let passes = match context.settings.passes {
            Some(passes) => Some(passes.get()),
            None if format == InputFormat::Stpd => Some(1),
            None => None,
        };
        Self {
            source,
            parser,
            context,
            format,
            passes,
            one_pass: false,
            pass: 1,
            records: 0,
            records_in_pass: 0,
            bad: 0,
            first_bad: None,
            left_out: None,
            prepare,
            pass_start_ns: 0,
            last_scheduled_ns: 0,
            ended: false,
        }
    }

    /// Prepares the input, before its first record, for many readers that use
    /// [`Input::again`]: a compressed file is decompressed once, to a temporary file.
    pub fn for_many(mut self) -> Result<Self, InputError> {
        self.source = self.source.unpacked().map_err(|source| InputError {
            operation: "unpack",
            file: self.context.settings.file.clone(),
            reason: format!(
                "{source}; each worker reads it for itself, so it is unpacked to a temporary file: TMPDIR says where"
            ),
        })?;
        Ok(self)
    }

    /// The same input from its start, for another worker. The open file and the strings
    /// file are shared.
    pub fn again(&self) -> Result<Self, InputError> {
        let source = self.source.again().map_err(|source| InputError {
            operation: "read for each worker",
            file: self.context.settings.file.clone(),
            reason: source.to_string(),
        })?;
        let RecordContext {
            strings,
            strings_file,
            settings,
            ..
        } = &self.context;
        let context = RecordContext::new(strings, Arc::clone(strings_file), Arc::clone(settings));
        Ok(Self::new(
            source,
            self.format,
            context,
            Arc::clone(&self.prepare),
        ))
    }

    /// The format of the file.
    pub fn format(&self) -> InputFormat {
        self.format
    }

    /// How many times the whole file is read; `None` means as often as needed.
    pub fn passes(&self) -> Option<u64> {
        self.passes
    }

    /// The records of one pass, whatever the number of passes.
    pub fn first_pass(&mut self) -> impl Iterator<Item = Result<P::Prepared, BadRecord>> {
        self.one_pass = true;
        std::iter::from_fn(|| self.next())
    }

    /// Records of the first pass that were left out on purpose: not a GET in an access
    /// log, or not a chosen label.
    pub fn left_out(&self) -> &LeftOut {
        self.left_out.as_ref().unwrap_or(&self.context.left_out)
    }

    /// Broken records of the first pass.
    pub fn bad(&self) -> u64 {
        self.bad
    }

    /// Completes a record with everything that doesn't come from its format; `None` if it
    /// isn't chosen.
    fn good(&mut self, mut record: Record) -> Result<Option<P::Prepared>, RecordError> {
        self.context.label_if_needed(&mut record, self.records);
        self.context.address_if_needed(&mut record)?;
        if !self.context.chosen(&record) {
            self.context.left_out.add("with a label that isn't chosen");
            return Ok(None);
        }
        record.first_of_pass = self.records_in_pass == 0;
        if let Some(scheduled_ns) = &mut record.scheduled_ns {
            *scheduled_ns = scheduled_ns.saturating_add(self.pass_start_ns);
            self.last_scheduled_ns = *scheduled_ns;
        }
        self.records += 1;
        self.records_in_pass += 1;
        let records_max = self.context.settings.records_max;
        self.ended = records_max.is_some_and(|max| self.records >= max.get());
        self.prepare
            .prepare(record)
            .map(Some)
            .map_err(RecordError::fatal)
    }

    /// The item for a broken record; `None` if the first pass reported it already.
    fn bad_record(&mut self, bad: RecordError, start: u64, of_record: bool) -> Option<BadRecord> {
        let RecordError {
            mut reason,
            mut fatal,
            ..
        } = bad;
        if self.pass > 1 && !fatal {
            return None;
        }
        let offset = bad.offset.unwrap_or(start);
        if of_record {
            self.bad += 1;
            self.first_bad
                .get_or_insert_with(|| format!("offset {offset}: {reason}"));
            let limit = self.context.settings.bad_limit;
            if limit.is_exceeded(self.bad, self.bad + self.records) && !fatal {
                fatal = true;
                reason = format!("{reason}; that is more than {limit}, the input ends here");
            }
        }
        self.ended = fatal;
        let file = self.context.settings.file.clone();
        Some(BadRecord {
            file,
            offset,
            reason,
            fatal,
            of_record,
        })
    }

    /// Begins the next pass, if there is one.
    fn next_pass(&mut self) -> Result<(), RecordError> {
        if self.records_in_pass == 0 {
            let mut reason = "there is no usable record in the file".to_owned();
            if !self.left_out().is_empty() {
                reason.push_str(&format!("; left out: {}", self.left_out()));
            }
            return Err(RecordError::fatal(reason));
        }
        let limit = self.context.settings.bad_limit;
        if self.pass == 1 && limit.is_exceeded_at_end(self.bad, self.bad + self.records) {
            let (bad, all) = (self.bad, self.bad + self.records);
            let first = self.first_bad.take().unwrap_or_default();
            let reason = format!(
                "{bad} of {all} records are broken, the first at {first}; that is more than {limit}"
            );
            return Err(RecordError::fatal(reason));
        }
        let left_out = std::mem::take(&mut self.context.left_out);
        self.left_out.get_or_insert(left_out);
        let is_last = self.one_pass || self.passes.is_some_and(|passes| self.pass >= passes);
        if is_last || !self.source.can_rewind() {
            self.ended = true;
            return Ok(());
        }
        self.pass += 1;
        self.records_in_pass = 0;
        self.pass_start_ns = self.last_scheduled_ns;
        self.parser.restart();
        self.source
            .rewind()
            .map_err(|error| RecordError::fatal(format!("can't read it again: {error}")))
    }
}

impl<P: Prepare> Iterator for Input<P> {
    type Item = Result<P::Prepared, BadRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            let (start, parsed) = match self.parser.start(&mut self.source) {
                Ok(start) => {
                    let parsed = self.parser.next(&mut self.source, &mut self.context);
                    (start, parsed)
                }
                Err(error) => (self.source.offset(), Err(error.into())),
            };
            let of_record = !matches!(parsed, Ok(None));
            let bad = match parsed {
                Ok(Some(record)) => match self.good(record) {
                    Ok(Some(record)) => return Some(Ok(record)),
                    Ok(None) => continue,
                    Err(bad) => bad,
                },
                Ok(None) => match self.next_pass() {
                    Ok(()) => continue,
                    Err(bad) => bad,
                },
                Err(bad) => bad,
            };
            if let Some(bad) = self.bad_record(bad, start, of_record) {
                return Some(Err(bad));
            }
        }
        None
    }
}

impl<P> std::fmt::Debug for Input<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("format", &self.format)
            .field("records", &self.records)
            .finish()
    }
}

/// A record that can't be used. It is skipped, counted and reported.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{file}, offset {offset}: {reason}", file = file.display())]
pub struct BadRecord {
    /// The file.
    pub file: PathBuf,
    /// The offset of the record (in the decompressed data, if the file is compressed).
    pub offset: u64,
    /// What is wrong with it.
    pub reason: String,
    /// Whether the input ends here, because nothing after it can be read.
    pub fatal: bool,
    /// Whether this is about one record, and not about all of the input.
    pub of_record: bool,
}

/// Why an input can't be opened or recognised.
#[derive(Debug, thiserror::Error)]
#[error("can't {operation} {file}: {reason}", file = file.display())]
pub struct InputError {
    /// The operation that failed: `open`, `recognise`, `read`.
    pub operation: &'static str,
    /// The file.
    pub file: PathBuf,
    /// Why not, and the way out.
    pub reason: String,
}

/// A format. After each record, also a broken one, the source is where the next record
/// may start.
trait Parse: Send {
    /// Skips to the start of the next record, and returns its offset.
    fn start(&mut self, source: &mut BlockReader) -> std::io::Result<u64> {
        Ok(source.offset())
    }

    /// The next record; `None` at the end of the file.
    fn next(
        &mut self,
        source: &mut BlockReader,
        context: &mut RecordContext,
    ) -> Result<Option<Record>, RecordError>;

    /// Notes that the file starts again.
    fn restart(&mut self) {}
}

/// Why a record is broken.
#[derive(Debug)]
struct RecordError {
    reason: String,
    offset: Option<u64>,
    fatal: bool,
}

impl RecordError {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            offset: None,
            fatal: false,
        }
    }

    fn fatal(reason: impl Into<String>) -> Self {
        Self {
            fatal: true,
            ..Self::new(reason)
        }
    }

    fn at(self, offset: u64) -> Self {
        Self {
            offset: Some(offset),
            ..self
        }
    }
}

impl From<std::io::Error> for RecordError {
    fn from(error: std::io::Error) -> Self {
        Self::fatal(format!("can't read on: {error}"))
    }
}
