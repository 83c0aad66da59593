//! The coordinator: makes a run, from its plan to its merged file.

mod collect;
mod ending;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use encarno_record::notes::{Account, AgentClock, Threshold};
use encarno_record::seconds::Second;
use encarno_record::series::Metrics;
use futures_util::StreamExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout_at};

use crate::FleetError;
use crate::bus::{Bus, Hub, json};
use crate::clock::Axis;
use crate::files::{self, RunFile};
use crate::words::{Begin, ClockWord, Halt, Phase, Plan, State, is_name};
use collect::Collecting;

/// A run for agents.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// The meeting point of the group.
    pub hub: Hub,
    /// The version of the program.
    pub version: String,
    /// The number of agents.
    pub agents: usize,
    /// The command and its arguments, for the agents' programs.
    pub arguments: Vec<String>,
    /// The files that the run reads.
    pub files: Vec<RunFile>,
    /// Who looks at what was measured while it goes on.
    pub watch: Option<Watcher>,
    /// The number of hits of each part, if it is known.
    pub due: Vec<Option<u64>>,
    /// Whether agents send every hit, and not only sums.
    pub collect_hits: bool,
    /// How long to wait for enough agents.
    pub gather: Duration,
    /// Whether a run that hasn't started must be given up, because its agents won't come.
    pub given_up: Option<GivenUp>,
    /// An agent that is silent for longer than this is lost.
    pub silence: Duration,
    /// The merged file.
    pub output: PathBuf,
    /// A file for those who look on: what came in so far, merged while the run goes on.
    pub growing: Option<PathBuf>,
}

/// Looks at what all agents measure together. What it returns ends the run, and says why.
#[derive(Clone)]
pub enum Watcher {
    /// Looks at the metrics once a second, after the run has lasted for so long.
    Metrics(Arc<WatchMetrics>),
    /// Looks at the hits of each second, as soon as no agent has more of them.
    Seconds(Arc<WatchSeconds>),
}

/// See [`Watcher`].
pub type WatchMetrics = dyn Fn(&Metrics, Duration) -> Option<String> + Send + Sync;
/// See [`Watcher`].
pub type WatchSeconds = dyn Fn(Second) -> Option<String> + Send + Sync;

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher")
    }
}

/// Returns why the agents of a run won't come.
#[derive(Clone)]
pub struct GivenUp(pub Arc<dyn Fn() -> Option<String> + Send + Sync>);

impl fmt::Debug for GivenUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenUp")
    }
}

/// The result of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The name of the run.
    pub run: String,
    /// The account of all agents.
    pub totals: Account,
    /// The lost agents, with the reasons.
    pub lost: Vec<String>,
    /// The messages of the agents' programs, with the agents' names.
    pub said: Vec<String>,
    /// The agents' clocks.
    pub clocks: Vec<AgentClock>,
    /// Remarks for readers of the merged file.
    pub remarks: Vec<String>,
    /// How often the run was told to stop.
    pub stops: u32,
    /// Why the run was ended by who watched it, or by the program of an agent.
    pub ended: Option<String>,
    /// Whether it was the program of an agent.
    pub aborted: bool,
    /// What became of the thresholds of a k6 script.
    pub thresholds: Vec<Threshold>,
    /// What the program of an agent prepared for all of them: JSON.
    pub data: Option<String>,
}

/// How long all agents may take to be ready.
const READY: Duration = Duration::from_secs(900);
/// How far ahead the start is, so that every agent learns of it in time.
const AHEAD: Duration = Duration::from_secs(2);

/// Makes a run. `tell` is called with sentences, and with a line each second, for people.
pub fn run(order: &Order, tell: impl Fn(&str)) -> Result<Outcome, FleetError> {
    block_on(make(order, &tell))
}

/// Takes over a run whose coordinator is gone: waits for its end, if it hasn't ended, and
/// merges its results.
pub fn attach(order: &Order, run: &str, tell: impl Fn(&str)) -> Result<Outcome, FleetError> {
    block_on(take_up(order, run, &tell))
}

