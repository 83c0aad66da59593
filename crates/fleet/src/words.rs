//! What agents and coordinators say to one another: JSON in KV buckets.

use encarno_record::notes::AgentClock;
use serde::{Deserialize, Serialize};

/// What an agent says of itself, every other second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Presence {
    /// Its name, which no other one in the group has.
    pub name: String,
    /// Chosen at its start: two that have the same name are told apart.
    pub nonce: String,
    /// The version of its program.
    pub version: String,
    /// How many cores it may use.
    pub cores: usize,
    /// The commands that it takes.
    pub allow: Vec<String>,
    /// The run that it is busy with.
    pub busy: Option<String>,
}

/// A run, as its agents get it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Its name.
    pub run: String,
    /// The version of the coordinator's program: agents have the same one.
    pub version: String,
    /// The agents; the first one makes part 1.
    pub agents: Vec<String>,
    /// The command of the program, such as `hit`, and its arguments.
    pub arguments: Vec<String>,
    /// What it reads.
    pub files: Vec<PlanFile>,
    /// How many hits fall to each agent, if the schedule says that.
    pub due: Vec<Option<u64>>,
    /// Whether every hit is wanted, and not just sums.
    pub collect_hits: bool,
}

impl Plan {
    /// Whether its names may be parts of paths and subjects: anybody in the group may say
    /// anything.
    pub(crate) fn is_sound(&self) -> bool {
        is_name(&self.run) && self.agents.iter().all(|agent| is_name(agent))
    }
}

/// A file of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanFile {
    /// Where it lies, below the run's folder.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// When a run starts, on the coordinator's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Begin {
    /// Unix time in ns.
    pub at_unix_ns: u64,
    /// What the first agent prepared for all of them: JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// That a run is to end before its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Running hits aren't waited for.
    pub at_once: bool,
}

/// How an agent fares with a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// How far it is.
    pub phase: Phase,
    /// What there is to say: why it refused, what its program said.
    pub text: String,
    /// What its program prepared for the programs of all agents: JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// How many chunks of results there are, once it has ended.
    pub chunks: u64,
    /// Its clock.
    pub clock: AgentClock,
}

/// How far an agent is with a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It fetches files and reads the input.
    #[default]
    Preparing,
    /// It waits for the start.
    Ready,
    /// It makes hits.
    Running,
    /// It has ended, and all results are in the stream.
    Done,
    /// It doesn't take the run.
    Refused,
    /// Its program broke down.
    Broken,
}

/// What a clock is asked, and what it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockWord {
    /// When the question came, on the coordinator's clock, Unix time in ns.
    pub received_unix_ns: u64,
    /// When the answer left.
    pub sent_unix_ns: u64,
}

/// Whether it may be a part of a path and of a subject.
pub(crate) fn is_name(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.len() <= 32 && text.bytes().all(good)
}
