//! The command line. It parses flags once, into validated settings.

mod agent;
mod calibrate;
mod capacity;
mod dialects;
mod export;
mod fetched;
mod flags;
mod fleet;
mod given;
mod group_pages;
mod habits;
mod hit;
mod k6;
mod kube;
mod merge;
mod nib;
mod others;
mod page;
mod parent;
mod read;
mod report;
mod run;
mod step;
mod tail;
mod target;
mod watched;

use std::io::{self, BufWriter, IsTerminal as _, Stdout, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use encarno_engine::RunError;
use encarno_engine::control::Control;
use encarno_record::files::Contents;
use rustix::process::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::calibration::{self, Calibration};
use crate::dashboard;
use crate::exit;
use crate::files::{Clash, Files};
use crate::messages;
use crate::protocols::Run;
use crate::supervise;
use watched::Watched;

/// Send hits at a rate or from a number of workers, and record every hit.
///
/// To begin, try `encarno http://host/ -c 10 -z 10s`: ten workers, for ten seconds.
///
/// Durations are written as 500ms, 30s, 1m30s or 1h; a bare number is seconds.
#[derive(Debug, Parser)]
#[command(
    name = "encarno",
    version,
    about,
    long_about,
    after_help = exit::TABLE,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// A configuration file: the same as `encarno run FILE`.
    file: Option<PathBuf>,
}

/// The one rule for durations, for the help of the commands that have some.
const DURATIONS: &str =
    "A DURATION is written as 500ms, 30s, 1m30s or 1h; a bare number is seconds.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Hit a URL, or send a file of records.
    #[command(after_help = DURATIONS)]
    Hit(Box<hit::HitArguments>),
    /// Measure the capacity of a system: its throughput by workers, and the highest rate that
    /// keeps a goal.
    #[command(after_help = DURATIONS)]
    Capacity(capacity::CapacityArguments),
    /// Measure what this machine itself can make truthfully; later runs are told when they go beyond it.
    Calibrate(calibrate::CalibrateArguments),
    /// Run a configuration file.
    #[command(after_help = DURATIONS)]
    Run(Box<run::RunArguments>),
    /// Make parts of the runs of a group of machines, until a signal ends this command.
    #[command(after_help = DURATIONS)]
    Agent(agent::AgentArguments),
    /// Run a script of k6 on several machines.
    K6(k6::K6Arguments),
    /// Make runs on agents that are pods of Kubernetes.
    Kube(kube::KubeArguments),
    /// Collect the results of a run on agents whose coordinator is gone.
    #[command(after_help = DURATIONS)]
    Attach(fleet::AttachArguments),
    /// Sum up a result file.
    Stats(read::StatsArguments),
    /// Merge result files, such as those of several machines, into one.
    Merge(merge::MergeArguments),
    /// Print a result file or an input file as text.
    Show(read::ShowArguments),
    /// Follow a result file while it grows, until its run has ended.
    #[command(after_help = DURATIONS)]
    Tail(tail::TailArguments),
    /// Convert results to other formats, and inputs to the native format.
    Convert(read::ConvertArguments),
    /// Write a report of result files: one self-contained page of HTML.
    Report(report::ReportArguments),
    /// Send the metrics of a result file to a monitoring system, with their original times.
    #[command(after_help = DURATIONS)]
    Export(export::ExportArguments),
    /// Write a stpd file from records and a schedule.
    Step(step::StepArguments),
    /// Check a wasm component that is a protocol.
    Nib(nib::NibArguments),
    /// Serve scripted answers, as a target to try things on.
    #[command(after_help = DURATIONS)]
    Target(target::TargetArguments),
}

