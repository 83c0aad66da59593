//! The description of a run in its result file, besides hits and sums: the machine, the
//! settings, and the verdict. It is JSON, because people read it and later versions may
//! add to it.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::thread;

use serde::{Deserialize, Serialize};

use crate::statistics::counted;

/// The most bytes of notes in a file; longer lists are shortened.
const BYTES_MAX: usize = 2 << 20;
/// The most bytes of a text in a list of names and values.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// The description of a run. Unknown parts are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notes {
    /// The program that made the run, with its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Whether the workload was open, so that hits had their own instants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<bool>,
    /// The machine, as names and values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<(String, String)>,
    /// The settings, as names and values, without secrets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub settings: Vec<(String, String)>,
    /// The account of all hits, at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub totals: Option<Account>,
    /// What the connections counted, if the operating system doesn't count it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transport: Option<Transport>,
    /// Details of the account, and what was read and written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// The verdict at the end: whether the figures describe the target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The thresholds, and whether they were met.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<Threshold>,
    /// The checks of a script.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// The clocks of the agents that made a run together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clocks: Vec<AgentClock>,
}

/// The clock of an agent, compared with that of its coordinator.
#[derive(Clone, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentClock {
    /// The agent's name.
    pub agent: String,
    /// How far the agent's wall clock was ahead, ns. The instants of the file are the
    /// coordinator's already, so don't subtract it.
    pub offset_ns: i64,
    /// The largest error of the offset, ns: half of the shortest round trip.
    pub uncertainty_ns: u64,
    /// How much faster the agent's clock ran, in parts per thousand million.
    pub drift_ppb: i64,
}

/// The account of the hits that were due: scheduled = done + failed + dropped + lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Account {
    /// Hits that were due.
    pub scheduled: u64,
    /// Hits that succeeded.
    pub done: u64,
    /// Hits that failed.
    pub failed: u64,
    /// Hits that were never started.
    pub dropped: u64,
    /// Hits of lost agents, whose outcome isn't known.
    #[serde(skip_serializing_if = "is_zero")]
    pub lost: u64,
}

/// What the connections of a run counted whose packets this program makes itself: those over
/// QUIC. The kernel counts those of TCP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Transport {
    /// Connections whose handshake ended.
    pub connections: u64,
    /// Those whose first data were taken by the server before the handshake ended (0-RTT).
    pub early_accepted: u64,
    /// Those whose first data were sent again after the handshake.
    pub early_rejected: u64,
    /// Packets that were sent.
    pub packets_sent: u64,
    /// Packets that were sent and lost. What was in them was sent again.
    pub packets_lost: u64,
    /// The bytes of the lost packets.
    pub bytes_lost: u64,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Figures at the end of a run that its hits don't show. With agents, they are those of all
/// agents that came to their end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Details {
    /// Hits that were started.
    pub started: u64,
    /// Dropped hits that were due at the schedule's end without a connection or a record
    /// for them.
    pub dropped_at_end: u64,
    /// Failed hits that got an answer with an unexpected status.
    pub unexpected_status: u64,
    /// Failed hits whose answer broke an assert.
    pub assertion_failed: u64,
    /// Failed hits whose kept connection was closed by the peer.
    pub stale_connection: u64,
    /// Redirects that were followed.
    pub redirects_followed: u64,
    /// The addresses that hits went to, those with most hits first.
    pub addresses: Vec<(String, u64)>,
    /// The records that were read, ahead of the hits.
    pub records: u64,
    /// The broken records, which were skipped.
    pub broken: u64,
    /// How many records were left out on purpose, by reason.
    pub left_out: Vec<(String, u64)>,
    /// How often an output's queue was full.
    pub queue_full: u64,
    /// From the start to the end.
    pub elapsed_ns: u64,
    /// The time for which the run was paused.
    pub paused_ns: u64,
}

impl Details {
    /// Adds those of another part of the same run.
    pub fn add(&mut self, other: &Self) {
        let sum = |own: &mut u64, more: u64| *own = own.saturating_add(more);
        sum(&mut self.started, other.started);
        sum(&mut self.dropped_at_end, other.dropped_at_end);
        sum(&mut self.unexpected_status, other.unexpected_status);
        sum(&mut self.assertion_failed, other.assertion_failed);
        sum(&mut self.stale_connection, other.stale_connection);
        sum(&mut self.redirects_followed, other.redirects_followed);
        sum(&mut self.records, other.records);
        sum(&mut self.broken, other.broken);
        sum(&mut self.queue_full, other.queue_full);
        let mut hits: HashMap<String, u64> = self.addresses.drain(..).collect();
        for (address, more) in &other.addresses {
            sum(hits.entry(address.clone()).or_default(), *more);
        }
        self.addresses = hits.into_iter().collect();
        let most_first = |(address, hits): &(String, u64)| (Reverse(*hits), address.clone());
        self.addresses.sort_by_cached_key(most_first);
        // All parts read one input, and go on at one time.
        for (reason, count) in &other.left_out {
            match self.left_out.iter_mut().find(|(known, _)| known == reason) {
                Some((_, known)) => *known = (*known).max(*count),
                None => self.left_out.push((reason.clone(), *count)),
            }
        }
        self.elapsed_ns = self.elapsed_ns.max(other.elapsed_ns);
        self.paused_ns = self.paused_ns.max(other.paused_ns);
    }
}

