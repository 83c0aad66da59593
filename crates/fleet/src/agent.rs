//! An agent: it says that it is there, takes a run at a time, and makes its part of it.

mod job;

use std::path::PathBuf;
use std::time::Duration;

use async_nats::jetstream::kv::Operation;
use futures_util::StreamExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::FleetError;
use crate::bus::{Bus, Hub, PRESENT, json};
use crate::words::{Begin, Halt, Plan, Presence};
use job::{Job, Order};

/// How an agent is set up.
#[derive(Clone, Debug, Default)]
pub struct AgentSettings {
    /// Where its group meets.
    pub hub: Hub,
    /// Its name.
    pub name: String,
    /// The version of its program.
    pub version: String,
    /// The program that makes the hits: this one.
    pub program: PathBuf,
    /// The commands that it takes.
    pub allow: Vec<String>,
    /// What it adds to the arguments of each run, so that the program keeps its bounds.
    pub bounds: Vec<String>,
    /// Where it keeps files and runs.
    pub folder: PathBuf,
}

/// Every other second it says that it is there.
const SAYS: Duration = Duration::from_secs(2);
/// A run needs three orders: to begin, to stop, and to stop at once.
const ORDERS_MAX: usize = 64;
/// Of a run's arguments so much is shown.
const SHOWN_CHARS_MAX: usize = 1000;

/// Is an agent until a signal comes. `tell` gets a sentence for people now and then.
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
    let bus = Bus::connect(&settings.hub).await?;
    let presence = Presence {
        name: settings.name.clone(),
        nonce: format!("{}.{}", std::process::id(), crate::clock::monotonic_ns()),
        version: settings.version.clone(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        allow: settings.allow.clone(),
        busy: None,
    };
    // Plans that were there before are another one's, or of an agent of this name that died.
    let mut words = bus
        .runs
        .watch_all()
        .await
        .map_err(FleetError::of("NATS tells of no runs"))?;
    enter(&bus, &presence).await?;
    tell("ready");
    let (busy, is_busy) = watch::channel(None::<String>);
    let saying = tokio::spawn(say(bus.clone(), presence, is_busy));
    let (end, mut ended) = mpsc::channel::<()>(1);
    let mut job: Option<(String, mpsc::Sender<Order>)> = None;
    let mut leaving = false;
    loop {
        tokio::select! {
            word = words.next() => {
                let Some(word) = word else {
                    return Err(FleetError("NATS tells of no runs any more".to_owned()));
                };
                // A word that was lost on the way comes again, or another one stands for it.
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
                    let one = Job::new(bus.clone(), settings.clone(), plan);
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
                // A job that has ended takes no orders, nor does one that has so many.
                order.map(|order| orders.try_send(order));
            }
            _ = ended.recv() => {
                if let Some((run, _)) = job.take() {
                    tell(&format!("run {run}: ended"));
                }
                let _told = busy.send(None);
                if leaving {
                    break;
                }
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
    // The others learn it at once, and in 6 s otherwise.
    let gone = bus.agents.delete(&settings.name);
    let _gone = tokio::time::timeout(Duration::from_secs(2), gone).await;
    Ok(())
}

/// The first signal drains, the second one stops; true if there is nothing to wait for.
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
    let _taken = orders.try_send(Order::Halt(Halt { at_once }));
    false
}

/// Takes the name, or waits until one that died has lost it.
async fn enter(bus: &Bus, presence: &Presence) -> Result<(), FleetError> {
    let deadline = tokio::time::Instant::now() + PRESENT + SAYS;
    loop {
        let created = bus.agents.create(&presence.name, json(presence)?).await;
        match created {
            Ok(_) => return Ok(()),
            Err(_) if tokio::time::Instant::now() < deadline => {
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
            // Without NATS nobody would hear it; it comes again.
            let _said = bus.agents.put(&presence.name, value).await;
        }
        let _changed = tokio::time::timeout(SAYS, busy.changed()).await;
    }
}
