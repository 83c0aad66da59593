//! `encarno k6 run`: a script of k6, run by agents.

mod part;
mod summary;
mod surface;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use encarno_fleet::RunFile;
use encarno_fleet::coordinator::{self, Order, Watcher};
use encarno_record::series::Metrics;
use encarno_record::statistics::time_text;
use encarno_record::thresholds::{self, Demand};
use encarno_report::served::Address;
use serde_json::Value;

use super::flags::fleet::FleetArguments;
use super::flags::part::PartArguments;
use super::group_pages::GroupPages;
use super::{Failure, complain, fleet, report};
use crate::capacity::k6 as program;
use crate::criteria::Judging;
use crate::files::Files;

/// The script for the agents, with all files that it imports and opens.
const ARCHIVE: &str = "script.tar";

/// The arguments of `encarno k6`.
#[derive(Debug, Args)]
pub(super) struct K6Arguments {
    #[command(subcommand)]
    command: K6Command,
}

#[derive(Debug, Subcommand)]
enum K6Command {
    /// Run a script on several machines. Each agent runs a segment of it with its own k6;
    /// thresholds are judged on the metrics of all of them.
    Run(Box<RunArguments>),
    #[command(hide = true)]
    Steer(part::SteerArguments),
}

/// The arguments of `encarno k6 run`.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// The script, or an archive that `k6 archive` made.
    script: PathBuf,
    /// Further arguments of `k6 run`, such as -e HOST=shop.test --vus 100. Write them after --.
    #[arg(last = true, value_name = "K6_ARGUMENTS")]
    arguments: Vec<String>,
    /// One more argument of `k6 run`, such as --k6-arg=-eHOST=shop.test.
    #[arg(long, value_name = "ARGUMENT", allow_hyphen_values = true)]
    k6_arg: Vec<String>,
    /// The k6 to run. It needs the output `encarno` [default: the one in the PATH, beside
    /// encarno, or ./k6].
    #[arg(long, value_name = "FILE")]
    k6_binary: Option<PathBuf>,
    /// Write the merged results to this file.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write a report to this file: a page of HTML.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Show the test while it goes on, as a page at this address, such as :7070.
    #[arg(long, value_name = "ADDRESS")]
    live: Option<Address>,
    #[command(flatten)]
    pub(super) fleet: FleetArguments,
    #[command(flatten)]
    part: PartArguments,
    #[arg(long, hide = true)]
    quiet: bool,
}

impl K6Arguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let run = match &self.command {
            K6Command::Run(run) => run,
            K6Command::Steer(steering) => return steering.run(),
        };
        if run.part.is_given() {
            return run.make_part();
        }
        if run.fleet.agents.is_none() {
            return Err(Failure::usage(format!(
                "how many agents? Write --agents N --nats URL, or --agents local:2 to try it. On one machine, \
                 write `k6 run --out encarno=run.enc {}`",
                run.script.display()
            )));
        }
        run.on_agents()
    }
}

impl RunArguments {
    /// This process becomes k6 with its segment of the script.
    fn make_part(&self) -> Result<u8, Failure> {
        let output = self.output.clone();
        let output = output.ok_or_else(|| Failure::usage("a part of a run needs --output FILE"))?;
        part::make(&part::Segment {
            program: self.program()?,
            script: self.script.clone(),
            arguments: self.arguments(),
            output,
            part: self.part.numbers(),
        })
    }

    /// Of `k6 run`.
    fn arguments(&self) -> Vec<String> {
        let all = self.arguments.iter().chain(&self.k6_arg);
        all.cloned().collect()
    }

    fn program(&self) -> Result<PathBuf, Failure> {
        program::find(self.k6_binary.as_deref()).map_err(Failure::setup)
    }

