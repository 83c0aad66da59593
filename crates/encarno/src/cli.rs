//! The command line: flags once, into validated settings.

mod hit;
mod read;
mod step;
mod tail;
mod target;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use clap::{Parser, Subcommand};
use encarno_engine::workers::Control;
use encarno_engine::workers::control::Stop;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit;
use crate::protocols::{self, Run};

/// Hit generator: raw hits at a rate or a concurrency, every hit recorded.
///
/// Exit codes: 0 the run ended as it should (hits may have failed all the
/// same), 1 it couldn't be set up, 2 wrong usage, 3 too many broken records,
/// 4 an output failed, 5 no file descriptors left, 6 with --strict: the
/// generator itself was the limit, 130 stopped at once by a second signal.
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
    /// Run a configuration file.
    Run {
        /// The file: Go-encarno's YAML, and keys of ours.
        file: PathBuf,
    },
    /// Sum up a result file.
    Stats(read::StatsArguments),
    /// Show a result file or an input file, for people to read.
    Show(read::ShowArguments),
    /// Follow a result file while it grows, until its run has ended.
    Tail(tail::TailArguments),
    /// Convert results to other formats, and inputs to the native one.
    Convert(read::ConvertArguments),
    /// Write a stpd file from records and a schedule.
    Step(step::StepArguments),
    /// Serve scripted answers, to test and calibrate with.
    Target(target::TargetArguments),
}

/// The whole program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_log();
    let result = match (arguments.command, arguments.file) {
        (Some(Command::Run { file }), _) | (None, Some(file)) => run_file(&file),
        (Some(Command::Hit(arguments)), _) => {
            arguments.settings().and_then(|settings| run(&settings))
        }
        (Some(Command::Stats(arguments)), _) => arguments.run(),
        (Some(Command::Show(arguments)), _) => arguments.run(),
        (Some(Command::Tail(arguments)), _) => arguments.run(),
        (Some(Command::Convert(arguments)), _) => arguments.run(),
        (Some(Command::Step(arguments)), _) => arguments.run(),
        (Some(Command::Target(arguments)), _) => arguments.run(),
        (None, None) => Err(Failure::usage("nothing to do: see encarno --help")),
    };
    ExitCode::from(result.unwrap_or_else(|failure| {
        complain(&failure.text);
        failure.exit_code
    }))
}

/// Why a command failed, and the exit code that says so.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    exit_code: u8,
}

impl Failure {
    /// The command couldn't be set up or carried out.
    pub(crate) fn setup(error: impl ToString) -> Self {
        Self {
            text: error.to_string(),
            exit_code: exit::SETUP,
        }
    }

    /// The command line is wrong.
    pub(crate) fn usage(error: impl ToString) -> Self {
        Self {
            text: error.to_string(),
            exit_code: exit::USAGE,
        }
    }
}

fn run_file(file: &Path) -> Result<u8, Failure> {
    let settings = crate::config::read(file).map_err(Failure::setup)?;
    run(&settings)
}

/// Runs, shows the summary, and says how it went.
fn run(run: &Run) -> Result<u8, Failure> {
    let summary = protocols::run(run, connect_signals).map_err(|error| Failure {
        text: error.to_string(),
        exit_code: exit::of(&error),
    })?;
    // The run is over: that nobody reads its summary doesn't change its outcome.
    let _shown = writeln!(std::io::stdout(), "{summary}");
    Ok(match summary.stop {
        Stop::Now => exit::INTERRUPTED,
        _ if run.strict && summary.verdict.is_limited() => exit::STRICT,
        _ => exit::OK,
    })
}

/// The first signal lets running hits end, the second doesn't, the third ends the program.
fn connect_signals(control: Arc<Control>) {
    let signals = match Signals::new([SIGINT, SIGTERM]) {
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

fn complain(text: &str) {
    // There is no other place to say it.
    let _shown = writeln!(std::io::stderr(), "encarno: {text}");
}
