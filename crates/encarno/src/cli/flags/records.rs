//! Flags for records from a file, which are sent instead of one request.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use clap::Args;
use encarno_input::{AutoLabel, BadLimit, InputFormat, InputSettings, Scripts, Sharing};

use super::load::RecordsLoad;
use crate::cli::Failure;
use crate::cli::read::Local;
use crate::url_text::ValueText;

/// Where records come from, and which of them are sent.
#[derive(Debug, Args)]
#[command(next_help_heading = "Records of a file")]
pub(crate) struct RecordsArguments {
    /// Send the records of this file instead of one request. - is the standard input.
    #[arg(short, long, value_name = "FILE")]
    pub(super) input: Option<PathBuf>,
    /// Copy the standard input to a temporary file first, so that it can be read several times.
    #[arg(long, requires = "input")]
    spool: bool,
    /// The format of the file, if it isn't recognised: payload, raw, stpd, uri, uripost,
    /// access, jsonline, urls, vegeta or native.
    #[arg(long, value_name = "FORMAT", requires = "input")]
    format: Option<InputFormat>,
    /// The strings file (.istr) of an indexed payload file.
    #[arg(long, value_name = "FILE", requires = "input")]
    pub(crate) strings: Option<PathBuf>,
    /// Replace ${NAME} in the records by this text.
    #[arg(long = "value", value_name = "NAME=TEXT", requires = "input")]
    values: Vec<ValueText>,
    /// Send records to the hosts that their URLs name, instead of URL.
    #[arg(long, requires = "input")]
    record_hosts: bool,
    /// Label records that have no label: with the first N segments of the path (_a_b), with the
    /// whole path (uri), or with an id each (uniq).
    #[arg(long, value_name = "N", requires = "input")]
    auto_label: Option<AutoLabel>,
    /// Send only records with this label.
    #[arg(long = "choose", value_name = "LABEL", requires = "input")]
    chosen_labels: Vec<String>,
    /// Read the file N times.
    #[arg(long = "loop", value_name = "N", requires = "input")]
    passes: Option<NonZeroU64>,
    /// Let each worker read the file for itself.
    #[arg(long, requires = "input")]
    pub(crate) per_worker: bool,
    /// End the run when more records than this are broken: a number, or a share of all records.
    #[arg(long, value_name = "N", default_value = "10%")]
    max_bad: BadLimit,
}

impl RecordsArguments {
    /// The input settings from the file and these flags. If there is no URL, records go
    /// to the hosts that they name.
    pub(super) fn settings(&self, file: &Path, no_url: bool) -> Result<InputSettings, Failure> {
        let values = self.values.iter().map(ValueText::parts);
        Ok(InputSettings {
            strings_file: self.strings.clone(),
            values: values.collect::<Result<_, _>>().map_err(Failure::usage)?,
            auto_label: self.auto_label.unwrap_or_default(),
            chosen_labels: self.chosen_labels.clone(),
            sharing: if self.per_worker {
                Sharing::PerWorker
            } else {
                Sharing::Shared
            },
            passes: self.passes,
            record_hosts: self.record_hosts || no_url,
            log_hosts: self.record_hosts,
            bad_limit: self.max_bad,
            scripts: Scripts::Run,
            ..self.file_settings(file)
        })
    }

    /// Whether the file's name is a URL. Other tools have a switch `-i`.
    pub(crate) fn is_url(&self) -> bool {
        let name = self.input.as_deref().and_then(Path::to_str);
        name.is_some_and(|name| name.contains("://"))
    }

    /// Replaces the standard input by a copy of it.
    pub(crate) fn spool(&mut self) -> Result<Option<Local>, Failure> {
        let Some(input) = self.input.as_mut().filter(|_| self.spool) else {
            return Ok(None);
        };
        let copy = Local::of(input)?;
        *input = copy.path().to_owned();
        Ok(Some(copy))
    }

    fn file_settings(&self, file: &Path) -> InputSettings {
        InputSettings {
            format: self.format,
            ..InputSettings::of_file(file)
        }
    }

    /// What the file means for the workload.
    pub(crate) fn load(&self) -> RecordsLoad {
        RecordsLoad {
            stepped: self.is_stepped(),
            bounded: self.passes.is_some(),
        }
    }

    /// Whether the records carry instants. The standard input can't be examined
    /// beforehand, so its format must be named.
    fn is_stepped(&self) -> bool {
        let Some(file) = self
            .input
            .as_ref()
            .filter(|file| file.is_file() || self.format.is_some())
        else {
            return false;
        };
        let format = encarno_input::format_of(&self.file_settings(file));
        matches!(format, Ok(InputFormat::Stpd))
    }

    /// Fails if records of the file contain their own method and body, as those of most
    /// formats do. A file that can't be examined beforehand counts by its format.
    pub(super) fn check_urls_only(&self, file: &Path) -> Result<(), Failure> {
        let format = if self.format.is_some() || file.is_file() {
            encarno_input::format_of(&self.file_settings(file)).map_err(Failure::setup)?
        } else {
            InputFormat::Urls
        };
        if format.has_urls_only() {
            return Ok(());
        }
        let text = "--method and --data are for records that are URLs: the records of this file \
                    have their own";
        Err(Failure::usage(text))
    }
}