    /// Lets agents run the script.
    pub(super) fn on_agents(&self) -> Result<u8, Failure> {
        let mut files = Files::default();
        files.reads("the script", &self.script);
        if let Some(output) = &self.output {
            files.writes("the merged file", output);
        }
        if let Some(report) = &self.report {
            files.writes("the report", report);
        }
        self.fleet.note_files(&mut files);
        files.check()?;
        let folder = tempfile::tempdir().map_err(Failure::output)?;
        let archive = folder.path().join(ARCHIVE);
        let k6 = self.program()?;
        pack(&k6, &self.script, &self.arguments(), &archive)?;
        let output = self.output.clone();
        let output = output.unwrap_or_else(|| folder.path().join("k6.enc"));
        let group = fleet::Group::of(&self.fleet)?;
        let options = options_of(&k6, &archive)?;
        let demands = demands_of(&options)?;
        let shown = GroupPages::open(self.live.as_ref(), None)?;
        let mut arguments = vec!["k6".to_owned(), "run".to_owned(), ARCHIVE.to_owned()];
        // An agent adds its own arguments at the end.
        let of_k6 = self.arguments();
        arguments.extend(of_k6.iter().map(|argument| format!("--k6-arg={argument}")));
        let order = Order {
            arguments,
            files: vec![RunFile {
                name: ARCHIVE.to_owned(),
                path: archive,
            }],
            due: vec![None; group.agents],
            // Its file has no hits, but sums and series by second, which are sent unchanged.
            collect_hits: true,
            silence: self.fleet.silence,
            output: output.clone(),
            growing: self.fleet.growing(shown.as_ref().map(GroupPages::file))?,
            watch: Some(Watcher::Metrics(Arc::new(move |metrics, lasted| {
                watch(&demands, metrics, lasted)
            }))),
            ..group.order()
        };
        let outcome = coordinator::run(&order, complain).map_err(Failure::setup)?;
        let script = summary::Script {
            k6: &k6,
            script: &self.script,
            arguments: &self.arguments(),
            options: &options,
        };
        let judging = Judging {
            // The script has printed what it wants to be printed.
            silent: script.summarise(&output, &outcome)?,
            ..Judging::default()
        };
        let status = fleet::report(&outcome, &output, &judging, None)?;
        if let Some(shown) = shown {
            shown.end();
        }
        if let Some(page) = &self.report {
            report::write(std::slice::from_ref(&output), page, &[])?;
        }
        Ok(status)
    }
}

/// Prints the progress, and returns why the run must end if a threshold asks for it.
fn watch(demands: &[Demand], metrics: &Metrics, lasted: Duration) -> Option<String> {
    let seconds = lasted.as_secs_f64();
    if let Some(text) = progress(metrics, seconds) {
        complain(&text);
    }
    let due = |demand: &&Demand| demand.abort_after.is_some_and(|after| lasted >= after);
    let mut judged = demands
        .iter()
        .filter(due)
        .map(|demand| demand.judge(metrics, seconds));
    let failed = judged.find(|threshold| !threshold.met)?;
    Some(format!(
        "{failed}: the run ends on all agents (abortOnFail)"
    ))
}

/// `None` before the first iterations.
fn progress(metrics: &Metrics, seconds: f64) -> Option<String> {
    let by_metric = metrics.by_metric();
    let points = |name: &str| {
        let found = by_metric.iter().find(|(series, _)| series.metric == name);
        found.map(|(_, points)| points)
    };
    let iterations = points("iterations")?;
    let durations = points("iteration_duration").map(|points| {
        let text = |share| time_text(points.values.quantile(share) * 1e6);
        format!(", iteration p50 {} p99 {}", text(0.5), text(0.99))
    });
    Some(format!(
        "{:.0} s: {:.0} iterations{}",
        seconds,
        iterations.sum,
        durations.unwrap_or_default()
    ))
}

/// Puts the script and all its files into one file.
fn pack(k6: &Path, script: &Path, arguments: &[String], archive: &Path) -> Result<(), Failure> {
    let packed = program::said(k6, program::BESIDE, |command| {
        command.arg("archive").args(arguments);
        command.args(["--quiet", "-O"]).arg(archive).arg(script)
    });
    packed.map(drop).map_err(|error| {
        let script = script.display();
        Failure::setup(format!("k6 can't make an archive of {script}: {error}"))
    })
}

/// The script's options.
fn options_of(k6: &Path, archive: &Path) -> Result<Value, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::setup(format!(
            "k6 doesn't say which options the script has: {error}"
        ))
    };
    let said = program::said(k6, program::BESIDE, |command| {
        command.args(["inspect", "--quiet"]).arg(archive)
    });
    let said = said.map_err(|error| failed(&error))?;
    serde_json::from_slice(&said).map_err(|error| failed(&error))
}

/// The script's thresholds.
fn demands_of(options: &Value) -> Result<Vec<Demand>, Failure> {
    match &options["thresholds"] {
        Value::Null => Ok(Vec::new()),
        written => thresholds::parse(&written.to_string()).map_err(Failure::setup),
    }
}
