//! Receives states, heartbeats and results of the agents.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use async_nats::Subscriber;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use async_nats::jetstream::kv::Watch;
use encarno_record::merge::Growing;
use encarno_record::seconds::Seconds;
use encarno_record::series::Metrics;
use encarno_record::statistics::{counted, time_text};
use futures_util::StreamExt as _;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{Order, Signals, Watcher};
use crate::FleetError;
use crate::bus::Bus;
use crate::parts::{News, Part};
use crate::words::{Halt, Phase, Plan, State};

/// An agent that has sent nothing so long after the start isn't waited for by who looks on.
const LATE: Duration = Duration::from_secs(5);

/// The state of one agent.
pub(super) struct Agent {
    pub(super) part: Part,
    pub(super) state: State,
    heard: Instant,
    /// Whether it was silent for too long.
    pub(super) silent: bool,
}

impl Agent {
    /// Whether nothing more will come from it.
    fn has_ended(&self) -> bool {
        match self.state.phase {
            Phase::Done => self.part.chunks() >= self.state.chunks,
            Phase::Broken => self.state.chunks <= self.part.chunks(),
            Phase::Refused => true,
            Phase::Preparing | Phase::Ready | Phase::Running => self.silent,
        }
    }
}

/// Everything that is received.
pub(super) struct Collecting {
    bus: Bus,
    run: String,
    silence: Duration,
    watch: Option<Watcher>,
    /// The hits of all agents by second, if somebody watches them.
    seconds: Option<Seconds>,
    /// The start of the run.
    started: Instant,
    /// Why the run was ended by who watches it.
    pub(super) ended: Option<String>,
    /// The agent whose program ended the run.
    pub(super) aborted: Option<String>,
    /// What the program of an agent prepared for all of them.
    pub(super) data: Option<String>,
    pub(super) agents: BTreeMap<String, Agent>,
    pub(super) folder: PathBuf,
    /// What came in so far, merged; none if nobody looks on.
    pub(super) growing: Option<Growing>,
    words: Watch,
    beats: Subscriber,
    results: Ordered,
}

impl Collecting {
    pub(super) async fn start(bus: &Bus, order: &Order, plan: &Plan) -> Result<Self, FleetError> {
        let run = &plan.run;
        let folder = parts_folder(&order.output);
        let made = std::fs::create_dir_all(&folder);
        made.map_err(FleetError::of(folder.display().to_string()))?;
        let mut agents = BTreeMap::new();
        for name in &plan.agents {
            let agent = Agent {
                part: Part::create(&folder, name)?,
                state: State::default(),
                heard: Instant::now(),
                silent: false,
            };
            agents.insert(name.clone(), agent);
        }
        let failed = || FleetError::of("NATS accepts no subscription");
        // Earlier values of a run that is already going on are needed too.
        let words = bus.runs.watch_with_history(format!("{run}.agent.*")).await;
        let beats = bus.client.subscribe(bus.beat(run, "*")).await;
        let stream = bus.jetstream.get_stream(bus.stream()).await;
        let stream = stream.map_err(FleetError::of("NATS has no stream of results"))?;
        let consumer = stream.create_consumer(OrderedConfig {
            filter_subject: bus.results(run, "*"),
            ..OrderedConfig::default()
        });
        let consumer = consumer
            .await
            .map_err(FleetError::of("NATS sends no results"))?;
        Ok(Self {
            bus: bus.clone(),
            run: run.clone(),
            silence: order.silence,
            watch: order.watch.clone(),
            seconds: None,
            started: Instant::now(),
            ended: None,
            aborted: None,
            data: None,
            growing: order.growing.as_ref().map(|out| {
                let parts = agents.values().map(|agent| agent.part.path.clone());
                Growing::new(parts, out)
            }),
            agents,
            folder,
            words: words.map_err(FleetError::of("NATS sends no states"))?,
            beats: beats.map_err(failed())?,
            results: consumer
                .messages()
                .await
                .map_err(FleetError::of("NATS sends no results"))?,
        })
    }

    /// The run starts then.
    pub(super) fn starts_in(&mut self, ahead: Duration) {
        self.started = Instant::now() + ahead;
    }