/// The verdict on a run: whether the figures describe the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Verdict {
    /// The verdict in a word.
    pub judgement: Judgement,
    /// The reasons, a sentence each.
    pub reasons: Vec<String>,
}

/// A verdict in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Judgement {
    /// The figures describe the target.
    Sound,
    /// The generator itself was a limit.
    Limited,
    /// The figures don't show it, because there were too few hits, or all of them failed.
    #[default]
    #[serde(other)]
    Unknown,
}

/// A threshold of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Threshold {
    /// The metric.
    pub metric: String,
    /// The threshold, as it was written.
    pub demand: String,
    /// The value that was compared, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Whether it was met.
    pub met: bool,
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { metric, demand, .. } = self;
        let value = match self.value {
            Some(value) => format!("it is {}", (value * 1000.0).round() / 1000.0),
            None => "there are no samples".to_owned(),
        };
        let met = if self.met { "met" } else { "not met" };
        write!(f, "threshold {met}: {metric}: {demand} ({value})")
    }
}

/// A check of a script.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Check {
    /// The group of the check; empty if there is none.
    pub group: String,
    /// Its name.
    pub name: String,
    /// How often it passed.
    pub passes: u64,
    /// How often it failed.
    pub fails: u64,
}

impl Account {
    /// Adds another account.
    pub fn add(&mut self, other: &Self) {
        self.scheduled = self.scheduled.saturating_add(other.scheduled);
        self.done = self.done.saturating_add(other.done);
        self.failed = self.failed.saturating_add(other.failed);
        self.dropped = self.dropped.saturating_add(other.dropped);
        self.lost = self.lost.saturating_add(other.lost);
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scheduled,
            done,
            failed,
            dropped,
            lost,
        } = self;
        write!(
            f,
            "scheduled {scheduled} = done {done} + failed {failed} + dropped {dropped}"
        )?;
        match lost {
            0 => Ok(()),
            lost => write!(f, " + lost {lost}"),
        }
    }
}

impl Transport {
    /// Adds the counts of other connections.
    pub fn add(&mut self, other: &Self) {
        for (own, other) in [
            (&mut self.connections, other.connections),
            (&mut self.early_accepted, other.early_accepted),
            (&mut self.early_rejected, other.early_rejected),
            (&mut self.packets_sent, other.packets_sent),
            (&mut self.packets_lost, other.packets_lost),
            (&mut self.bytes_lost, other.bytes_lost),
        ] {
            *own = own.saturating_add(other);
        }
    }

    /// The counts, if there are any.
    pub fn known(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            connections,
            early_accepted,
            early_rejected,
            packets_sent,
            packets_lost,
            bytes_lost,
        } = self;
        write!(f, "QUIC: {}", counted(*connections, "connection"))?;
        if early_accepted + early_rejected > 0 {
            write!(
                f,
                ", 0-RTT accepted {early_accepted} and rejected {early_rejected}"
            )?;
        }
        write!(f, ", {} sent", counted(*packets_sent, "packet"))?;
        match *packets_lost {
            0 => write!(f, ", none lost"),
            lost => {
                let share = lost as f64 * 100.0 / (*packets_sent).max(1) as f64;
                let bytes = counted(*bytes_lost, "byte");
                write!(f, ", {lost} lost ({share:.2} %, {bytes}) and sent again")
            }
        }
    }
}

impl Verdict {
    /// A verdict that the figures describe the target.
    pub fn sound() -> Self {
        Self {
            judgement: Judgement::Sound,
            reasons: Vec::new(),
        }
    }

    /// Whether the generator was the limit.
    pub fn is_limited(&self) -> bool {
        self.judgement == Judgement::Limited
    }
}

impl Notes {
    /// Takes later notes, which replace earlier ones.
    pub fn add(&mut self, later: Self) {
        fn list<T>(own: &mut Vec<T>, later: Vec<T>) {
            if !later.is_empty() {
                *own = later;
            }
        }
        self.program = later.program.or(self.program.take());
        self.open = later.open.or(self.open);
        self.totals = later.totals.or(self.totals);
        self.transport = later.transport.or(self.transport);
        self.details = later.details.or(self.details.take());
        self.verdict = later.verdict.or(self.verdict.take());
        list(&mut self.environment, later.environment);
        list(&mut self.settings, later.settings);
        list(&mut self.thresholds, later.thresholds);
        list(&mut self.checks, later.checks);
        list(&mut self.clocks, later.clocks);
    }

