//! Agents that make no hits, and send what agents send: bench/fleet measures the coordinator
//! with them.
//!
//!     simulated_agents URL GROUP AGENTS hits|k6 LABELS SECONDS
//!
//! Each of them sends sums of that many labels a second, or points of that many series of k6.
//! An agent was in the group before, so the buckets are there.

#![allow(clippy::print_stdout)] // it says when it is ready

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::{self, kv};
use async_nats::{Client, HeaderMap};
use bytes::Bytes;
use encarno_fleet::words::{Begin, Phase, Plan, Presence, State};
use encarno_record::frame::RESULT_MAGIC;
use encarno_record::notes::{Account, Notes};
use encarno_record::results::{self, Ending};
use encarno_record::series::{MetricKind, Points, Series};
use encarno_record::sums::{LoopState, LoopSums, OutcomeSums};
use encarno_record::{Expected, Hit, StringId};
use futures_util::StreamExt as _;
use tokio::time::{Instant, interval, sleep_until};

type Failure = Box<dyn Error + Send + Sync>;

/// The hits of each label, and the samples of each series, in a second.
const EACH: u64 = 10;
/// As agents do it.
const CHUNK_BYTES: usize = 512 << 10;

#[derive(Clone)]
struct Agent {
    client: Client,
    jetstream: jetstream::Context,
    runs: kv::Store,
    group: String,
    name: String,
    of_k6: bool,
    labels: u32,
    seconds: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, group, agents, kind, labels, seconds] = &arguments[..] else {
        return Err("simulated_agents URL GROUP AGENTS hits|k6 LABELS SECONDS".into());
    };
    let client = async_nats::connect(url).await?;
    let jetstream = jetstream::new(client.clone());
    let present = jetstream.get_key_value(format!("encarno_{group}_agents"));
    let (present, runs) = (
        present.await?,
        jetstream
            .get_key_value(format!("encarno_{group}_runs"))
            .await?,
    );
    let agent = |number: usize| Agent {
        client: client.clone(),
        jetstream: jetstream.clone(),
        runs: runs.clone(),
        group: group.clone(),
        name: format!("s{number:04}"),
        of_k6: kind == "k6",
        labels: labels.parse().unwrap_or(1000),
        seconds: seconds.parse().unwrap_or(30),
    };
    let agents: Vec<Agent> = (0..agents.parse()?).map(agent).collect();
    let mut words = runs.watch_all().await?;
    let announced = agents.clone();
    let announce = tokio::spawn(async move {
        let mut ticks = interval(Duration::from_secs(2));
        loop {
            ticks.tick().await;
            for agent in &announced {
                // It is said again.
                let _said = present.put(&agent.name, agent.presence()).await;
            }
        }
    });
    println!("ready");
    let mut making = Vec::new();
    while let Some(word) = words.next().await {
        let word = word?;
        match word.key.split_once('.') {
            Some((run, "plan")) => {
                let plan: Plan = serde_json::from_slice(&word.value)?;
                for agent in agents.iter().filter(|it| plan.agents.contains(&it.name)) {
                    agent.say(run, Phase::Ready, 0).await?;
                }
            }
            Some((run, "start")) => {
                let begin: Begin = serde_json::from_slice(&word.value)?;
                for agent in agents.clone() {
                    let run = run.to_owned();
                    making.push(tokio::spawn(async move {
                        agent.make(&run, begin.at_unix_ns).await
                    }));
                }
                break;
            }
            _ => {}
        }
    }
    for made in making {
        made.await??;
    }
    announce.abort();
    Ok(())
}

impl Agent {
    fn presence(&self) -> Bytes {
        let presence = Presence {
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cores: 1,
            ..Presence::default()
        };
        serde_json::to_vec(&presence).unwrap_or_default().into()
    }

    async fn say(&self, run: &str, phase: Phase, chunks: u64) -> Result<(), Failure> {
        let state = State {
            phase,
            chunks,
            ..State::default()
        };
        let key = format!("{run}.agent.{}", self.name);
        let text = serde_json::to_vec(&state)?;
        self.runs.put(key, text.into()).await?;
        Ok(())
    }

