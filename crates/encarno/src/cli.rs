//! The command line: flags once, into validated settings.

mod capacity;
mod flags;
mod habits;
mod hit;
mod parent;
mod read;
mod report;
mod step;
mod tail;
mod target;

use std::io::{self, BufWriter, Stdout, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use clap::{Parser, Subcommand};
use encarno_engine::RunError;
use encarno_engine::workers::Control;
use encarno_engine::workers::control::Stop;
use rustix::process::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit;
use crate::files::{Clash, Files};
use crate::protocols::{self, Run};

/// Hit generator: raw hits at a rate or a concurrency, every hit recorded.
///
/// Exit codes: 0 the run ended as it should (hits may have failed all the
/// same), 1 it couldn't be set up, 2 wrong usage, 3 too many broken records,
/// 4 an output failed, 5 no file descriptors left, 6 with --strict: the
/// generator itself was the limit, 99 what `report --fail-if` names came to
/// be, 130 stopped at once by a second signal.
#[derive(Debug, Parser)]
#[command(
    name = "encarno",
    version,
    about,
    long_about,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// A configuration file: the same as `encarno run FILE`.
    file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Hit a URL, or send a file of records.
    Hit(Box<hit::HitArguments>),
    /// Measure how much a system can do: throughput by workers, and the highest rate that keeps a goal.
    Capacity(capacity::CapacityArguments),
    /// Run a configuration file.
    Run {
        /// The file: Go-encarno's YAML, and keys of ours.
        file: PathBuf,
        /// Read the file and its input, and send nothing: is everything right?
        #[arg(long)]
        check: bool,
        /// End when that process has ended, as after SIGTERM.
        #[arg(long, value_name = "PID", value_parser = process)]
        parent: Option<Pid>,
    },
    /// Sum up a result file.
    Stats(read::StatsArguments),
    /// Show a result file or an input file, for people to read.
    Show(read::ShowArguments),
    /// Follow a result file while it grows, until its run has ended.
    Tail(tail::TailArguments),
    /// Convert results to other formats, and inputs to the native one.
    Convert(read::ConvertArguments),
    /// Write a report of result files: one page of HTML that needs nothing else.
    Report(report::ReportArguments),
    /// Write a stpd file from records and a schedule.
    Step(step::StepArguments),
    /// Serve scripted answers, to test and calibrate with.
    Target(target::TargetArguments),
}

/// The whole program.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse_from(habits::completed(std::env::args_os())) {
        Ok(arguments) => arguments,
        Err(error) => {
            let said = said_instead(&error);
            let first = std::env::args_os().nth(1).map(PathBuf::from);
            if let Some(command) = first
                .filter(|_| error.use_stderr())
                .as_deref()
                .and_then(habits::meant)
            {
                complain(&format!("did you mean `encarno {command}`?"));
            }
            return said;
        }
    };
    start_log();
    let result = match (arguments.command, arguments.file) {
        (
            Some(Command::Run {
                file, check: true, ..
            }),
            _,
        ) => check_file(&file),
        (Some(Command::Run { file, parent, .. }), _) => {
            parent::end_with(parent).and_then(|()| run_file(&file))
        }
        (None, Some(file)) => run_file(&file),
        (Some(Command::Hit(arguments)), _) => arguments.settings().and_then(|settings| {
            let mut files = settings.files();
            arguments.note_files(&mut files);
            report::around(arguments.output.report.as_deref(), settings, files, run)
        }),
        (Some(Command::Capacity(arguments)), _) => arguments.run(),
        (Some(Command::Stats(arguments)), _) => arguments.run(),
        (Some(Command::Show(arguments)), _) => arguments.run(),
        (Some(Command::Tail(arguments)), _) => arguments.run(),
        (Some(Command::Convert(arguments)), _) => arguments.run(),
        (Some(Command::Report(arguments)), _) => arguments.run(),
        (Some(Command::Step(arguments)), _) => arguments.run(),
        (Some(Command::Target(arguments)), _) => arguments.run(),
        (None, None) => Err(Failure::usage("nothing to do: see encarno --help")),
    };
    ExitCode::from(result.unwrap_or_else(|failure| {
        if failure.on_stdout {
            let _shown = writeln!(std::io::stdout(), "encarno: {}", failure.text);
        } else {
            complain(&failure.text);
        }
        failure.exit_code
    }))
}

/// Help, version, or what is wrong with the command line.
fn said_instead(error: &clap::Error) -> ExitCode {
    let code = u8::try_from(error.exit_code()).unwrap_or(exit::USAGE);
    match error.print().and_then(|()| io::stdout().flush()) {
        Err(failed) if !error.use_stderr() && failed.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("can't write the standard output: {failed}"));
            ExitCode::from(exit::OUTPUT)
        }
        _ => ExitCode::from(code),
    }
}

/// Why a command failed, and the exit code that says so.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    exit_code: u8,
    /// The standard error is a file that must stay as it is.
    on_stdout: bool,
}