    pub(super) fn states(&self) -> impl Iterator<Item = (&str, &State)> {
        self.agents
            .iter()
            .map(|(name, agent)| (&**name, &agent.state))
    }

    /// The name of an agent that has left the group.
    pub(super) async fn vanished(&self) -> Result<Option<String>, FleetError> {
        for name in self.agents.keys() {
            if !self.bus.is_present(name).await? {
                return Ok(Some(name.clone()));
            }
        }
        Ok(None)
    }

    /// Takes the next message.
    pub(super) async fn hear(&mut self) -> Result<(), FleetError> {
        tokio::select! {
            word = self.words.next() => {
                let Some(word) = word else {
                    return Err(FleetError("NATS sends no more states".to_owned()));
                };
                // A lost message comes again.
                let Ok(word) = word else { return Ok(()) };
                let name = word.key.rsplit('.').next().unwrap_or_default();
                if let (Some(agent), Ok(state)) = (self.agents.get_mut(name), serde_json::from_slice(&word.value)) {
                    agent.state = state;
                    agent.heard = Instant::now();
                }
            }
            beat = self.beats.next() => {
                let Some(beat) = beat else {
                    return Err(FleetError("NATS sends no more heartbeats".to_owned()));
                };
                self.lives(beat.subject.as_str());
            }
            message = self.results.next() => {
                let Some(message) = message else {
                    return Err(FleetError("NATS sends no more results".to_owned()));
                };
                // After an error, the consumer is made again, and continues at its place.
                let Ok(message) = message else { return Ok(()) };
                let number = message.headers.as_ref().and_then(|headers| headers.get("Encarno-Chunk"));
                let number = number.and_then(|number| number.as_str().parse().ok());
                let name = message.subject.rsplit('.').next().unwrap_or_default().to_owned();
                if let (Some(agent), Some(number)) = (self.agents.get_mut(&name), number) {
                    agent.heard = Instant::now();
                    agent.part.take(number, &message.payload)?;
                }
            }
        }
        Ok(())
    }

    fn lives(&mut self, subject: &str) {
        let name = subject.rsplit('.').next().unwrap_or_default();
        if let Some(agent) = self.agents.get_mut(name) {
            agent.heard = Instant::now();
            agent.silent = false;
        }
    }

