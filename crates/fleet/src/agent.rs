//! An agent. It announces itself, takes one run at a time, and makes its part of the run.

mod job;

use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::kv::Operation;
use futures_util::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::FleetError;
use crate::bus::{Bus, Hub, PRESENT, json};
use crate::words::{Begin, Halt, Plan, Presence};
use job::{Job, Order};

/// The settings of an agent.
#[derive(Clone, Debug, Default)]
pub struct AgentSettings {
    /// The meeting point of its group.
    pub hub: Hub,
    /// Its name.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// The program that makes the hits, which is this one.
    pub program: PathBuf,
    /// The commands that it accepts.
    pub allow: Vec<String>,
    /// Arguments that it adds to those of each run, so that the program enforces its
    /// bounds.
    pub bounds: Vec<String>,
    /// The folder of its files and runs.
    pub folder: PathBuf,
    /// Whether it ends after one run.
    pub once: bool,
    /// End if no run came for so long. Until then, it also waits for the NATS server.
    pub idle: Option<Duration>,
}

/// How often it announces itself.
const SAYS: Duration = Duration::from_secs(2);
/// How long to wait before connecting again.
const RETRY: Duration = Duration::from_millis(500);
/// The most waiting orders. A run needs three: begin, stop, and stop at once.
const ORDERS_MAX: usize = 64;
/// The most characters of a run's arguments that are shown.
const SHOWN_CHARS_MAX: usize = 1000;

/// Runs the agent until a signal comes. `tell` is called with sentences for people from
/// time to time.
pub fn run(settings: AgentSettings, tell: impl Fn(&str)) -> Result<(), FleetError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(FleetError::of("no event loop"))?;
    let result = runtime.block_on(serve(settings, &tell));
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

