//! `--agents`: lets agents make a run. `encarno attach` takes over a run whose
//! coordinator is gone.

mod due;
mod ended;
mod line;

use std::io::Write as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use encarno_engine::control::Stop;
use encarno_engine::meter::Window;
use encarno_fleet::coordinator::{self, GivenUp, Order, Outcome, Watcher};
use encarno_fleet::local::Local;
use encarno_fleet::{Hub, RunFile};
use encarno_kube::pods::Pods;
use encarno_kube::settings::Settings;
use encarno_record::exact;
use encarno_record::notes::{AgentClock, Notes};
use encarno_record::results::{add_notes, whole};
use encarno_record::statistics::time_text;
use encarno_secret::Secret;

use super::flags::duration;
use super::flags::fleet::{Agents, Collect, FleetArguments, HubArguments};
use super::group_pages::GroupPages;
use super::watched::Watched;
use super::{Failure, complain, print, write_file};
use crate::criteria::Judging;
use crate::criteria::watch::Watch;
use crate::exit;
use crate::files::Files;
use crate::messages;
use crate::protocols::Run;
use crate::read::stats;
use crate::report::{json, junit, run_text};

/// With a larger uncertainty, figures of one second can't be compared between machines.
const UNCERTAIN_NS: u64 = 100_000_000;

/// Running agents announce themselves every two seconds.
const GATHER: Duration = Duration::from_secs(5);
/// The time for agents that were just started, which may be slow on a busy machine.
const GATHER_LOCAL: Duration = Duration::from_secs(60);

/// The arguments of `encarno attach`.
#[derive(Debug, Args)]
pub(super) struct AttachArguments {
    /// The name of the run, which its coordinator printed at the start.
    run: String,
    #[command(flatten)]
    hub: HubArguments,
    /// Write the merged results to this file.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Give up an agent, and its hits, when it has been silent for this long.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    silence: Duration,
}

impl AttachArguments {
    pub(super) fn run(&self) -> Result<u8, Failure> {
        let hub = self.hub.hub().ok_or_else(no_server)?;
        Files::default()
            .writes("the merged file", &self.output)
            .check()?;
        let order = Order {
            hub,
            silence: self.silence,
            output: self.output.clone(),
            ..Order::default()
        };
        let outcome = coordinator::attach(&order, &self.run, complain);
        let outcome = outcome.map_err(Failure::setup)?;
        report(&outcome, &self.output, &Judging::default(), None)
    }
}

fn no_server() -> Failure {
    Failure::usage(
        "where do the agents meet? Name the NATS server with --nats URL, or try --agents local:4",
    )
}

/// The agents of a run, and where they meet.
pub(super) struct Group {
    hub: Hub,
    pub(super) agents: usize,
    gather: Duration,
    given_up: Option<GivenUp>,
    /// They end with it.
    _started: Option<Started>,
}

/// Agents that this program started.
enum Started {
    Local { _agents: Local },
    Pods { _agents: Pods },
}

impl Group {
    /// Those that are meant; those of this machine are started.
    pub(super) fn of(arguments: &FleetArguments) -> Result<Self, Failure> {
        if let Some(settings) = &arguments.pods {
            return Self::of_pods(settings.clone(), &arguments.hub);
        }
        match arguments.agents {
            Some(Agents::Local(_)) if arguments.hub.nats.is_some() => Err(Failure::usage(
                "--agents local:N starts a NATS server of its own: leave out --nats",
            )),
            Some(Agents::Local(agents)) => {
                let program = std::env::current_exe().map_err(Failure::setup)?;
                let local = Local::start(&program, agents).map_err(Failure::setup)?;
                Ok(Self {
                    hub: local.hub.clone(),
                    agents,
                    gather: GATHER_LOCAL,
                    given_up: None,
                    _started: Some(Started::Local { _agents: local }),
                })
            }
            Some(Agents::Group(agents)) => Ok(Self {
                hub: arguments.hub.hub().ok_or_else(no_server)?,
                agents,
                gather: GATHER,
                given_up: None,
                _started: None,
            }),
            None => Err(no_server()),
        }
    }

