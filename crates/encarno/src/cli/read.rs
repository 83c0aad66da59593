//! `encarno stats`, `show` and `convert`: files that are there already.

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use encarno_input::{InputFormat, InputSettings};

use super::{Failure, complain};
use crate::exit;
use crate::read::convert::{self, Converted, InputTarget, ResultFormat};
use crate::read::show::{self, FileKind, ShowError};
use crate::read::stats;

/// What `encarno stats` understands.
#[derive(Debug, Args)]
pub(super) struct StatsArguments {
    /// A native result file.
    file: PathBuf,
    /// For programs instead of people.
    #[arg(long)]
    json: bool,
}

/// What `encarno show` understands.
#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    /// A native result file, or an input file of any format.
    file: PathBuf,
    /// An input file's format, when it isn't recognised.
    #[arg(long, value_name = "FORMAT")]
    format: Option<InputFormat>,
    /// The strings file (.istr) of an indexed payload file.
    #[arg(long, value_name = "FILE")]
    strings: Option<PathBuf>,
    /// Show payloads whole.
    #[arg(long)]
    all: bool,
}

/// What `encarno convert` understands.
#[derive(Debug, Args)]
pub(super) struct ConvertArguments {
    /// A native result file, or an input file of any format.
    file: PathBuf,
    /// The new file. For results its ending says the format: .bin (Go-encarno,
    /// with an .ostr beside it), .ldjson, .csv, .phout, .seconds (JSON lines with
    /// the sums of each second), .parquet. An input
    /// becomes a native input, or Go-encarno's payload file with --to payload.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// The new format, when the name's ending doesn't say it: bin, ldjson, csv,
    /// phout, seconds, parquet; native, payload.
    #[arg(long, value_name = "FORMAT")]
    to: Option<String>,
    /// An input file's format, when it isn't recognised.
    #[arg(long, value_name = "FORMAT")]
    format: Option<InputFormat>,
    /// The strings file (.istr) of an indexed payload file.
    #[arg(long, value_name = "FILE")]
    strings: Option<PathBuf>,
    /// The Host header of requests made from URLs, unless the file says another.
    #[arg(long, value_name = "HOST", default_value = "")]
    host: String,
    /// Give up after more broken records than that.
    #[arg(long, value_name = "N", default_value_t = 100)]
    max_bad: u64,
}

impl StatsArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let mut file = stats::read(&self.file).map_err(Failure::setup)?;
        let mut out = BufWriter::new(io::stdout());
        let printed = if self.json {
            stats::print_json(&mut file, &mut out)
        } else {
            stats::print_table(&file.statistics, &mut file.texts, &mut out)
        };
        finish(printed.and_then(|()| out.flush()))?;
        if !file.summary.is_whole() {
            complain(&format!("{}: {}", self.file.display(), file.summary));
        }
        Ok(exit::OK)
    }
}

impl ShowArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let mut out = BufWriter::new(io::stdout());
        let settings = InputSettings {
            format: self.format,
            strings_file: self.strings.clone(),
            ..InputSettings::of_file(&self.file)
        };
        match show::show(&settings, self.all, &mut out) {
            Ok(()) => finish(out.flush())?,
            Err(ShowError::Io(error)) => finish(Err(error))?,
            Err(error) => return Err(Failure::setup(error)),
        }
        Ok(exit::OK)
    }
}

impl ConvertArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        if same_file(&self.file, &self.output) {
            return Err(Failure::usage("the new file is the old one"));
        }
        let converted = match show::kind_of(&self.file).map_err(Failure::setup)? {
            FileKind::Results => convert::results(&self.file, &self.output, self.result_format()?),
            _ => {
                let settings = InputSettings {
                    format: self.format,
                    strings_file: self.strings.clone(),
                    host: self.host.clone(),
                    bad_max: self.max_bad,
                    ..InputSettings::of_file(&self.file)
                };
                convert::input(&settings, &self.output, self.input_target()?)
            }
        };
        self.report(&converted.map_err(Failure::setup)?);
        Ok(exit::OK)
    }

    fn result_format(&self) -> Result<ResultFormat, Failure> {
        let format = match &self.to {
            Some(name) => ResultFormat::of_text(name),
            None => ResultFormat::of_name(&self.output),
        };
        let text = "into what? End the new file's name in .bin, .ldjson, .csv, .phout, .seconds or .parquet, or say it with --to";
        format.ok_or_else(|| Failure::usage(text))
    }

    fn input_target(&self) -> Result<InputTarget, Failure> {
        match self.to.as_deref() {
            None | Some("native") => Ok(InputTarget::Native),
            Some("payload") => Ok(InputTarget::GoPayload),
            Some(_) => Err(Failure::usage("an input becomes native or payload")),
        }
    }

    fn report(&self, converted: &Converted) {
        for bad in &converted.bad {
            complain(&bad.to_string());
        }
        let Converted {
            count,
            bad_count,
            skipped,
            ..
        } = converted;
        match &converted.results {
            Some(summary) => complain(&summary.to_string()),
            None => complain(&format!(
                "{count} records, {bad_count} broken, {skipped} left out"
            )),
        }
        converted
            .warning
            .iter()
            .for_each(|warning| complain(warning));
    }
}

fn same_file(one: &std::path::Path, other: &std::path::Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// A reader that has seen enough (`| head`) is no failure.
fn finish(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::setup(error)),
        _ => Ok(()),
    }
}
