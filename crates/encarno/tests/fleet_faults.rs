//! Agents under random faults, each at a random instant: whatever happens, the account
//! balances, and it says what the target saw. `make test-fleet` makes a hundred rounds.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stderr)] // a round that fails says why

#[path = "rig/group.rs"]
mod group;
#[path = "rig/process.rs"]
mod process;
#[path = "rig/program.rs"]
#[allow(dead_code)] // others use more of it
mod program;
#[path = "rig/recorded.rs"]
#[allow(dead_code)] // others use more of it
mod recorded;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use encarno_record::results::whole;
use encarno_target::{Target, TargetSettings, read_log};
use encarno_test_peers::{Random, Toxiproxy, json};
use group::{Group, notes};
use process::Process;
use rustix::process::Signal;

const AGENTS: usize = 4;
const RATE: u64 = 150;
const SECONDS: u64 = 3;
/// From the start of the coordinator to some time after the last hit.
const WHOLE_MS: usize = 7500;
/// The rounds that go on at a time. They mostly wait.
const AT_ONCE: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// An agent gets `kill -9`.
    Killed,
    /// An agent stands still until it is given up.
    Stopped,
    /// An agent hears nobody and nobody hears it, until it is given up.
    CutOff,
    /// The same for a while that all wait for.
    CutOffForAWhile,
    /// An agent's messages take long, by a narrow link.
    SlowLink,
    /// The NATS server gets `kill -9`, and is started again.
    ServerKilled,
}

const FAULTS: [Fault; 6] = [
    Fault::Killed,
    Fault::ServerKilled,
    Fault::Stopped,
    Fault::CutOffForAWhile,
    Fault::CutOff,
    Fault::SlowLink,
];

impl Fault {
    /// Whether all hits are accounted for, once the run has started.
    fn loses_nothing(self) -> bool {
        matches!(
            self,
            Self::CutOffForAWhile | Self::SlowLink | Self::ServerKilled
        )
    }

    /// After so long, an agent that is silent is given up.
    fn silence(self) -> &'static str {
        if self.loses_nothing() { "100s" } else { "2s" }
    }
}

#[test]
fn whatever_happens_at_whatever_instant_the_account_is_what_the_target_saw() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seed = number("ENCARNO_SEED").unwrap_or(now.unwrap().as_millis() as u64);
    let rounds = number("ENCARNO_FAULTS").unwrap_or(FAULTS.len() as u64) as usize;
    eprintln!("{rounds} faults with ENCARNO_SEED={seed}");
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let outcomes = Mutex::new(BTreeMap::<String, usize>::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= rounds {
                        return;
                    }
                    let round = Round::new(seed, number);
                    match round.make() {
                        Ok(outcome) => {
                            *outcomes.lock().unwrap().entry(outcome).or_default() += 1;
                        }
                        Err(reason) => {
                            eprintln!("round {number}, {round:?}: {reason}");
                            failed
                                .lock()
                                .unwrap()
                                .push(format!("round {number}, {round:?}: {reason}"));
                        }
                    }
                }
            });
        }
    });
    for (outcome, rounds) in outcomes.into_inner().unwrap() {
        eprintln!("{rounds:4} × {outcome}");
    }
    let failed = failed.into_inner().unwrap();
    assert!(
        failed.is_empty(),
        "{} of {rounds} rounds with ENCARNO_SEED={seed}:\n{}",
        failed.len(),
        failed.join("\n")
    );
}

#[derive(Debug)]
struct Round {
    fault: Fault,
    victim: usize,
    /// When it happens, from the start of the coordinator.
    at: Duration,
    /// How long it lasts, if it ends by itself.
    lasts: Duration,
}

impl Round {
    fn new(seed: u64, number: usize) -> Self {
        let mut random = Random::new(seed.wrapping_add(number as u64));
        Self {
            fault: FAULTS[number % FAULTS.len()],
            victim: random.below(AGENTS),
            at: Duration::from_millis(random.below(WHOLE_MS) as u64),
            lasts: Duration::from_millis(300 + random.below(3500) as u64),
        }
    }