    /// Takes messages until all agents have ended or are lost. Returns how often the run
    /// was stopped.
    pub(super) async fn take_all(
        &mut self,
        signals: &mut Signals,
        tell: &impl Fn(&str),
    ) -> Result<u32, FleetError> {
        let mut ticks = interval(Duration::from_secs(1));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut stops, mut hits) = (0, 0);
        let now = Instant::now();
        self.agents.values_mut().for_each(|agent| agent.heard = now);
        while !self.agents.values().all(Agent::has_ended) {
            tokio::select! {
                heard = self.hear() => heard?,
                () = signals.next() => {
                    stops += 1;
                    tell(match stops {
                        1 => "running hits may end on all agents; a second signal stops them at once",
                        2 => "stopped at once",
                        _ => return Err(FleetError(format!(
                            "left: `encarno attach {}` collects what the agents have",
                            self.run
                        ))),
                    });
                    let halt = Halt { at_once: stops > 1 };
                    self.bus.say(&format!("{}.stop", self.run), &halt).await?;
                }
                _ = ticks.tick() => {
                    self.look(&mut hits, tell)?;
                    self.grow(tell);
                    self.watch(tell).await?;
                    self.end_all(tell).await?;
                }
            }
        }
        let is_away = |agent: &Agent| agent.silent && agent.state.phase != Phase::Done;
        if self.agents.values().any(is_away) {
            // An agent that hears again has nothing to go on with.
            let halt = Halt { at_once: true };
            self.bus.say(&format!("{}.stop", self.run), &halt).await?;
        }
        Ok(stops)
    }

    /// Merges what came in since the last second. The run is worth more than who looks on.
    fn grow(&mut self, tell: &impl Fn(&str)) {
        let Some(growing) = &mut self.growing else {
            return;
        };
        if let Err(error) = growing.take(self.started.elapsed() > LATE) {
            tell(&format!("the run can't be shown any more: {error}"));
            self.growing = None;
        }
    }

    /// Ends the run if who watches it says so.
    async fn watch(&mut self, tell: &impl Fn(&str)) -> Result<(), FleetError> {
        let Some(watch) = self.watch.as_ref().filter(|_| self.ended.is_none()) else {
            return Ok(());
        };
        let reason = match watch {
            Watcher::Metrics(watch) => {
                let mut metrics = Metrics::default();
                for agent in self.agents.values() {
                    if let Some(reader) = agent.part.reader() {
                        metrics.merge(reader.metrics());
                    }
                }
                watch(&metrics, self.started.elapsed())
            }
            Watcher::Seconds(watch) => {
                let is_counted = |agent: &Agent| {
                    agent.part.reader().is_some() || agent.silent || agent.has_ended()
                };
                let all = self.agents.values().all(is_counted);
                let mut reason = None;
                if let Some(seconds) = self.seconds.as_mut().filter(|_| all) {
                    while reason.is_none()
                        && let Some(second) = seconds.next_whole()
                    {
                        reason = watch(second);
                    }
                }
                reason
            }
        };
        match reason {
            Some(reason) => self.end(reason, tell).await,
            None => Ok(()),
        }
    }

    /// Ends the run if the program of an agent says so.
    async fn end_all(&mut self, tell: &impl Fn(&str)) -> Result<(), FleetError> {
        if self.aborted.is_some() {
            return Ok(());
        }
        let Some((name, state)) = self.states().find(|(_, state)| state.ends_all) else {
            return Ok(());
        };
        let mut reason = format!("the script has ended the test, on {name}");
        if let Some(line) = state.text.lines().last() {
            reason = format!("{reason}: {line}");
        }
        self.aborted = Some(name.to_owned());
        self.end(reason, tell).await
    }

    async fn end(&mut self, reason: String, tell: &impl Fn(&str)) -> Result<(), FleetError> {
        tell(&reason);
        self.ended = Some(reason);
        let halt = Halt { at_once: false };
        self.bus.say(&format!("{}.stop", self.run), &halt).await
    }

    /// Finds silent agents, and the results since the last second.
    fn look(&mut self, hits: &mut u64, tell: &impl Fn(&str)) -> Result<(), FleetError> {
        let mut news = News::default();
        let (mut silent, count) = (Vec::new(), self.agents.len());
        let watches = matches!(self.watch, Some(Watcher::Seconds(_)));
        for (name, agent) in &mut self.agents {
            let seconds = watches.then_some(&mut self.seconds);
            let looked = agent.part.look(&mut news, seconds);
            looked.map_err(FleetError::of(agent.part.path.display().to_string()))?;
            let is_silent = agent.heard.elapsed() > self.silence;
            if is_silent && !agent.silent && !agent.has_ended() {
                tell(&format!(
                    "the agent {name} has been silent for {} s",
                    self.silence.as_secs()
                ));
            }
            let is_over = is_silent || agent.has_ended();
            if is_over && let Some(seconds) = &mut self.seconds {
                agent.part.give_up(seconds);
            }
            if is_over && let Some(growing) = &mut self.growing {
                // The page shows less, and the run goes on.
                let _shown = growing.give_up(&agent.part.path);
            }
            agent.silent = is_silent;
            if agent.silent && !matches!(agent.state.phase, Phase::Done) {
                silent.push(&**name);
            }
        }
        *hits += news.sums.hits;
        if news.sums.hits > 0 {
            let response = &news.sums.response_ns;
            let text = |share| time_text(response.quantile(share) as f64);
            tell(&format!(
                "{}: {} came in, {} failed, p50 {}, p99 {}; {} in all{}",
                counted((count - silent.len()) as u64, "agent"),
                counted(news.sums.hits, "hit"),
                news.failed,
                text(0.5),
                text(0.99),
                hits,
                if silent.is_empty() {
                    String::new()
                } else {
                    format!("; silent: {}", silent.join(", "))
                }
            ));
        }
        Ok(())
    }
}

/// The folder for the results of single agents until they are merged.
fn parts_folder(output: &std::path::Path) -> PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".parts");
    name.into()
}
