//! `encarno tail`: follows a result file while it grows.

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use rustix::process::Pid;

use super::flags::duration;
use super::read::check_stdout;
use super::{Failure, complain, process};
use crate::exit;
use crate::read::convert::ConvertError;
use crate::read::tail::{self, TailEnd, TailSettings};
use encarno_record::formats::ResultFormat;

/// The arguments of `encarno tail`.
#[derive(Debug, Args)]
pub(super) struct TailArguments {
    /// A native result file. It need not exist yet.
    file: PathBuf,
    /// What to print: every hit, as csv, ldjson or phout; or the sums of each second, as a line
    /// of JSON (seconds).
    #[arg(long, default_value = "csv", value_parser = format)]
    format: ResultFormat,
    /// The process that writes the file. When it ends, so does this command.
    #[arg(long, value_name = "PID", value_parser = process)]
    pid: Option<Pid>,
    /// Without --pid: end when nothing has been written for this long.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration)]
    idle: Duration,
}

impl TailArguments {
    pub(super) fn run(self) -> Result<u8, Failure> {
        if self.file == Path::new("-") {
            return Err(Failure::usage(
                "tail follows a file; `encarno stats -` and `encarno show -` read the standard input",
            ));
        }
        check_stdout("the result file", &self.file)?;
        let settings = TailSettings {
            file: self.file,
            format: self.format,
            writer: self.pid,
            idle_max: self.idle,
        };
        let output = io::stdout();
        let (end, summary) = match tail::tail(&settings, Path::new("-"), output.as_fd()) {
            Ok(tailed) => tailed,
            Err(ConvertError::Output(error)) if error.is_broken_pipe() => return Ok(exit::OK),
            Err(ConvertError::Output(error)) => return Err(Failure::output(error)),
            Err(error) => return Err(Failure::setup(error)),
        };
        match end {
            TailEnd::Whole if summary.is_whole() => {}
            TailEnd::Whole => complain(&format!("{}: {summary}", settings.file.display())),
            TailEnd::ReaderGone => {}
            end => complain(&format!("{}: {end}: {summary}", settings.file.display())),
        }
        Ok(exit::OK)
    }
}

fn format(name: &str) -> Result<ResultFormat, String> {
    match ResultFormat::of_text(name) {
        Some(
            format @ (ResultFormat::Csv
            | ResultFormat::Ldjson
            | ResultFormat::Phout
            | ResultFormat::Seconds),
        ) => Ok(format),
        _ => Err("write csv, ldjson, phout or seconds".to_owned()),
    }
}