    /// The pods that are meant, which are started.
    fn of_pods(settings: Settings, hub: &HubArguments) -> Result<Self, Failure> {
        let agents = settings.agents;
        let pods = Pods::start(settings, messages::say).map_err(Failure::setup)?;
        let hub = match &pods.meeting.url {
            Some(url) => Hub {
                url: Secret::new(url),
                ca: pods.meeting.ca.as_ref().map(|file| file.path().to_owned()),
                ..Hub::default()
            },
            None => hub.hub().ok_or_else(no_server)?,
        };
        let hub = Hub {
            group: pods.run.clone(),
            ..hub
        };
        let trouble = Arc::clone(&pods.trouble);
        let given_up = move || {
            let trouble = trouble.lock().unwrap_or_else(PoisonError::into_inner);
            trouble.clone()
        };
        Ok(Self {
            hub,
            agents,
            gather: GATHER_LOCAL,
            given_up: Some(GivenUp(Arc::new(given_up))),
            _started: Some(Started::Pods { _agents: pods }),
        })
    }

    /// An order for them, without a run.
    pub(super) fn order(&self) -> Order {
        Order {
            hub: self.hub.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            agents: self.agents,
            gather: self.gather,
            given_up: self.given_up.clone(),
            ..Order::default()
        }
    }
}

/// Lets agents make the run.
pub(super) fn carry_out(
    arguments: &FleetArguments,
    run: &Run,
    files: &Files,
    watched: Watched,
) -> Result<u8, Failure> {
    files.check()?;
    refuse(run)?;
    let asked = watched.arguments();
    if asked.control {
        return Err(Failure::usage(
            "--control doesn't work with --agents: Ctrl-C stops the run on all of them",
        ));
    }
    let mut shown = GroupPages::open(asked.live.as_ref(), asked.metrics.as_ref())?;
    let temporary;
    let output = match &run.settings.output.native {
        Some(output) => output.clone(),
        None => {
            temporary = tempfile::tempdir().map_err(Failure::output)?;
            temporary.path().join("run.enc")
        }
    };
    let group = Group::of(arguments)?;
    let mut reads = Vec::new();
    for path in files.read_paths() {
        reads.push(RunFile {
            name: relative(path)?,
            path: path.to_owned(),
        });
    }
    let order = Order {
        arguments: line::of_agents(),
        files: reads,
        due: due::parts(run, group.agents),
        collect_hits: arguments.collect == Collect::Hits,
        silence: arguments.silence,
        output: output.clone(),
        growing: arguments.growing(shown.as_ref().map(GroupPages::file))?,
        watch: watcher(run),
        ..group.order()
    };
    let outcome = coordinator::run(&order, complain).map_err(Failure::setup)?;
    let missing = shown.as_mut().and_then(GroupPages::deliver);
    let status = report(&outcome, &output, &run.judging, missing)?;
    if let Some(shown) = shown {
        shown.end();
    }
    watched.end(&run.judging.criteria.fail_if)?;
    Ok(status)
}

/// Ends the run if a condition says so.
fn watcher(run: &Run) -> Option<Watcher> {
    let rules = &run.judging.criteria.stop_if;
    if rules.0.is_empty() {
        return None;
    }
    let workers_max = run.settings.workload.workers_max() as u64;
    let watch = Mutex::new(Watch::new(rules.clone(), workers_max));
    Some(Watcher::Seconds(Arc::new(move |second| {
        let mut watch = watch.lock().unwrap_or_else(PoisonError::into_inner);
        watch.take(&Window::of(second))
    })))
}

/// Fails if agents can't make such a run.
fn refuse(run: &Run) -> Result<(), Failure> {
    let output = &run.settings.output;
    let others = [
        (output.phout.is_some(), "phout"),
        (output.ldjson.is_some(), "LDJSON"),
        (output.go_binary.is_some(), "Go-encarno's format"),
        (output.trace.is_some(), "a trace"),
    ];
    if let Some((_, what)) = others.iter().find(|(there, _)| *there) {
        return Err(Failure::usage(format!(
            "agents send results for one result file, not for {what}: use -o FILE with \
             --collect hits, and `encarno convert`"
        )));
    }
    if let Some(input) = run.settings.source.input()
        && !input.file.is_file()
    {
        return Err(Failure::usage(format!(
            "{}: agents get files, but not pipes or devices",
            input.file.display()
        )));
    }
    Ok(())
}

