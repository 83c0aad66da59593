//! `encarno capacity`: measures how much a system can do.

use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches};
use encarno_capacity::goal::Goal;
use encarno_engine::settings::{Part, RunSettings, ScriptSettings};
use signal_hook::flag;

use super::flags::connection::ConnectionArguments;
use super::flags::duration;
use super::flags::output::OutputArguments;
use super::flags::request::{RequestArguments, SourceLimits};
use super::flags::watch::WatchArguments;
use super::watched::Watched;
use super::{Arguments, Failure, complain, connect_signals, print};
use crate::calibration::{self, Calibration};
use crate::capacity::board::{Board, Shown};
use crate::capacity::driver::{self, Driver};
use crate::capacity::findings::{Findings, Next};
use crate::capacity::k6::{self, K6};
use crate::capacity::outcome::Outcome;
use crate::capacity::trial::TrialLoad;
use crate::capacity::{Settings, file, text, written};
use crate::console::Progress;
use crate::criteria::Judging;
use crate::exit;
use crate::files::Files;
use crate::protocols::{self, Run};

/// The arguments of `encarno capacity`.
///
/// Exit codes: 0 all that was asked for is known, 2 a bound is missing or the
/// law doesn't hold (or the command line is wrong), 3 the generator was the
/// limit; 1, 4, 5 and 130 as without `capacity`.
#[derive(Debug)]
pub(super) enum CapacityArguments {
    Measure(Box<MeasureArguments>),
    From(PathBuf, ShownArguments),
    K6(Box<K6Arguments>, WantedArguments),
}

#[derive(Debug, Args)]
pub(super) struct MeasureArguments {
    #[command(flatten)]
    request: RequestArguments,
    #[command(flatten)]
    wanted: WantedArguments,
    #[command(flatten)]
    connection: ConnectionArguments,
    #[command(flatten)]
    output: OutputArguments,
    #[command(flatten)]
    watch: WatchArguments,
    /// It is only here to be refused with a reason.
    #[arg(long, hide = true, value_name = "FILE")]
    scenario: Option<PathBuf>,
}

/// What to measure, and how exactly.
#[derive(Debug, Args)]
#[command(next_help_heading = "Measurement")]
pub(super) struct WantedArguments {
    /// The numbers of workers to measure with: a range such as 1..2000, or only the largest.
    #[arg(short, long, value_name = "N..N", default_value = "1..1000", value_parser = written::workers)]
    workers: RangeInclusive<u32>,
    /// Search for the highest rate at which these conditions are true, such as 'p99<50ms
    /// errors<0.1%'.
    #[arg(short, long, value_name = "CONDITIONS")]
    goal: Option<Goal>,
    /// Search until the two bounds of that rate are no further apart than this.
    #[arg(long, value_name = "PART", default_value = "5%", value_parser = written::part)]
    within: f64,
    /// Run at most N hits at a time during that search [default: the largest number of
    /// workers].
    #[arg(short, long, value_name = "N")]
    connections: Option<u32>,
    /// A trial goes on until its throughput is known to within this share, within the bounds of
    /// --trial.
    #[arg(long, value_name = "PART", default_value = "2%", value_parser = written::part)]
    precision: f64,
    /// How long a trial takes at least and at most. A trial of the goal takes up to four times
    /// as long.
    #[arg(long, value_name = "SHORTEST..LONGEST", default_value = "2s..15s", value_parser = written::trial)]
    trial: (Duration, Duration),
    /// The seed of the order of trials, and of the Poisson process.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The number of event loops [default: one for each core].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// At the end of a trial, give the hits that run this long to end.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    grace: Duration,
    #[command(flatten)]
    shown: ShownArguments,
}

#[derive(Debug, Args)]
pub(super) struct ShownArguments {
    /// Write the result to this file, as JSON. With -, print it instead of the text.
    #[arg(short, long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Show nothing while trials go on.
    #[arg(short, long)]
    quiet: bool,
    /// Print a line for each trial, also on a terminal, instead of the dashboard.
    #[arg(long, visible_alias = "no-tui")]
    lines: bool,
}

/// A script of k6, instead of the URL.
#[derive(Debug, Args)]
#[command(next_help_heading = "With k6")]
pub(super) struct K6Arguments {
    /// Measure this script: a run of k6 for each number of virtual users, as long as the longest
    /// --trial. The script's own thresholds are the goal.
    #[arg(long, value_name = "SCRIPT", conflicts_with_all = ["url", "from", "input", "goal", "connections"])]
    k6: Option<PathBuf>,
    /// The k6 to run [default: the one in the PATH, or ./k6].
    #[arg(long, value_name = "FILE", requires = "k6")]
    k6_binary: Option<PathBuf>,
    /// A further argument of `k6 run`, such as --k6-arg=-eHOST=shop.test.
    #[arg(
        long,
        value_name = "ARGUMENT",
        requires = "k6",
        allow_hyphen_values = true
    )]
    k6_arg: Vec<String>,
}

