//! The part of an agent in one run, from the plan to the last chunk of results.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::kv::CreateErrorKind;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::AgentSettings;
use crate::FleetError;
use crate::bus::{Bus, RETRY, json};
use crate::clock::{Estimate, Exchange, monotonic_ns};
use crate::files;
use crate::meeting::Meeting;
use crate::shipping::Shipper;
use crate::words::{Begin, ClockWord, Halt, Phase, Plan, State};
use crate::worker::Worker;

/// An order of a coordinator or a signal.
#[derive(Clone, Debug)]
pub(super) enum Order {
    Begin(Begin),
    Halt(Halt),
    /// The agent itself must end.
    Leave(Halt),
}

/// The exit status of k6 after `exec.test.abort()`, which ends a whole test.
const ABORTED: i32 = 108;
/// The number of timestamp exchanges before the start.
const EXCHANGES: usize = 24;
const EXCHANGE: Duration = Duration::from_secs(2);
const BEAT: Duration = Duration::from_secs(1);
/// How often results are read.
const LOOK: Duration = Duration::from_millis(250);
/// How long NATS may be away after the hits were made. After that, the file stays here.
const PATIENCE: Duration = Duration::from_secs(1800);
/// How long NATS may be away when a part is taken.
const TAKE: Duration = Duration::from_secs(60);
/// How long to wait for the coordinator's start after everything was ready.
const START: Duration = Duration::from_secs(900);

pub(super) struct Job {
    bus: Bus,
    settings: AgentSettings,
    plan: Plan,
    state: State,
    estimate: Estimate,
    /// Whether it must end before its part is made, and nobody else must.
    leaves: bool,
}

impl Job {
    pub(super) fn new(bus: Bus, settings: AgentSettings, nonce: &str, plan: Plan) -> Self {
        Self {
            bus,
            settings,
            plan,
            state: State {
                nonce: nonce.to_owned(),
                ..State::default()
            },
            estimate: Estimate::default(),
            leaves: false,
        }
    }

    fn key(&self) -> String {
        format!("{}.agent.{}", self.plan.run, self.settings.name)
    }

    /// Makes the part. Errors are reported to the coordinator.
    pub(super) async fn carry_out(mut self, mut orders: mpsc::Receiver<Order>) {
        if !self.takes_part().await {
            return;
        }
        if let Err(reason) = self.check() {
            return self.say(Phase::Refused, reason).await;
        }
        if let Err(error) = self.hit(&mut orders).await {
            let phase = match self.state.phase {
                Phase::Running => Phase::Broken,
                _ => Phase::Refused,
            };
            self.say(phase, error.to_string()).await;
        }
    }

    /// Takes the part. A second agent for the same part, such as a restarted pod, must not
    /// make its hits again.
    async fn takes_part(&self) -> bool {
        let Ok(first) = json(&self.state) else {
            return false;
        };
        let deadline = Instant::now() + TAKE;
        while Instant::now() < deadline {
            let created = self.bus.runs.create(self.key(), first.clone()).await;
            match created {
                Ok(_) => return true,
                Err(error) if error.kind() == CreateErrorKind::AlreadyExists => {
                    // The server may have been started again before it answered.
                    let known = self.bus.heard::<State>(&self.key()).await;
                    if let Ok(Some(known)) = known {
                        return known.nonce == self.state.nonce;
                    }
                }
                Err(_) => {}
            }
            sleep(RETRY).await;
        }
        false
    }

    fn check(&self) -> Result<(), String> {
        let (own, wanted) = (&self.settings.version, &self.plan.version);
        if own != wanted {
            return Err(format!(
                "it is encarno {own}, and the coordinator is encarno {wanted}: run one version"
            ));
        }
        let command = self.plan.arguments.first().map_or("", String::as_str);
        if !self.settings.allow.iter().any(|allowed| allowed == command) {
            return Err(format!(
                "it doesn't accept `encarno {command}`: it was started with --allow {}",
                self.settings.allow.join(",")
            ));
        }
        Ok(())
    }

    async fn say(&mut self, phase: Phase, text: String) {
        self.state.phase = phase;
        self.state.text = text;
        self.state.clock = self.estimate.clock(&self.settings.name);
        // Without NATS, nobody would receive it, so try as long as NATS may come back.
        let deadline = Instant::now() + PATIENCE;
        while self.bus.say(&self.key(), &self.state).await.is_err() && Instant::now() < deadline {
            sleep(BEAT).await;
        }
    }