/// The definition of the command line, for manual pages and completions.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// The whole program. `version` is what `--version` says.
pub fn main(version: &'static str) -> ExitCode {
    survive_file_limits();
    let line = match habits::understood(std::env::args_os().collect()) {
        Ok(understood) => {
            understood.note.iter().for_each(|note| complain(note));
            understood.line
        }
        Err(instead) => {
            complain(&instead);
            return ExitCode::from(exit::USAGE);
        }
    };
    let mut command = command().version(version);
    let parsed = command
        .try_get_matches_from_mut(line)
        .and_then(|matches| Ok((Arguments::from_arg_matches(&matches)?, matches)));
    let (arguments, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            let first = std::env::args_os().nth(1).map(PathBuf::from);
            // clap's answer to a word that is no command is about files and subcommands.
            let is_command = |name: &PathBuf| command.find_subcommand(name).is_some();
            let no_command = first
                .filter(|first| error.kind() == ErrorKind::ArgumentConflict && !is_command(first));
            if let Some(Err(failure)) = no_command.as_deref().map(run::check_exists) {
                complain(&failure.text);
                return ExitCode::from(failure.exit_code);
            }
            let said = said_instead(&error);
            if error.use_stderr() {
                let hint = habits::hint(&error, std::env::args_os());
                hint.iter().for_each(|hint| complain(hint));
            }
            return said;
        }
    };
    start_log();
    let given = given::settings_of_subcommand(&command, &matches);
    let result = match (arguments.command, arguments.file) {
        (Some(Command::Run(arguments)), _) => arguments.run(),
        (None, Some(file)) => run::RunArguments::of(file).run(),
        (Some(Command::Hit(mut arguments)), _) => hit_with(&mut arguments, &given),
        (Some(Command::Capacity(arguments)), _) => arguments.run(&given),
        (Some(Command::Calibrate(arguments)), _) => arguments.run(),
        (Some(Command::Agent(arguments)), _) => arguments.run(),
        (Some(Command::K6(arguments)), _) => arguments.run(),
        (Some(Command::Kube(arguments)), _) => arguments.run(&given),
        (Some(Command::Attach(arguments)), _) => arguments.run(),
        (Some(Command::Stats(arguments)), _) => arguments.run(),
        (Some(Command::Merge(arguments)), _) => arguments.run(),
        (Some(Command::Show(arguments)), _) => arguments.run(),
        (Some(Command::Tail(arguments)), _) => arguments.run(),
        (Some(Command::Convert(arguments)), _) => arguments.run(),
        (Some(Command::Report(arguments)), _) => arguments.run(),
        (Some(Command::Export(arguments)), _) => arguments.run(),
        (Some(Command::Step(arguments)), _) => arguments.run(),
        (Some(Command::Nib(arguments)), _) => arguments.run(),
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

/// Makes a run from flags alone.
fn hit_with(arguments: &mut hit::HitArguments, given: &[(String, String)]) -> Result<u8, Failure> {
    let _copy = arguments.spool()?;
    let mut run = arguments.settings(given)?;
    let mut files = run.files();
    arguments.note_files(&mut files);
    if let Some(hint) = arguments.hint() {
        complain(&hint);
    }
    arguments.check_bounds(&run, &files)?;
    let watched = Watched::new(&arguments.watch, &mut run, &mut files)?;
    match arguments.fleet.agents {
        Some(_) => fleet::carry_out(&arguments.fleet, &run, &files, watched),
        None => carry_out(&run, &files, watched),
    }
}

/// Prints the help, the version, or the error of a command line.
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
    /// Whether the message goes to the standard output, because the standard error is a
    /// file that must not change.
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
        .ok_or_else(|| "expected the id of a process".to_owned())
}