async fn serve(settings: AgentSettings, tell: &impl Fn(&str)) -> Result<(), FleetError> {
    let mut interrupts = signal(SignalKind::interrupt()).map_err(FleetError::of("no signals"))?;
    let mut terminates = signal(SignalKind::terminate()).map_err(FleetError::of("no signals"))?;
    let bus = connect(&settings, tell).await?;
    let presence = Presence {
        name: settings.name.clone(),
        nonce: format!("{}.{}", std::process::id(), crate::clock::monotonic_ns()),
        version: settings.version.clone(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        allow: settings.allow.clone(),
        busy: None,
    };
    // Existing plans are for other agents, or for a dead agent of the same name.
    let mut words = bus
        .runs
        .watch_all()
        .await
        .map_err(FleetError::of("NATS sends no runs"))?;
    enter(&bus, &presence).await?;
    tell("ready");
    let nonce = presence.nonce.clone();
    let (busy, is_busy) = watch::channel(None::<String>);
    let saying = tokio::spawn(say(bus.clone(), presence, is_busy));
    let (end, mut ended) = mpsc::channel::<()>(1);
    let mut job: Option<(String, mpsc::Sender<Order>)> = None;
    let mut leaving = false;
    let mut free_since = Instant::now();
    loop {
        let idle_until = settings.idle.filter(|_| job.is_none());
        let idle_until = idle_until.and_then(|idle| free_since.checked_add(idle));
        tokio::select! {
            word = words.next() => {
                let Some(word) = word else {
                    return Err(FleetError("NATS sends no more runs".to_owned()));
                };
                // A message that was lost comes again, or a later one replaces it.
                let Ok(word) = word else { continue };
                let Some((run, what)) = word.key.split_once('.') else { continue };
                if word.operation != Operation::Put {
                    continue;
                }
                if what == "plan" {
                    let Ok(plan) = serde_json::from_slice::<Plan>(&word.value) else { continue };
                    let wanted = plan.agents.contains(&settings.name);
                    if !wanted || job.is_some() || leaving || plan.run != run || !plan.is_sound() {
                        continue;
                    }
                    let words = plan.arguments.join(" ");
                    let shown: String = words.chars().take(SHOWN_CHARS_MAX).collect();
                    tell(&format!("run {run}: {shown}"));
                    let (orders, taken) = mpsc::channel(ORDERS_MAX);
                    job = Some((run.to_owned(), orders));
                    let _told = busy.send(Some(run.to_owned()));
                    let one = Job::new(bus.clone(), settings.clone(), &nonce, plan);
                    let end = end.clone();
                    tokio::spawn(async move {
                        one.carry_out(taken).await;
                        let _ended = end.send(()).await;
                    });
                    continue;
                }
                let Some((name, orders)) = &job else { continue };
                if name != run {
                    continue;
                }
                let order = match what {
                    "start" => serde_json::from_slice::<Begin>(&word.value).ok().map(Order::Begin),
                    "stop" => serde_json::from_slice::<Halt>(&word.value).ok().map(Order::Halt),
                    _ => None,
                };
                // A job that has ended takes no orders, and neither does one with too
                // many.
                order.map(|order| orders.try_send(order));
            }
            _ = ended.recv() => {
                if let Some((run, _)) = job.take() {
                    tell(&format!("run {run}: ended"));
                }
                let _told = busy.send(None);
                if leaving || settings.once {
                    break;
                }
                free_since = Instant::now();
            }
            () = until(idle_until) => {
                tell("no run came: the agent ends (--idle)");
                break;
            }
            _ = interrupts.recv() => {
                if stop(&job, &mut leaving, tell) { break; }
            }
            _ = terminates.recv() => {
                if stop(&job, &mut leaving, tell) { break; }
            }
        }
    }
    saying.abort();
    // With this, others notice at once; without it, after 6 s.
    let gone = bus.agents.delete(&settings.name);
    let _gone = tokio::time::timeout(Duration::from_secs(2), gone).await;
    Ok(())
}

/// Waits until an instant, or without one for ever.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// The first signal lets hits end, and the second one stops them. Returns true if there
/// is nothing to wait for.
fn stop(
    job: &Option<(String, mpsc::Sender<Order>)>,
    leaving: &mut bool,
    tell: &impl Fn(&str),
) -> bool {
    let Some((run, orders)) = job else {
        return true;
    };
    let at_once = *leaving;
    *leaving = true;
    tell(&match at_once {
        false => format!("run {run}: running hits may end; a second signal stops at once"),
        true => format!("run {run}: stopped"),
    });
    // A job that has ended takes no orders.
    let _taken = orders.try_send(Order::Leave(Halt { at_once }));
    false
}

/// Connects to NATS. An agent that waits for runs also waits for its server, which may be
/// started at the same time.
async fn connect(settings: &AgentSettings, tell: &impl Fn(&str)) -> Result<Bus, FleetError> {
    let since = Instant::now();
    let mut told = false;
    loop {
        let failed = match Bus::connect(&settings.hub).await {
            Ok(bus) => return Ok(bus),
            Err(error) => error,
        };
        if settings.idle.is_none_or(|idle| since.elapsed() >= idle) {
            return Err(failed);
        }
        if !std::mem::replace(&mut told, true) {
            tell(&format!("{failed}; trying again"));
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// Takes the name, or waits until a dead agent has lost it.
async fn enter(bus: &Bus, presence: &Presence) -> Result<(), FleetError> {
    let deadline = Instant::now() + PRESENT + SAYS;
    loop {
        let created = bus.agents.create(&presence.name, json(presence)?).await;
        match created {
            Ok(_) => return Ok(()),
            Err(_) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Err(error) => {
                return Err(FleetError(format!(
                    "there is an agent {} in the group already: choose another --name ({error})",
                    presence.name
                )));
            }
        }
    }
}

async fn say(bus: Bus, mut presence: Presence, mut busy: watch::Receiver<Option<String>>) {
    loop {
        presence.busy.clone_from(&busy.borrow_and_update());
        if let Ok(value) = json(&presence) {
            // Without NATS, nobody would receive it. It is sent again.
            let _said = bus.agents.put(&presence.name, value).await;
        }
        let _changed = tokio::time::timeout(SAYS, busy.changed()).await;
    }
}