/// The name of a file on an agent, relative to the folder of the run.
fn relative(path: &Path) -> Result<String, Failure> {
    let below = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    match path.to_str() {
        Some(text) if below => Ok(text.to_owned()),
        _ => Err(Failure::usage(format!(
            "{}: agents get the files of this folder and below it: name it by a relative path",
            path.display()
        ))),
    }
}

/// Reports how far the agents' starts may lie apart, and the errors of their clocks.
fn say_clocks(clocks: &[AgentClock]) {
    let worst = clocks.iter().max_by_key(|clock| clock.uncertainty_ns);
    let Some(worst) = worst.filter(|_| clocks.len() > 1) else {
        return;
    };
    let text = |ns: u64| time_text(ns as f64);
    let off = clocks
        .iter()
        .max_by_key(|clock| clock.offset_ns.unsigned_abs());
    let off = off.map_or_else(String::new, |clock| {
        let side = if clock.offset_ns < 0 {
            "behind"
        } else {
            "ahead"
        };
        let by = text(clock.offset_ns.unsigned_abs());
        format!(
            "; the wall clock of {} is {by} {side}, which doesn't matter",
            clock.agent
        )
    });
    complain(&format!(
        "the agents started within {} of the instant, by their clocks{off}",
        text(worst.uncertainty_ns)
    ));
    for clock in clocks
        .iter()
        .filter(|clock| clock.uncertainty_ns > UNCERTAIN_NS)
    {
        complain(&format!(
            "{}: its clock is known to {} only: don't compare its seconds with those of others",
            clock.agent,
            text(clock.uncertainty_ns)
        ));
    }
}

/// Reports the outcome, and returns the exit status. `missing` says which points of the run
/// weren't delivered.
pub(super) fn report(
    outcome: &Outcome,
    output: &Path,
    judging: &Judging,
    missing: Option<String>,
) -> Result<u8, Failure> {
    let mut file = whole::read(output).map_err(Failure::setup)?;
    if let Some(missing) = missing {
        let verdict = file.notes.verdict.get_or_insert_default();
        verdict.reasons.push(missing);
        let notes = Notes {
            verdict: Some(verdict.clone()),
            ..Notes::default()
        };
        add_notes(output, &notes).map_err(Failure::output)?;
    }
    for said in outcome.said.iter().chain(&outcome.remarks) {
        complain(said);
    }
    // Agents may have sent every hit.
    exact::refine(&[output], &mut file.statistics).map_err(Failure::setup)?;
    let ended = ended::of(&file, outcome, &judging.criteria.fail_if);
    let exit_status = if ended.summary.stop == Stop::Now {
        exit::INTERRUPTED
    } else if !outcome.lost.is_empty() {
        exit::LOST
    } else if outcome.aborted {
        exit::ABORTED
    } else if outcome.thresholds.iter().any(|threshold| !threshold.met) {
        exit::CRITERIA
    } else {
        ended.exit_status(judging.strict)
    };
    if let Some(file) = &judging.summary_file {
        write_file(file, &json::summary(&ended, exit_status))?;
    }
    if let Some(file) = &judging.junit_file {
        write_file(file, &junit::text(&ended, judging.strict))?;
    }
    // Metrics of k6 aren't hits: they have a table of their own.
    let of_k6 = !file.metrics.is_empty();
    print(|out| match (of_k6, judging.json) {
        _ if judging.silent => Ok(()),
        (true, _) => stats::print_table(&file, out),
        (false, true) => out.write_all(json::summary(&ended, exit_status).as_bytes()),
        (false, false) => writeln!(out, "{}", run_text(&ended)),
    })?;
    say_clocks(&outcome.clocks);
    for lost in &outcome.lost {
        complain(lost);
    }
    Ok(exit_status)
}
