//! `encarno merge`: merges result files into one.

use std::path::PathBuf;

use clap::Args;
use encarno_record::files::is_stdout;
use encarno_record::merge::{self, End, MergeError, Part};
use encarno_record::statistics::counted;

use super::{Failure, complain};
use crate::exit;
use crate::files::Files;

/// The arguments of `encarno merge`.
#[derive(Debug, Args)]
pub(super) struct MergeArguments {
    /// Native result files, in any order.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The new file.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

impl MergeArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let mut files = Files::default();
        for file in &self.files {
            if file.as_os_str() == "-" {
                let text = "merge doesn't read the standard input: name the files";
                return Err(Failure::usage(text));
            }
            files.reads("a result file", file);
        }
        if is_stdout(&self.output) {
            return Err(Failure::usage(
                "merge needs a name for the new file: -o all.enc",
            ));
        }
        files.writes("the merged file", &self.output).check()?;
        let parts: Vec<Part> = self.files.iter().map(|file| Part::of(file)).collect();
        let merged = merge::merge(&parts, &self.output, |_| End::AsParts);
        let merged = merged.map_err(|error| match error {
            MergeError::Output(error) => Failure::output(error),
            error => Failure::setup(error),
        })?;
        merged.remarks.iter().for_each(|remark| complain(remark));
        complain(&format!(
            "{}: {} merged; encarno stats sums it up",
            self.output.display(),
            counted(parts.len() as u64, "file")
        ));
        Ok(exit::OK)
    }
}
