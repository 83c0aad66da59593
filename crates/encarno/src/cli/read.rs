//! `encarno stats`, `show` and `convert`: read existing files.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Args;
use encarno_input::{BadLimit, InputFormat, InputSettings};
use encarno_record::exact;
use encarno_record::mask::Shown;
use encarno_record::merge::MergeError;
use encarno_record::results::whole::{self, FileStatistics};
use encarno_record::statistics::counted;

use super::{Failure, complain, print};
use crate::exit;
use crate::files::Files;
use crate::read::convert::{self, ConvertError, Converted, InputTarget, ResultsTarget};
use crate::read::show::{self, FileKind, ShowError, Showing};
use crate::read::stats;
#[cfg(feature = "parquet")]
use encarno_record::formats::Partition;
use encarno_record::formats::ResultFormat;

/// The arguments of `encarno stats`.
#[derive(Debug, Args)]
pub(super) struct StatsArguments {
    /// Native result files. Several are summed up as one, label by label. - is the standard
    /// input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Read all hits once more, and make the quantiles exact. The files need every hit.
    #[arg(long)]
    exact: bool,
}

/// The arguments of `encarno show`.
#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// A native result file, or an input file of any format. - is the standard input.
    file: PathBuf,
    /// The format of an input file, if it isn't recognised.
    #[arg(long, value_name = "FORMAT")]
    format: Option<InputFormat>,
    /// The strings file (.istr) of an indexed payload file.
    #[arg(long, value_name = "FILE")]
    strings: Option<PathBuf>,
    /// Show whole payloads.
    #[arg(long)]
    all: bool,
    /// Also show what may be secret: the values of most headers, queries and bodies.
    #[arg(long)]
    secrets: bool,
}

/// The arguments of `encarno convert`.
#[derive(Debug, Args)]
pub(super) struct ConvertArguments {
    /// A native result file, or an input file of any format. - is the standard input.
    file: PathBuf,
    /// The new file. For results, the end of its name chooses the format: .bin (the Go tool's,
    /// with an .ostr file beside it), .ldjson, .csv, .phout, .seconds (a line of JSON with the
    /// sums of each second) or .parquet. An input becomes a native input, or with --to payload
    /// a payload file of the Go tool.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The new format, if the name doesn't end in it: bin, ldjson, csv, phout, seconds or
    /// parquet for results; native or payload for inputs.
    #[arg(long, value_name = "FORMAT")]
    to: Option<String>,
    /// Write results as Parquet files in a folder for each second or minute, below the folder
    /// that -o names: run=NAME/second=UNIX/0.parquet.
    #[cfg(feature = "parquet")]
    #[arg(long, value_name = "PERIOD", conflicts_with = "to")]
    partition: Option<Period>,
    /// The run's name in such folders; otherwise the file's name without its ending.
    #[cfg(feature = "parquet")]
    #[arg(long, value_name = "NAME", requires = "partition")]
    run: Option<String>,
    /// The format of an input file, if it isn't recognised.
    #[arg(long, value_name = "FORMAT")]
    format: Option<InputFormat>,
    /// The strings file (.istr) of an indexed payload file.
    #[arg(long, value_name = "FILE")]
    strings: Option<PathBuf>,
    /// The Host header of requests that are made from URLs, unless the file gives one.
    #[arg(long, value_name = "HOST", default_value = "")]
    host: String,
    /// Make the hosts of URLs the addresses to which records are sent.
    #[arg(long)]
    record_hosts: bool,
    /// Give up when more records than this are broken: a number, or a share of all records.
    #[arg(long, value_name = "N", default_value = "10%")]
    max_bad: BadLimit,
}

/// A period of `--partition`.
#[cfg(feature = "parquet")]
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Period {
    Second,
    Minute,
}

impl StatsArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let mut whole = None::<FileStatistics>;
        let (mut notes, mut read) = (Vec::new(), Vec::new());
        let mut known = HashMap::new();
        for path in &self.files {
            if let Ok(metadata) = std::fs::metadata(path)
                && metadata.is_file()
                && let Some(other) = known.insert((metadata.dev(), metadata.ino()), path)
            {
                return Err(Failure::usage(MergeError::Twice(
                    other.clone(),
                    path.clone(),
                )));
            }
            check_stdout("the result file", path)?;
            let local = Local::of(path)?;
            let file = whole::read(local.path()).map_err(Failure::setup)?;
            read.push(local);
            if !file.summary.is_whole() {
                notes.push(format!("{}: {}", path.display(), file.summary));
            }
            match &mut whole {
                None => whole = Some(file),
                Some(whole) => {
                    if whole.expected != file.expected {
                        let (one, other) = (whole.expected, file.expected);
                        notes.push(format!(
                            "{}: this run expected the statuses {other}, but an earlier one \
                             expected {one}",
                            path.display()
                        ));
                    }
                    whole.merge(&file);
                }
            }
        }
        let Some(mut whole) = whole else {
            return Err(Failure::usage("name a result file"));
        };
        if self.exact {
            let paths: Vec<&Path> = read.iter().map(Local::path).collect();
            let is_exact = exact::refine(&paths, &mut whole.statistics);
            if !is_exact.map_err(Failure::setup)? {
                return Err(Failure::setup(
                    "--exact needs every hit, and the files have only sums of some: agents send hits with \
                     --collect hits",
                ));
            }
        }
        print(|out| {
            if self.json {
                stats::print_json(&whole, out)
            } else {
                stats::print_table(&whole, out)
            }
        })?;
        notes.iter().for_each(|note| complain(note));
        Ok(exit::OK)
    }
}