fn block_on<T>(future: impl Future<Output = Result<T, FleetError>>) -> Result<T, FleetError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(FleetError::of("no event loop"))?;
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

async fn make(order: &Order, tell: &impl Fn(&str)) -> Result<Outcome, FleetError> {
    let bus = Bus::connect(&order.hub).await?;
    let mut signals = Signals::new()?;
    let agents = tokio::select! {
        chosen = choose(&bus, order) => chosen?,
        () = signals.next() => return Err(FleetError("stopped before the start".to_owned())),
    };
    let axis = Axis::start();
    let run = format!("r{}", axis.now_unix_ns() / 1_000_000);
    let mut files = Vec::new();
    for file in &order.files {
        files.push(files::put(&bus, file).await?);
    }
    let plan = Plan {
        run: run.clone(),
        version: order.version.clone(),
        agents,
        arguments: order.arguments.clone(),
        files,
        due: order.due.clone(),
        collect_hits: order.collect_hits,
    };
    let answering = answer_clocks(&bus, &run, axis).await?;
    let mut collecting = Collecting::start(&bus, order, &plan).await?;
    bus.say(&format!("{run}.plan"), &plan).await?;
    tell(&format!("run {run}: {}", plan.agents.join(", ")));
    let result = async {
        if !wait_until_ready(order, &mut collecting, &run, &mut signals).await? {
            return Err(FleetError("stopped before the start".to_owned()));
        }
        let at_unix_ns = axis.now_unix_ns() + AHEAD.as_nanos() as u64;
        let data = collecting
            .states()
            .find_map(|(_, state)| state.data.clone());
        collecting.data.clone_from(&data);
        bus.say(&format!("{run}.start"), &Begin { at_unix_ns, data })
            .await?;
        tell(&format!("run {run}: it starts in {} s", AHEAD.as_secs()));
        collecting.starts_in(AHEAD);
        collecting.take_all(&mut signals, tell).await
    };
    let result = result.await;
    if result.is_err() {
        // After any error, no agent may go on alone.
        let _said = bus
            .say(&format!("{run}.stop"), &Halt { at_once: true })
            .await;
    }
    answering.abort();
    let stops = result?;
    ending::merge(order, &plan, collecting, stops)
}

async fn take_up(order: &Order, run: &str, tell: &impl Fn(&str)) -> Result<Outcome, FleetError> {
    let bus = Bus::connect(&order.hub).await?;
    let mut signals = Signals::new()?;
    let unknown = || {
        FleetError(format!(
            "{run}: the group {} has no such run",
            order.hub.group
        ))
    };
    if !is_name(run) {
        return Err(unknown());
    }
    let plan: Plan = bus
        .heard(&format!("{run}.plan"))
        .await?
        .filter(|plan: &Plan| plan.run == run && plan.is_sound())
        .ok_or_else(unknown)?;
    if bus.heard::<Begin>(&format!("{run}.start")).await?.is_none() {
        return Err(FleetError(format!(
            "{run} was never started: there is nothing to collect"
        )));
    }
    let mut collecting = Collecting::start(&bus, order, &plan).await?;
    let stops = collecting.take_all(&mut signals, tell).await?;
    ending::merge(order, &plan, collecting, stops)
}

impl Order {
    /// Fails if the run must be given up.
    fn check(&self) -> Result<(), FleetError> {
        let reason = self.given_up.as_ref().and_then(|given_up| given_up.0());
        reason.map_or(Ok(()), |reason| Err(FleetError(reason)))
    }
}

