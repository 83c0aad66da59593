//! `encarno report`, and `--report` of a run: a page of HTML about result files.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use encarno_report::Run as ReportRun;
use encarno_report::demand::{Demand, Judged};

use super::{Failure, complain};
use crate::exit;
use crate::files::Files;
use crate::protocols::Run;

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
}

impl ReportArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
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
}

/// Runs, and writes the report of it. The page is made of the result file: a run
/// without one has one for so long.
pub(super) fn around(
    report: Option<&Path>,
    mut run: Run,
    mut files: Files,
    go: impl FnOnce(&Run, &Files) -> Result<u8, Failure>,
) -> Result<u8, Failure> {
    let Some(report) = report else {
        return go(&run, &files);
    };
    files.writes("the report", report);
    let mut temporary = None;
    let native = match &run.settings.output.native {
        Some(native) => native.clone(),
        None => {
            files.check()?;
            let folder = tempfile::tempdir().map_err(Failure::output)?;
            let file = folder.path().join("run.enc");
            temporary = Some(folder);
            run.settings.output.native = Some(file.clone());
            file
        }
    };
    if !native
        .parent()
        .is_none_or(|folder| folder == Path::new("") || folder.is_dir())
        || encarno_record::files::is_stdout(&native)
    {
        let text =
            "--report is made of the result file: write that to a file, not to the standard output";
        return Err(Failure::usage(text));
    }
    let code = go(&run, &files)?;
    write(&[native], report, &[])?;
    complain(&format!("the report is in {}", report.display()));
    drop(temporary);
    Ok(code)
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
    ReportRun::of_file(file, name).map_err(Failure::setup)
}

/// File names, or paths where names are alike.
fn names(files: &[PathBuf]) -> Vec<String> {
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