    async fn make(&self, run: &str, at_unix_ns: u64) -> Result<(), Failure> {
        self.say(run, Phase::Running, 0).await?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64;
        let start = Instant::now() + Duration::from_nanos(at_unix_ns.saturating_sub(now));
        let mut out = Vec::new();
        self.begin(&mut out, at_unix_ns);
        let mut chunks = 0;
        for second in 0..self.seconds {
            sleep_until(start + Duration::from_secs(second + 1)).await;
            let beat = format!("encarno.{}.beat.{run}.{}", self.group, self.name);
            self.client.publish(beat, Bytes::new()).await?;
            let clock = format!("encarno.{}.clock.{run}", self.group);
            self.client.request(clock, Bytes::new()).await?;
            match self.of_k6 {
                true => self.points(&mut out, at_unix_ns, second),
                false => self.sums(&mut out, at_unix_ns, second),
            }
            if second + 1 == self.seconds {
                self.end(&mut out);
            }
            for chunk in out.chunks(CHUNK_BYTES) {
                self.publish(run, chunks, chunk).await?;
                chunks += 1;
            }
            out.clear();
        }
        self.say(run, Phase::Done, chunks).await
    }

    fn begin(&self, out: &mut Vec<u8>, at_unix_ns: u64) {
        out.extend_from_slice(&RESULT_MAGIC);
        // Equal files would be taken for one.
        results::append_run(out, at_unix_ns, 1, &Expected::default(), &self.name);
        let label = |number: u32| format!("label {number} of a request, as long as such names are");
        if !self.of_k6 {
            let labels: Vec<String> = (1..=self.labels).map(label).collect();
            // 0 is the empty text.
            results::append_strings(out, StringId(1), &labels);
            return;
        }
        for number in 0..self.labels {
            let kind = match number % 2 {
                0 => MetricKind::Trend,
                _ => MetricKind::Counter,
            };
            let tags = [("name", label(number)), ("scenario", "all".to_owned())];
            let series = Series {
                metric: format!("metric_{}", number % 20),
                kind,
                contains: "time".to_owned(),
                tags: tags.map(|(name, value)| (name.to_owned(), value)).into(),
            };
            results::append_series(out, number, &series);
        }
    }

    fn sums(&self, out: &mut Vec<u8>, at_unix_ns: u64, second: u64) {
        let mut outcomes = OutcomeSums::default();
        for number in 0..u64::from(self.labels) * EACH {
            let due_ns = second * 1_000_000_000 + number;
            outcomes.record(&Hit {
                label: StringId((number / EACH) as u32 + 1),
                scheduled_ns: due_ns,
                started_ns: due_ns + number % 977 * 100,
                ended_ns: due_ns + 1_000_000 + number * 7_919 % 10_000_019,
                protocol_code: 200,
                ..Hit::default()
            });
        }
        let made = u64::from(self.labels) * EACH * (second + 1);
        let sums = LoopSums {
            number: 0,
            until_ns: (second + 1) * 1_000_000_000,
            hits_covered: u64::from(self.labels) * EACH,
            state: LoopState {
                scheduled: made,
                started: made,
                ..LoopState::default()
            },
            seconds: vec![(at_unix_ns / 1_000_000_000 + second, outcomes)],
        };
        results::append_sums_alone(out, &sums);
    }

    fn points(&self, out: &mut Vec<u8>, at_unix_ns: u64, second: u64) {
        let mut of_second = BTreeMap::new();
        for number in 0..self.labels {
            let mut points = Points::default();
            let kind = match number % 2 {
                0 => MetricKind::Trend,
                _ => MetricKind::Counter,
            };
            for sample in 0..EACH {
                let value = (sample * 7_919 + u64::from(number) * 31) % 1009;
                points.record(
                    kind,
                    at_unix_ns + second * 1_000_000_000,
                    value as f64 / 7.0,
                );
            }
            of_second.insert(number, points);
        }
        let seconds = BTreeMap::from([(at_unix_ns / 1_000_000_000 + second, of_second)]);
        results::append_points(out, &seconds);
    }

    fn end(&self, out: &mut Vec<u8>) {
        let made = u64::from(self.labels) * EACH * self.seconds;
        if !self.of_k6 {
            let account = Account {
                scheduled: made,
                done: made,
                ..Account::default()
            };
            let notes = Notes {
                totals: Some(account),
                ..Notes::default()
            };
            results::append_notes(out, &notes);
        }
        let ending = Ending {
            hits_lost: 0,
            span_ns: self.seconds * 1_000_000_000,
        };
        results::append_end(out, 0, ending);
    }

    async fn publish(&self, run: &str, number: u64, chunk: &[u8]) -> Result<(), Failure> {
        let subject = format!("encarno.{}.results.{run}.{}", self.group, self.name);
        let mut headers = HeaderMap::new();
        let id = format!("{run}.{}.{number}", self.name);
        headers.insert(async_nats::header::NATS_MESSAGE_ID, id.as_str());
        headers.insert("Encarno-Chunk", number.to_string());
        let chunk = Bytes::copy_from_slice(chunk);
        let sent = self
            .jetstream
            .publish_with_headers(subject, headers, chunk)
            .await?;
        sent.await?;
        Ok(())
    }
}