/// Chooses the agents of the run.
async fn choose(bus: &Bus, order: &Order) -> Result<Vec<String>, FleetError> {
    let deadline = Instant::now() + order.gather;
    loop {
        order.check()?;
        let present = bus.present().await?;
        let idle: Vec<_> = present
            .iter()
            .filter(|agent| agent.busy.is_none())
            .collect();
        if idle.len() >= order.agents {
            let chosen = &idle[..order.agents];
            let others = chosen.iter().filter(|agent| agent.version != order.version);
            let others = others.map(|agent| format!("{} is encarno {}", agent.name, agent.version));
            let others: Vec<_> = others.collect();
            if !others.is_empty() {
                return Err(FleetError(format!(
                    "{}, and this is encarno {}: run one version everywhere",
                    others.join(", "),
                    order.version
                )));
            }
            return Ok(chosen.iter().map(|agent| agent.name.clone()).collect());
        }
        if Instant::now() > deadline {
            let name = |agent: &crate::words::Presence| match &agent.busy {
                Some(run) => format!("{} (busy with {run})", agent.name),
                None => agent.name.clone(),
            };
            let names: Vec<_> = present.iter().map(name).collect();
            return Err(FleetError(format!(
                "{} agents are wanted, and {} of the group {} are free{}{}: start more with \
                 `encarno agent --nats {} --group {}`",
                order.agents,
                idle.len(),
                order.hub.group,
                if names.is_empty() { "" } else { ": " },
                names.join(", "),
                order.hub.shown(),
                order.hub.group
            )));
        }
        sleep(Duration::from_millis(200)).await;
    }
}

/// Answers agents that ask for the time.
async fn answer_clocks(
    bus: &Bus,
    run: &str,
    axis: Axis,
) -> Result<tokio::task::JoinHandle<()>, FleetError> {
    let asked = bus.client.subscribe(bus.clock(run)).await;
    let mut asked = asked.map_err(FleetError::of("NATS accepts no subscription"))?;
    let client = bus.client.clone();
    Ok(tokio::spawn(async move {
        while let Some(question) = asked.next().await {
            let received_unix_ns = axis.now_unix_ns();
            let Some(reply) = question.reply else {
                continue;
            };
            let word = ClockWord {
                received_unix_ns,
                sent_unix_ns: axis.now_unix_ns(),
            };
            if let Ok(word) = json(&word) {
                // An agent without an answer asks again.
                let _sent = client.publish(reply, word).await;
            }
        }
    }))
}

/// Waits for all agents; false if a signal came.
async fn wait_until_ready(
    order: &Order,
    collecting: &mut Collecting,
    run: &str,
    signals: &mut Signals,
) -> Result<bool, FleetError> {
    let deadline = Instant::now() + READY;
    loop {
        order.check()?;
        let bad = |state: &State| matches!(state.phase, Phase::Refused | Phase::Broken);
        let bad = collecting.states().find(|(_, state)| bad(state));
        if let Some((agent, state)) = bad {
            return Err(FleetError(format!(
                "the agent {agent} doesn't make the run {run}: {}",
                state.text
            )));
        }
        if collecting
            .states()
            .all(|(_, state)| state.phase == Phase::Ready)
        {
            return Ok(true);
        }
        if let Some(agent) = collecting.vanished().await? {
            return Err(FleetError(format!(
                "the agent {agent} is gone before the start of the run {run}"
            )));
        }
        tokio::select! {
            heard = timeout_at(deadline.min(Instant::now() + Duration::from_secs(1)), collecting.hear()) => {
                if let Ok(heard) = heard {
                    heard?;
                } else if Instant::now() > deadline {
                    let late = collecting.states().filter(|(_, state)| state.phase != Phase::Ready);
                    let late: Vec<_> = late.map(|(agent, _)| agent.to_owned()).collect();
                    return Err(FleetError(format!("not ready after 15 minutes: {}", late.join(", "))));
                }
            }
            () = signals.next() => return Ok(false),
        }
    }
}

/// The signals that end a run.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, FleetError> {
        let on = |kind| signal(kind).map_err(FleetError::of("no signals"));
        Ok(Self {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