/// Makes a run, shows the summary, and returns the exit status.
fn carry_out(run: &Run, files: &Files, mut watched: Watched) -> Result<u8, Failure> {
    files.check()?;
    for file in files.replaced() {
        complain(&format!(
            "{}: this replaces the existing file",
            file.display()
        ));
    }
    let run = &calibrated(run);
    watched.open()?;
    let begin = |control: Arc<Control>| {
        connect_signals(Arc::clone(&control));
        watched.begin(&control);
    };
    let ended = match supervise::run(run, begin) {
        Ok(ended) => ended,
        // The reader of the output has closed it.
        Err(RunError::Output(error)) if error.is_broken_pipe() => return Ok(exit::OK),
        Err(error) => {
            return Err(Failure::run(&error));
        }
    };
    let mut ended = ended;
    watched.deliver(&mut ended.summary.verdict);
    let judging = &run.judging;
    let exit_status = ended.exit_status(judging.strict);
    if let Some(file) = &judging.summary_file {
        write_file(file, &crate::report::json::summary(&ended, exit_status))?;
    }
    if let Some(file) = &judging.junit_file {
        write_file(file, &crate::report::junit::text(&ended, judging.strict))?;
    }
    let text = match judging.json {
        true => crate::report::json::summary(&ended, exit_status),
        false => crate::report::run_text(&ended) + "\n",
    };
    if files.write_stdout() {
        // If the standard error can't be written to, there is no other place for the
        // message.
        let _shown = std::io::stderr().write_all(text.as_bytes());
    } else {
        print(|out| out.write_all(text.as_bytes()))?;
    }
    watched.end(&judging.criteria.fail_if)?;
    Ok(exit_status)
}

/// The run with this machine's calibration.
fn calibrated(run: &Run) -> Run {
    let mut run = run.clone();
    // `encarno calibrate --show` and `encarno capacity` report a calibration that can't be used.
    let calibration = calibration::file::read().ok().flatten();
    if calibration.is_some()
        && let Some(text) = Calibration::silent_for(&run)
    {
        messages::say(text);
    }
    run.settings.calibrated_rate = calibration.and_then(|it| it.rate_for(&run));
    run
}

fn write_file(file: &Path, text: &str) -> Result<(), Failure> {
    let written = encarno_record::files::create(file, Contents::Results)
        .and_then(|mut open| open.write_all(text.as_bytes()));
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::output(format!(
            "can't write {}: {error}",
            file.display()
        ))),
        _ => Ok(()),
    }
}

/// A write beyond the limit for the size of files (`ulimit -f`) ends a program without a word,
/// unless the signal has a handler: then the write fails, and is told as any other.
fn survive_file_limits() {
    let signal = rustix::process::Signal::XFSZ.as_raw();
    let seen = Arc::new(AtomicBool::new(false));
    if let Err(error) = signal_hook::flag::register(signal, seen) {
        complain(&format!(
            "a limit for the size of files would end this program: {error}"
        ));
    }
}

/// The signals that end a command. SIGHUP is one of them, because its terminal is gone
/// then, unless the command was started with SIGHUP ignored (`nohup`).
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

/// The most time that a run may take to end after the second signal.
const LAST_GRACE: Duration = Duration::from_secs(5);

/// After the first signal, running hits may end; after the second, they are given up. The
/// third signal ends the program, and so does the second if something holds up the run.
fn connect_signals(control: Arc<Control>) {
    let signals = match Signals::new(ending_signals()) {
        Ok(signals) => signals,
        Err(error) => return tracing::warn!("signals end the run at once: {error}"),
    };
    let body = move || {
        let mut signals = signals;
        for (count, _signal) in signals.forever().enumerate() {
            match count {
                0 => messages::say_stop(control.stop_harder()),
                1 => {
                    messages::say_stop(control.stop_harder());
                    thread::spawn(|| {
                        thread::sleep(LAST_GRACE);
                        messages::say(&format!(
                            "the run hasn't ended {LAST_GRACE:?} after the signal: its last \
                             results may be missing"
                        ));
                        give_up();
                    });
                }
                _ => give_up(),
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

fn give_up() -> ! {
    dashboard::leave();
    messages::release();
    std::process::exit(exit::INTERRUPTED.into())
}

fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ENCARNO_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(messages::Log)
        // Colours are for people, and not for files.
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}

/// Prints the output of a command. It is no failure if the reader closes the pipe (`|
/// head`); any other write error is one.
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
            // Don't try again to write the rest.
            drop(out.into_parts());
            Ok(())
        }
    }
}

fn complain(text: &str) {
    messages::say(text);
}

#[cfg(test)]
mod tests;