/// A result file, instead of the URL.
#[derive(Debug, Args)]
struct FromArguments {
    /// Measure nothing. Evaluate the trials of this result file again.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    from: Option<PathBuf>,
}

impl Args for CapacityArguments {
    fn augment_args(command: Command) -> Command {
        let command = FromArguments::augment_args(MeasureArguments::augment_args(command));
        let command = K6Arguments::augment_args(command);
        command.mut_arg("url", |url| {
            url.required(false)
                .required_unless_present_any(["from", "input", "k6"])
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for CapacityArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let k6 = K6Arguments::from_arg_matches(matches)?;
        if k6.k6.is_some() {
            let wanted = WantedArguments::from_arg_matches(matches)?;
            return Ok(Self::K6(Box::new(k6), wanted));
        }
        match FromArguments::from_arg_matches(matches)?.from {
            Some(file) => Ok(Self::From(file, ShownArguments::from_arg_matches(matches)?)),
            None => MeasureArguments::from_arg_matches(matches)
                .map(|measured| Self::Measure(Box::new(measured))),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl CapacityArguments {
    /// Measures, or reads a measurement, and prints its result.
    pub(super) fn run(&self, given: &[(String, String)]) -> Result<u8, Failure> {
        match self {
            Self::From(file, shown) => {
                let findings = file::read(file).map_err(Failure::setup)?;
                say(&findings, shown.json.as_deref())
            }
            Self::K6(k6, wanted) => k6.measure(wanted, given),
            Self::Measure(arguments) => {
                let (mut run, settings) = arguments.settings(given)?;
                let mut files = run.files();
                arguments.request.note_files(&mut files);
                let json = arguments.wanted.shown.json.as_deref();
                let watched = Watched::new(&arguments.watch, &mut run, &mut files)?;
                measure(&run, settings, &files, json, watched)
            }
        }
    }
}

impl MeasureArguments {
    /// Checks whether the flags fit together.
    fn settings(&self, given: &[(String, String)]) -> Result<(Run, Settings), Failure> {
        let (request, wanted) = (&self.request, &self.wanted);
        if self.scenario.is_some() {
            return Err(Failure::usage(
                "--scenario: encarno capacity makes trials of its own, each with one load and the \
                 same hits: leave it out, or use encarno hit",
            ));
        }
        let target = request.target()?;
        let keep_bytes_max = self.output.keep_answer_bytes_max();
        let protocol = request.protocol(&target, &self.connection, keep_bytes_max, wanted.seed)?;
        let settings = wanted.settings();
        let limits = SourceLimits {
            hits_max: None,
            one_worker: false,
        };
        let strings_file = request.records.strings.clone();
        let run = RunSettings {
            source: request.source(&target, &protocol, limits)?,
            workload: driver::workload(&settings, self.connection.timeout),
            script: ScriptSettings {
                seed: wanted.seed,
                ..ScriptSettings::default()
            },
            output: self.output.settings(given, strings_file),
            expected: request.expected,
            threads: wanted.threads,
            grace: wanted.grace,
            part: Part::default(),
            calibrated_rate: None,
        };
        let run = Run {
            settings: run,
            protocol,
            judging: Judging::default(),
            progress: match (wanted.shown.quiet, wanted.shown.lines) {
                (true, _) => Progress::Quiet,
                (_, true) => Progress::Lines,
                _ => Progress::Auto,
            },
            scenario: None,
            capacity: None,
        };
        let generator_max = generator_max(&run);
        let settings = Settings {
            generator_max,
            ..settings
        };
        Ok((run, settings))
    }
}

impl K6Arguments {
    fn measure(&self, wanted: &WantedArguments, given: &[(String, String)]) -> Result<u8, Failure> {
        let script = self.k6.clone().unwrap_or_default();
        check_alone(given)?;
        if !script.is_file() {
            let text = format!("--k6: there is no file {}", script.display());
            return Err(Failure::setup(text));
        }
        let mut files = Files::default();
        files.reads("the script", &script);
        if let Some(json) = &wanted.shown.json {
            files.writes("the capacity", json);
        }
        files.check()?;
        let stop = Arc::new(AtomicBool::new(false));
        for signal in super::ending_signals() {
            flag::register(signal, Arc::clone(&stop)).map_err(Failure::setup)?;
        }
        let program = k6::find(self.k6_binary.as_deref()).map_err(Failure::setup)?;
        let k6 = K6::new(program, script, self.k6_arg.clone()).map_err(Failure::setup)?;
        let settings = Settings {
            k6: true,
            ..wanted.settings()
        };
        let findings = k6_trials(&k6, settings, &stop, wanted.shown.quiet)?;
        say(&findings, wanted.shown.json.as_deref())
    }
}

/// Fails if there are flags that a run of k6 can't use.
fn check_alone(given: &[(String, String)]) -> Result<(), Failure> {
    let known = [
        "k6",
        "k6-binary",
        "k6-arg",
        "workers",
        "within",
        "trial",
        "seed",
        "json",
        "quiet",
    ];
    let defaults = Arguments::command();
    let defaults = defaults.find_subcommand("capacity");
    let is_default = |name: &str, value: &str| {
        let mut arguments = defaults.iter().flat_map(|command| command.get_arguments());
        let argument = arguments.find(|argument| argument.get_long() == Some(name));
        argument.is_some_and(|argument| argument.get_default_values() == [value])
    };
    let other = given
        .iter()
        .find(|(name, value)| !known.contains(&&**name) && !is_default(name, value));
    match other {
        None => Ok(()),
        Some((name, _)) => Err(Failure::usage(format!(
            "--{name} has no effect on k6: its script and --k6-arg decide what is sent; --json \
             writes the result"
        ))),
    }
}

fn k6_trials(
    k6: &K6,
    settings: Settings,
    stop: &AtomicBool,
    quiet: bool,
) -> Result<Findings, Failure> {
    let (duration, began) = (settings.trial_max, Instant::now());
    let ns = |at: Instant| at.duration_since(began).as_nanos() as u64;
    let mut findings = Findings::new(settings);
    while let Some(next) = findings.next() {
        let (load, users) = match next {
            Next::Workers(users) => (TrialLoad::Workers(users), users),
            Next::Users(users) => (TrialLoad::Users(users), users),
            // A script decides its own rate of requests.
            Next::Rate(_) => break,
        };
        let started = Instant::now();
        let shown = k6.trial(users, duration, stop).map_err(Failure::setup)?;
        let Some(shown) = shown else {
            findings.end();
            break;
        };
        let window = (ns(started), ns(Instant::now()));
        let trial = k6::trial_of(findings.trials().len() + 1, load, window, shown);
        if !quiet {
            // The reader may be gone; the measurement goes on.
            let _shown = writeln!(std::io::stderr(), "{}", text::trial_line(&trial));
        }
        findings.observe(trial);
    }
    Ok(findings)
}

impl WantedArguments {
    fn settings(&self) -> Settings {
        Settings {
            workers: self.workers.clone(),
            goal: self.goal.clone(),
            within: self.within,
            precision: self.precision,
            trial_min: self.trial.0,
            trial_max: self.trial.1,
            seed: self.seed,
            in_flight_max: self.connections.unwrap_or(*self.workers.end()),
            generator_max: None,
            k6: false,
        }
    }
}

/// The rate of such hits to which this machine is calibrated, hits per second.
pub(super) fn generator_max(run: &Run) -> Option<f64> {
    match calibration::file::read() {
        Ok(calibration) => {
            let calibration = calibration?;
            if let Some(text) = Calibration::silent_for(run) {
                complain(text);
            }
            calibration.rate_for(run)
        }
        Err(error) => {
            complain(&format!("this machine's calibration isn't used: {error}"));
            None
        }
    }
}

/// Measures, and prints the result.
pub(super) fn measure(
    run: &Run,
    settings: Settings,
    files: &Files,
    json: Option<&Path>,
    mut watched: Watched,
) -> Result<u8, Failure> {
    files.check()?;
    for file in files.replaced() {
        complain(&format!(
            "{}: this replaces the existing file",
            file.display()
        ));
    }
    let board = Board::new(run.progress == Progress::Quiet);
    let mut show = |trial: &_| board.ended(trial);
    let driver = Driver::new(settings, run.settings.expected, &mut show);
    let mut shown = Shown::new(driver, &board);
    watched.open()?;
    let summary = protocols::steer(run, &mut shown, |control| {
        // Connect the signals first: a signal that ends the program would leave the
        // terminal taken.
        connect_signals(Arc::clone(&control));
        watched.begin(&control);
        if run.progress == Progress::Auto {
            let workers_max = run.settings.workload.workers_max() as u64;
            board.begin(&run.title(), workers_max, &control);
        }
    });
    board.end();
    let findings = shown.into_driver().into_findings();
    match summary {
        Ok(summary) if summary.stop == encarno_engine::control::Stop::Now => Ok(exit::INTERRUPTED),
        Ok(mut summary) => {
            watched.deliver(&mut summary.verdict);
            let status = say(&findings, json)?;
            watched.end(&[])?;
            Ok(status)
        }
        Err(error) => Err(Failure::run(&error)),
    }
}

fn say(findings: &Findings, json: Option<&Path>) -> Result<u8, Failure> {
    let outcome = Outcome::of(findings);
    let text = || serde_json::to_string_pretty(&outcome).map_err(Failure::output);
    match json {
        Some(file) if file == Path::new("-") => {
            print(|out| writeln!(out, "{}", text().unwrap_or_default()))?
        }
        _ => {
            if let Some(file) = json {
                std::fs::write(file, text()? + "\n").map_err(|error| {
                    Failure::output(format!("can't write {}: {error}", file.display()))
                })?;
            }
            print(|out| writeln!(out, "{}", text::outcome_text(&outcome)))?;
        }
    }
    Ok(outcome.exit_status)
}