    async fn hit(&mut self, orders: &mut mpsc::Receiver<Order>) -> Result<(), FleetError> {
        let folder = self.lay_out().await?;
        let names = &self.plan.agents;
        let number = names.iter().position(|name| *name == self.settings.name);
        let part = (number.unwrap_or_default(), names.len());
        let (program, bounds) = (&self.settings.program, &self.settings.bounds);
        let arguments = &self.plan.arguments;
        // Hits don't meet.
        let meeting = match arguments.first().is_some_and(|command| command == "k6") {
            true => Some(Meeting::open(&self.bus, &self.plan.run, &self.settings.name).await?),
            false => None,
        };
        let mut worker =
            Worker::start(program, arguments, bounds, part, &folder, meeting.as_ref())?;
        self.state.data = tokio::select! {
            ready = worker.ready() => ready?,
            _ = halted(orders) => return Err(FleetError("stopped before the start".to_owned())),
        };
        for _ in 0..EXCHANGES {
            self.exchange().await;
        }
        self.say(Phase::Ready, String::new()).await;
        let begin = tokio::select! {
            order = tokio::time::timeout(START, orders.recv()) => match order {
                Ok(Some(Order::Begin(begin))) => begin,
                _ => return Err(FleetError("stopped before the start".to_owned())),
            },
            _ = worker.ended() => {
                let said = worker.said().await;
                return Err(FleetError(format!("the run ended before its start: {said}")));
            }
        };
        let Some(at_ns) = self.estimate.begin(begin.at_unix_ns) else {
            return Err(FleetError(
                "the coordinator's clock gave no answer".to_owned(),
            ));
        };
        worker.begin(at_ns, &begin).await?;
        // It was said; it needn't be said again with each word.
        self.state.data = None;
        self.say(Phase::Running, String::new()).await;
        let (ended, has_ended) = oneshot::channel();
        let shipping = Shipping {
            shipper: Shipper::new(&worker.results, self.plan.collect_hits),
            bus: self.bus.clone(),
            run: self.plan.run.clone(),
            agent: self.settings.name.clone(),
            chunks: 0,
        };
        let shipping = tokio::spawn(shipping.ship(has_ended));
        let status = self.watch(&mut worker, orders).await;
        let said = worker.said().await;
        let _told = ended.send(());
        self.state.chunks = self.wait(shipping).await?;
        for _ in 0..3 {
            self.exchange().await;
        }
        match status {
            Some(0 | 6 | 7 | 99 | 105 | 130) if self.leaves => {
                let text = "a signal ended it before its part was made";
                self.say(Phase::Broken, text.to_owned()).await;
            }
            // It came to its end, whatever is to be said of its hits. 105: k6 was stopped
            // by a signal.
            Some(0 | 6 | 7 | 99 | 105 | 130) => self.say(Phase::Done, said).await,
            Some(ABORTED) => {
                self.state.ends_all = true;
                self.say(Phase::Done, said).await;
            }
            Some(status) => {
                self.say(
                    Phase::Broken,
                    format!("its program ended with status {status}: {said}"),
                )
                .await;
            }
            None => {
                self.say(Phase::Broken, format!("its program was killed. {said}"))
                    .await
            }
        }
        Ok(())
    }

    /// Writes the files of the run into a folder of its own.
    async fn lay_out(&self) -> Result<PathBuf, FleetError> {
        let folder = self
            .settings
            .folder
            .join("runs")
            .join(&self.plan.run)
            .join(&self.settings.name);
        let made = tokio::fs::create_dir_all(&folder).await;
        made.map_err(FleetError::of(folder.display().to_string()))?;
        if let Some(run) = folder.parent() {
            forget_old(run).await;
        }
        let cache = self.settings.folder.join("files");
        for file in &self.plan.files {
            files::get(&self.bus, file, &cache, &folder).await?;
        }
        Ok(folder)
    }

    async fn exchange(&mut self) {
        let asked_ns = monotonic_ns();
        let asking = self
            .bus
            .client
            .request(self.bus.clock(&self.plan.run), "".into());
        // If the coordinator is gone, there is no answer, and nothing to learn.
        let Ok(Ok(answer)) = tokio::time::timeout(EXCHANGE, asking).await else {
            return;
        };
        let heard_ns = monotonic_ns();
        if let Ok(word) = serde_json::from_slice::<ClockWord>(&answer.payload) {
            self.estimate.add(Exchange {
                asked_ns,
                received_unix_ns: word.received_unix_ns,
                sent_unix_ns: word.sent_unix_ns,
                heard_ns,
            });
        }
    }

