//! `encarno report`, and `--report` of a run: write a page of HTML about result files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use encarno_report::Run as ReportRun;
use encarno_report::demand::{Demand, Judged};
use encarno_report::served::Address;

use super::read::Local;
use super::{Failure, complain, page};
use crate::files::Files;
use crate::{capacity, exit};

/// The arguments of `encarno report`.
#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// Native result files. The page shows several in the same charts, and compares them with
    /// the first. - is the standard input.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The page to write [default: the first file's name, with .html at its end].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Exit with status 99 if this is true. 'p99 +10%' and 'rate -5%' compare with the first
    /// run; 'p99 > 200ms', 'failed > 1%' and 'rate < 100' are about each run.
    #[arg(long, value_name = "DEMAND", allow_hyphen_values = true)]
    fail_if: Vec<Demand>,
    /// Serve the page instead of writing it, also while the file grows, until you stop this
    /// command [default: port 7070, for this machine alone].
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 0..=1,
        default_missing_value = ":7070",
        conflicts_with_all = ["output", "fail_if"]
    )]
    live: Option<Address>,
}

impl ReportArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        if let Some(address) = &self.live {
            return self.serve(address);
        }
        let is_stdin = |file: &PathBuf| file == Path::new("-");
        let output = match &self.output {
            Some(output) => output.clone(),
            None if self.files.iter().any(is_stdin) => {
                return Err(Failure::usage("give the page a name: -o run.html"));
            }
            None => self.files[0].with_extension("html"),
        };
        let mut files = Files::default();
        for file in &self.files {
            files.reads("the result file", file);
        }
        files.writes("the report", &output);
        files.check()?;
        if self.files.len() < 2 && self.fail_if.iter().any(Demand::compares) {
            return Err(Failure::usage(
                "--fail-if compares with the first run: name a second result file",
            ));
        }
        let locals = self.files.iter().map(|file| Local::of(file));
        let locals = locals.map(|local| Ok(local?.path().to_owned()));
        let locals = locals.collect::<Result<Vec<_>, Failure>>()?;
        let judged = write(&locals, &output, &self.fail_if)?;
        for judged in &judged {
            complain(&judged.text);
        }
        let failed = judged.iter().any(|judged| judged.failed);
        Ok(if failed { exit::CRITERIA } else { exit::OK })
    }

    fn serve(&self, address: &Address) -> Result<u8, Failure> {
        let [file] = &self.files[..] else {
            return Err(Failure::usage("--live shows one result file"));
        };
        let is_over = Arc::new(AtomicBool::new(false));
        for signal in super::ending_signals() {
            signal_hook::flag::register(signal, Arc::clone(&is_over)).map_err(Failure::setup)?;
        }
        let bound = page::at(address)?;
        let url = bound.url().to_owned();
        let name = names(&self.files).concat();
        let live = bound.show(file, name, None).map_err(Failure::setup)?;
        complain(&format!("{} is shown at {url}", file.display()));
        live.wait(|| is_over.load(Ordering::Relaxed));
        Ok(exit::OK)
    }
}

/// Writes the report of result files.
pub(super) fn write(
    files: &[PathBuf],
    output: &Path,
    demands: &[Demand],
) -> Result<Vec<Judged>, Failure> {
    let names = names(files);
    let runs = files.iter().zip(names).map(|(file, name)| read(file, name));
    let runs = runs.collect::<Result<Vec<_>, _>>()?;
    for run in &runs {
        if !run.whole.summary.is_whole() {
            complain(&format!("{}: {}", run.name, run.whole.summary));
        }
    }
    let judged: Vec<_> = demands
        .iter()
        .flat_map(|demand| demand.judge(&runs))
        .collect();
    match encarno_report::write_file(&runs, &judged, output) {
        // The reader has closed the pipe.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(judged),
        Err(error) => Err(Failure::output(format!(
            "can't write {}: {error}",
            output.display()
        ))),
        Ok(()) => Ok(judged),
    }
}

fn read(file: &Path, name: String) -> Result<ReportRun, Failure> {
    let mut run = ReportRun::of_file(file, name).map_err(Failure::setup)?;
    let marks = run.marks.iter().map(|(_, text)| &**text);
    run.capacity = capacity::drawn::of_marks(file, marks);
    Ok(run)
}

/// File names, or whole paths if names are equal.
pub(super) fn names(files: &[PathBuf]) -> Vec<String> {
    let name = |file: &PathBuf| {
        file.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    files
        .iter()
        .map(|file| {
            let alike = files
                .iter()
                .filter(|other| name(other) == name(file))
                .count()
                > 1;
            let path = || file.display().to_string();
            if alike {
                path()
            } else {
                name(file).unwrap_or_else(path)
            }
        })
        .collect()
}