impl Failure {
    fn new(error: impl ToString, exit_code: u8) -> Self {
        Self {
            text: error.to_string(),
            exit_code,
            on_stdout: false,
        }
    }

    /// The command couldn't be set up or carried out.
    pub(crate) fn setup(error: impl ToString) -> Self {
        Self::new(error, exit::SETUP)
    }

    /// A run failed.
    pub(crate) fn run(error: &RunError) -> Self {
        Self::new(error, exit::of(error))
    }

    /// An output can't be written.
    pub(crate) fn output(error: impl ToString) -> Self {
        Self::new(error, exit::OUTPUT)
    }

    /// The command line is wrong.
    pub(crate) fn usage(error: impl ToString) -> Self {
        Self::new(error, exit::USAGE)
    }
}

impl From<Clash> for Failure {
    fn from(clash: Clash) -> Self {
        Self {
            on_stdout: clash.is_of_stderr(),
            ..Self::usage(clash)
        }
    }
}

fn process(text: &str) -> Result<Pid, String> {
    text.parse()
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| "expected the number of a process".to_owned())
}

fn check_file(file: &Path) -> Result<u8, Failure> {
    let run = crate::config::read(file).map_err(Failure::setup)?;
    let records = protocols::read_through(&run).map_err(|error| Failure::run(&error))?;
    let _shown = writeln!(
        std::io::stdout(),
        "{records} records: all of them can be sent"
    );
    Ok(exit::OK)
}

fn run_file(file: &Path) -> Result<u8, Failure> {
    if let Some(command) = habits::meant(file) {
        let text = format!(
            "there is no command and no file {:?}: did you mean `encarno {command}`?",
            file.display().to_string()
        );
        return Err(Failure::usage(text));
    }
    let settings = crate::config::read(file).map_err(Failure::setup)?;
    let mut files = settings.files();
    files.reads("the configuration", file);
    run(&settings, &files)
}

/// Runs, shows the summary, and says how it went.
fn run(run: &Run, files: &Files) -> Result<u8, Failure> {
    files.check()?;
    for file in files.replaced() {
        complain(&format!(
            "{}: the file that was there is replaced",
            file.display()
        ));
    }
    let summary = match protocols::run(run, connect_signals) {
        Ok(summary) => summary,
        // Whoever read the output has seen enough.
        Err(RunError::Output(error)) if error.is_broken_pipe() => return Ok(exit::OK),
        Err(error) => {
            return Err(Failure::run(&error));
        }
    };
    let text = crate::report::run_text(&summary);
    if files.write_stdout() {
        // There is no other place to say it.
        let _shown = writeln!(std::io::stderr(), "{text}");
    } else {
        print(|out| writeln!(out, "{text}"))?;
    }
    Ok(match summary.stop {
        Stop::Now => exit::INTERRUPTED,
        _ if run.strict && summary.verdict.is_limited() => exit::STRICT,
        _ => exit::OK,
    })
}

/// The signals that end a command: SIGHUP, too, since its terminal is gone then,
/// unless whoever started it said that it shall live on (`nohup`).
pub(crate) fn ending_signals() -> Vec<i32> {
    let mut signals = vec![SIGINT, SIGTERM];
    if !is_ignored(SIGHUP) {
        signals.push(SIGHUP);
    }
    signals
}

fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 << (signal - 1) != 0)
}

/// The first signal lets running hits end, the second doesn't, the third ends the program.
fn connect_signals(control: Arc<Control>) {
    let signals = match Signals::new(ending_signals()) {
        Ok(signals) => signals,
        Err(error) => return tracing::warn!("signals end the run at once: {error}"),
    };
    let body = move || {
        let mut signals = signals;
        for (count, _signal) in signals.forever().enumerate() {
            match count {
                0 | 1 => {
                    let said = match control.stop_harder() {
                        Stop::Now => "stopping at once",
                        _ => "stopping: running hits may end; once more to stop at once",
                    };
                    complain(said);
                }
                _ => std::process::exit(exit::INTERRUPTED.into()),
            }
        }
    };
    if let Err(error) = thread::Builder::new()
        .name("signals".to_owned())
        .spawn(body)
    {
        tracing::warn!("signals are ignored: {error}");
    }
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ENCARNO_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}

/// Prints what a command says. A reader that has seen enough (`| head`) is no
/// failure; a standard output that takes no more is.
pub(crate) fn print<W>(write: W) -> Result<(), Failure>
where
    W: FnOnce(&mut BufWriter<Stdout>) -> io::Result<()>,
{
    let mut out = BufWriter::new(io::stdout());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::output(format!(
            "can't write the standard output: {error}"
        ))),
        _ => {
            // What couldn't be written must not be tried again.
            drop(out.into_parts());
            Ok(())
        }
    }
}

fn complain(text: &str) {
    // There is no other place to say it.
    let _shown = writeln!(std::io::stderr(), "encarno: {text}");
}
