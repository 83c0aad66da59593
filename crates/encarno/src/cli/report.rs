//! `encarno report`, and `--report` of a run: a page of HTML about result files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use encarno_report::Run as ReportRun;
use encarno_report::demand::{Demand, Judged};
use encarno_report::live::{Bound, LiveAddress};

use super::{Failure, complain};
use crate::files::Files;
use crate::{capacity, exit};

/// What `encarno report` understands.
#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// Native result files. Several are laid over one another, and compared with the first.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// The page [default: the first file's name, ending in .html].
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Exit with 99 if that is so: 'p99 +10%' or 'rate -5%' compares with the first run; 'p99 > 200ms',
    /// 'failed > 1%' and 'rate < 100' hold for each.
    #[arg(long, value_name = "DEMAND", allow_hyphen_values = true)]
    fail_if: Vec<Demand>,
    /// Write no page: serve it, also while the file grows, until this command is ended. Without an
    /// address at :7070 of this machine alone.
    #[arg(
        long,
        value_name = "ADDRESS",
        num_args = 0..=1,
        default_missing_value = ":7070",
        conflicts_with_all = ["output", "fail_if"]
    )]
    live: Option<LiveAddress>,
}

impl ReportArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        if let Some(address) = &self.live {
            return self.serve(address);
        }
        let output = match &self.output {
            Some(output) => output.clone(),
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
        let judged = write(&self.files, &output, &self.fail_if)?;
        for judged in &judged {
            complain(&judged.text);
        }
        let failed = judged.iter().any(|judged| judged.failed);
        Ok(if failed { exit::CRITERIA } else { exit::OK })
    }

    fn serve(&self, address: &LiveAddress) -> Result<u8, Failure> {
        let [file] = &self.files[..] else {
            return Err(Failure::usage("--live shows one result file"));
        };
        let is_over = Arc::new(AtomicBool::new(false));
        for signal in super::ending_signals() {
            signal_hook::flag::register(signal, Arc::clone(&is_over)).map_err(Failure::setup)?;
        }
        let failed = |error| Failure::setup(format!("--live can't listen on {address}: {error}"));
        let bound = Bound::to(address).map_err(failed)?;
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
        // Whoever reads it has seen enough.
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

/// File names, or paths where names are alike.
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