    /// Parses notes; `None` if the bytes aren't notes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        // serde would read a list as the values of all keys in order.
        let is_object = bytes.trim_ascii_start().starts_with(b"{");
        serde_json::from_slice(bytes).ok().filter(|_| is_object)
    }

    /// The notes as JSON, with long texts and lists shortened.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut notes = self.clone();
        for (_, value) in notes.environment.iter_mut().chain(&mut notes.settings) {
            value.truncate(value.floor_char_boundary(TEXT_BYTES_MAX));
        }
        loop {
            // All keys are texts, so serialisation can't fail.
            let json = serde_json::to_vec(&notes).unwrap_or_default();
            if json.len() <= BYTES_MAX {
                return json;
            }
            notes.checks.truncate(notes.checks.len() / 2);
            notes.settings.truncate(notes.settings.len() / 2);
            notes.thresholds.truncate(notes.thresholds.len() / 2);
            if let Some(details) = &mut notes.details {
                details.addresses.truncate(details.addresses.len() / 2);
                details.left_out.truncate(details.left_out.len() / 2);
            }
            if let Some(verdict) = &mut notes.verdict {
                verdict.reasons.truncate(verdict.reasons.len() / 2);
            }
            notes.environment.truncate(notes.environment.len() / 2);
            notes.clocks.truncate(notes.clocks.len() / 2);
        }
    }
}

/// This machine, as names and values.
pub fn environment() -> Vec<(String, String)> {
    let line = |path: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().next().unwrap_or_default().trim().to_owned()
    };
    let after = |path: &str, name: &str| {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or(String::new(), |(_, value)| value.trim().to_owned())
    };
    let cores = thread::available_parallelism().map_or(0, usize::from);
    let open_files = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open_files = open_files
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|line| line.split_whitespace().next())
        .unwrap_or_default()
        .to_owned();
    let known = [
        ("host", line("/proc/sys/kernel/hostname")),
        (
            "system",
            format!(
                "{} {}",
                line("/proc/sys/kernel/ostype"),
                line("/proc/sys/kernel/osrelease")
            ),
        ),
        ("processor", after("/proc/cpuinfo", "model name")),
        ("cores", cores.to_string()),
        ("memory", after("/proc/meminfo", "MemTotal")),
        ("open files", open_files),
        (
            "source ports",
            line("/proc/sys/net/ipv4/ip_local_port_range").replace('\t', " to "),
        ),
        (
            "congestion control",
            line("/proc/sys/net/ipv4/tcp_congestion_control"),
        ),
    ];
    known
        .into_iter()
        .filter(|(_, value)| !value.trim().is_empty())
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Account, BYTES_MAX, Check, Judgement, Notes, Verdict};

    #[test]
    fn later_notes_stand_for_earlier_ones_and_others_stay() {
        let mut notes = Notes {
            program: Some("one".to_owned()),
            open: Some(true),
            environment: vec![("cores".to_owned(), "2".to_owned())],
            ..Notes::default()
        };
        notes.add(Notes {
            totals: Some(Account {
                done: 7,
                ..Account::default()
            }),
            program: Some("two".to_owned()),
            ..Notes::default()
        });
        assert_eq!(notes.program.as_deref(), Some("two"));
        assert_eq!((notes.open, notes.environment.len()), (Some(true), 1));
        assert_eq!(notes.totals.map(|totals| totals.done), Some(7));
        assert_eq!(Notes::parse(&notes.to_json()), Some(notes));
    }

    #[test]
    fn what_a_later_version_says_is_passed_over() {
        let text = br#"{"verdict": {"judgement": "splendid", "reasons": ["a"]}, "more": [1]}"#;
        let verdict = Verdict {
            judgement: Judgement::Unknown,
            reasons: vec!["a".to_owned()],
        };
        let notes = Notes::parse(text).expect("notes");
        assert_eq!(notes.verdict, Some(verdict));
        assert_eq!(Notes::parse(b"[]"), None);
    }

    #[test]
    fn they_stay_within_their_bound() {
        let check = Check {
            name: "x".repeat(1000),
            ..Check::default()
        };
        let notes = Notes {
            settings: vec![("y".to_owned(), "ä".repeat(1 << 20))],
            checks: vec![check; 10_000],
            ..Notes::default()
        };
        let json = notes.to_json();
        assert!(json.len() <= BYTES_MAX);
        let read = Notes::parse(&json).expect("notes");
        assert!(read.checks.len() > 1000);
    }
}