    async fn beat(&self) {
        let subject = self.bus.beat(&self.plan.run, &self.settings.name);
        // The next one follows in a second.
        let _said = self.bus.client.publish(subject, "".into()).await;
    }

    /// Waits until the hits are made, and returns the exit status.
    async fn watch(
        &mut self,
        worker: &mut Worker,
        orders: &mut mpsc::Receiver<Order>,
    ) -> Option<i32> {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stops = 0;
        loop {
            let wanted = tokio::select! {
                status = worker.ended() => return status.ok().flatten(),
                order = orders.recv() => order,
                _ = beats.tick() => {
                    self.beat().await;
                    self.exchange().await;
                    continue;
                }
            };
            match wanted {
                Some(order @ (Order::Halt(halt) | Order::Leave(halt))) => {
                    // When all agents stop, it doesn't matter that this one was told twice.
                    self.leaves |= stops == 0 && matches!(order, Order::Leave(_));
                    // The program stops at once at the second signal.
                    let wanted = if halt.at_once { 2 } else { 1 };
                    while stops < wanted {
                        worker.stop();
                        stops += 1;
                        sleep(Duration::from_millis(50)).await;
                    }
                }
                Some(Order::Begin(_)) => {}
                None => return worker.ended().await.ok().flatten(),
            }
        }
    }

    async fn wait(
        &self,
        mut shipping: tokio::task::JoinHandle<Result<u64, FleetError>>,
    ) -> Result<u64, FleetError> {
        loop {
            tokio::select! {
                shipped = &mut shipping => {
                    return shipped.map_err(FleetError::of("shipping broke down"))?;
                }
                () = sleep(BEAT) => self.beat().await,
            }
        }
    }
}

/// The number of runs whose results an agent keeps, in case they were lost elsewhere.
const RUNS_KEPT: usize = 32;

/// Deletes the folders of the oldest runs; their names begin with their times.
async fn forget_old(run: &Path) {
    let Some(runs) = run.parent() else { return };
    let Ok(mut entries) = tokio::fs::read_dir(runs).await else {
        return;
    };
    let mut folders = Vec::new();
    while let Ok(Some(entry)) = entries.next_entry().await {
        folders.push(entry.path());
    }
    folders.sort();
    let old = folders.len().saturating_sub(RUNS_KEPT);
    for folder in &folders[..old] {
        // If one can't be deleted, it only takes space.
        let _deleted = tokio::fs::remove_dir_all(folder).await;
    }
}

async fn halted(orders: &mut mpsc::Receiver<Order>) {
    loop {
        match orders.recv().await {
            Some(Order::Begin(_)) => {}
            Some(Order::Halt(_) | Order::Leave(_)) | None => return,
        }
    }
}

/// Puts results into the stream as they come. Meanwhile they are in the file.
struct Shipping {
    shipper: Shipper,
    bus: Bus,
    run: String,
    agent: String,
    chunks: u64,
}

impl Shipping {
    async fn ship(mut self, mut ended: oneshot::Receiver<()>) -> Result<u64, FleetError> {
        loop {
            let last = tokio::select! {
                _ = &mut ended => true,
                () = sleep(LOOK) => false,
            };
            let chunks = self.shipper.take(last);
            for chunk in chunks.map_err(FleetError::of("the results can't be read"))? {
                self.publish(chunk).await?;
            }
            if last {
                return Ok(self.chunks);
            }
        }
    }

    /// Publishes a chunk until the stream has it. The stream drops duplicates by their
    /// id.
    async fn publish(&mut self, chunk: Vec<u8>) -> Result<(), FleetError> {
        let subject = self.bus.results(&self.run, &self.agent);
        let (number, chunk) = (self.chunks, bytes::Bytes::from(chunk));
        let id = format!("{}.{}.{number}", self.run, self.agent);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut headers = HeaderMap::new();
            headers.insert(async_nats::header::NATS_MESSAGE_ID, id.as_str());
            headers.insert("Encarno-Chunk", number.to_string());
            let context: &jetstream::Context = &self.bus.jetstream;
            let sent = context
                .publish_with_headers(subject.clone(), headers, chunk.clone())
                .await;
            let error = match sent {
                Ok(ack) => match ack.await {
                    Ok(_) => break,
                    Err(error) => error.to_string(),
                },
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                return Err(FleetError(format!("NATS accepts no results: {error}")));
            }
            sleep(Duration::from_millis(500)).await;
        }
        self.chunks += 1;
        Ok(())
    }
}