    /// Makes a run with the fault. What came of it, or what is wrong.
    fn make(&self) -> Result<String, String> {
        let mut group = Group::start(&[]);
        let proxy = Toxiproxy::start(&format!("127.0.0.1:{}", group.server.port()));
        for number in 0..AGENTS {
            let url = if number == self.victim {
                format!("nats://{}", proxy.address())
            } else {
                group.server.url()
            };
            group.add_at(&format!("a{number}"), &url, &[]);
        }
        let records: String = (0..RATE * SECONDS).map(|n| format!("/{n} {n}\n")).collect();
        std::fs::write(group.path("records"), records).unwrap();
        let log = group.path("target.log");
        let target = Target::start(TargetSettings {
            log: Some(log.clone()),
            ..TargetSettings::default()
        });
        let target = target.unwrap();
        let url = format!("http://{}/", target.address());
        let (rate, time, agents) = (RATE.to_string(), format!("{SECONDS}s"), AGENTS.to_string());
        let load = ["--rate", &rate, "--for", &time, "-o", "run.enc"];
        let records = ["-i", "records", "--format", "uri"];
        let fleet = ["--agents", &agents, "--silence", self.fault.silence()];
        let line = [&["hit", &url][..], &records, &load, &fleet].concat();
        let said = group.path("said");
        let mut coordinator = group.command(&line);
        let open = File::create(&said).unwrap();
        coordinator.stdout(open.try_clone().unwrap()).stderr(open);
        let mut coordinator = Process(coordinator.spawn().unwrap());
        thread::sleep(self.at);
        self.begin(&mut group, &proxy);
        let status = coordinator.ends_within(Duration::from_secs(240));
        if self.fault == Fault::Stopped {
            group.agents[self.victim].signal(Signal::CONT);
        }
        let summary = target.stop().unwrap();
        let said = std::fs::read_to_string(&said).unwrap();
        let with_said = |reason: String| format!("{reason}; it said:\n{said}");
        let status = status.ok_or_else(|| with_said("it doesn't end".to_owned()))?;
        let seen: Vec<u64> = read_log(&log)
            .unwrap()
            .iter()
            .map(|entry| entry.sequence)
            .collect();
        assert_eq!(seen.len() as u64, summary.requests);
        self.check(status, &group.path("run.enc"), &seen)
            .map_err(with_said)
    }

    fn begin(&self, group: &mut Group, proxy: &Toxiproxy) {
        let agent = &group.agents[self.victim];
        match self.fault {
            Fault::Killed => agent.signal(Signal::KILL),
            Fault::Stopped => agent.signal(Signal::STOP),
            Fault::CutOff => proxy.add("timeout", &json!({"timeout": 0})),
            Fault::CutOffForAWhile => {
                proxy.add("timeout", &json!({"timeout": 0}));
                thread::sleep(self.lasts);
                proxy.clear();
            }
            Fault::SlowLink => {
                proxy.add("latency", &json!({"latency": 150, "jitter": 100}));
            }
            Fault::ServerKilled => {
                group.server.kill();
                thread::sleep(self.lasts / 4);
                group.server.restart();
            }
        }
    }

    /// Compares the account with what the target saw.
    fn check(&self, status: i32, file: &Path, seen: &[u64]) -> Result<String, String> {
        let once: BTreeSet<u64> = seen.iter().copied().collect();
        if once.len() < seen.len() {
            return Err(format!(
                "the target got {} hits twice",
                seen.len() - once.len()
            ));
        }
        if status == 1 {
            // Something was wrong before the start, so there was none.
            return match seen.len() {
                0 => Ok(format!("{:?}: no run, and no hits", self.fault)),
                hits => Err(format!("it failed, and {hits} hits were made")),
            };
        }
        let notes = notes(file);
        let totals = notes.totals.unwrap();
        if totals.scheduled != RATE * SECONDS {
            return Err(format!("not all hits are accounted for: {totals}"));
        }
        let read = whole::read(file).unwrap();
        let mut done = BTreeSet::new();
        for (label, hits) in read.statistics.labels() {
            if hits.hits != 1 {
                return Err(format!("hit {label} counts {} times", hits.hits));
            }
            if hits.failed == 0 {
                done.insert(label.parse::<u64>().unwrap());
            }
        }
        if let Some(unseen) = done.difference(&once).next() {
            return Err(format!(
                "hit {unseen} is done, and the target didn't get it"
            ));
        }
        let others = once.difference(&done).count() as u64;
        if others > totals.failed + totals.lost {
            return Err(format!("the target got {others} hits more than: {totals}"));
        }
        let reasons = notes.verdict.unwrap_or_default().reasons.join("\n");
        let is_lost = totals.lost > 0 || reasons.contains("was lost");
        match status {
            0 if is_lost => Err(format!("status 0, and hits were lost: {totals}")),
            0 => Ok(format!("{:?}: all hits are done or failed", self.fault)),
            8 if self.fault.loses_nothing() => Err(format!("an agent was lost: {reasons}")),
            8 if is_lost => Ok(format!("{:?}: hits of one agent are lost", self.fault)),
            status => Err(format!("status {status}: {totals}, {reasons}")),
        }
    }
}