impl ShowArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        check_stdout("the file", &self.file)?;
        let local = Local::of(&self.file)?;
        let settings = InputSettings {
            format: self.format,
            strings_file: self.strings.clone(),
            record_hosts: true,
            log_hosts: true,
            ..InputSettings::of_file(local.path())
        };
        let shown = Showing {
            whole: self.all,
            shown: if self.secrets {
                Shown::all()
            } else {
                Shown::default()
            },
        };
        let mut failure = None;
        print(|out| match show::show(&settings, &shown, out) {
            Ok(()) => Ok(()),
            Err(ShowError::Output(error)) => Err(error),
            Err(error) => {
                failure = Some(Failure::setup(error));
                Ok(())
            }
        })?;
        failure.map_or(Ok(exit::OK), Err)
    }
}

impl ConvertArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let local = Local::of(&self.file)?;
        let kind = show::kind_of(local.path()).map_err(Failure::setup)?;
        let mut files = Files::default();
        files.reads("the old file", &self.file);
        if let Some(strings) = &self.strings {
            files.reads("the strings file", strings);
        }
        files.writes("the new file", &self.output);
        let converted = match kind {
            FileKind::Results => {
                let target = self.results_target()?;
                if let ResultsTarget::File(format) = target
                    && let Some(strings) = format.strings_file(&self.output)
                {
                    files.writes("the strings of the new file", &strings);
                }
                files.check()?;
                convert::results(local.path(), &self.output, target)
            }
            #[cfg(feature = "parquet")]
            _ if self.partition.is_some() => {
                let text = "--partition is for results, and this file is an input";
                return Err(Failure::usage(text));
            }
            _ => {
                let target = self.input_target()?;
                files.check()?;
                let settings = InputSettings {
                    format: self.format,
                    strings_file: self.strings.clone(),
                    host: self.host.clone(),
                    record_hosts: self.record_hosts,
                    log_hosts: self.record_hosts,
                    bad_limit: self.max_bad,
                    ..InputSettings::of_file(local.path())
                };
                convert::input(&settings, &self.output, target)
            }
        };
        match converted {
            Ok(converted) => self.report(&converted),
            Err(ConvertError::Output(error)) if error.is_broken_pipe() => {}
            Err(ConvertError::Output(error)) => return Err(Failure::output(error)),
            Err(error) => return Err(Failure::setup(error)),
        }
        Ok(exit::OK)
    }

    fn results_target(&self) -> Result<ResultsTarget, Failure> {
        #[cfg(feature = "parquet")]
        if let Some(period) = self.partition {
            let partition = match period {
                Period::Second => Partition::Second,
                Period::Minute => Partition::Minute,
            };
            return Ok(ResultsTarget::Folders(self.run_name()?, partition));
        }
        self.result_format().map(ResultsTarget::File)
    }

    #[cfg(feature = "parquet")]
    fn run_name(&self) -> Result<String, Failure> {
        let name = match &self.run {
            Some(name) => name.clone(),
            None if self.file == Path::new("-") => {
                return Err(Failure::usage("name the run with --run"));
            }
            None => {
                let stem = self.file.file_stem().unwrap_or_default();
                stem.to_string_lossy().into_owned()
            }
        };
        // It becomes the name of a folder.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > 100 || !name.bytes().all(is_plain) {
            return Err(Failure::usage(format!(
                "the run's name {name:?}: use up to 100 letters, digits, '-', '_' and '.', and \
                 name it with --run"
            )));
        }
        Ok(name)
    }

    fn result_format(&self) -> Result<ResultFormat, Failure> {
        let format = match &self.to {
            Some(name) => ResultFormat::of_text(name),
            None => ResultFormat::of_name(&self.output),
        };
        let text = "into which format? End the new file's name in .bin, .ldjson, .csv, .phout, \
                    .seconds or .parquet, or name the format with --to";
        format.ok_or_else(|| Failure::usage(text))
    }

    fn input_target(&self) -> Result<InputTarget, Failure> {
        match self.to.as_deref() {
            None | Some("native") => Ok(InputTarget::Native),
            Some("payload") => Ok(InputTarget::GoPayload),
            Some(_) => Err(Failure::usage(
                "an input can be converted to native or payload",
            )),
        }
    }

    fn report(&self, converted: &Converted) {
        for bad in &converted.bad {
            complain(&bad.to_string());
        }
        let Converted {
            count,
            bad_count,
            left_out,
            ..
        } = converted;
        let records = counted(*count, "record");
        match &converted.results {
            Some(summary) => complain(&summary.to_string()),
            None if left_out.is_empty() => {
                complain(&format!("{records}, {bad_count} broken"));
            }
            None => complain(&format!(
                "{records}, {bad_count} broken, {} left out ({left_out})",
                left_out.count()
            )),
        }
        converted
            .warning
            .iter()
            .for_each(|warning| complain(warning));
    }
}

/// A file that supports random access. The standard input is copied to a file without a
/// name, which then replaces it: messages still name the standard input, and nothing is
/// left at the end.
#[derive(Debug)]
pub(super) struct Local(PathBuf);

impl Local {
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        if path != Path::new("-") {
            return Ok(Self(path.to_owned()));
        }
        let failed = |error| Failure::setup(format!("can't read the standard input: {error}"));
        let mut copy = tempfile::tempfile().map_err(failed)?;
        std::io::copy(&mut std::io::stdin().lock(), &mut copy).map_err(failed)?;
        rustix::stdio::dup2_stdin(&copy).map_err(|errno| failed(errno.into()))?;
        Ok(Self(PathBuf::from("/dev/stdin")))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

/// Fails if the standard output leads into the file that is read.
pub(super) fn check_stdout(what: &'static str, file: &Path) -> Result<(), Failure> {
    let mut files = Files::default();
    Ok(files.reads(what, file).check()?)
}
