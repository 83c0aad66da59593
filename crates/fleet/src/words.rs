//! The messages between agents and coordinators: JSON in KV buckets.

use encarno_record::notes::AgentClock;
use serde::{Deserialize, Serialize};

/// The announcement of an agent, every two seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Presence {
    /// Its name, which is unique in the group.
    pub name: String,
    /// A random text from its start, which distinguishes two agents of the same name.
    pub nonce: String,
    /// The version of its program.
    pub version: String,
    /// The number of cores that it may use.
    pub cores: usize,
    /// The commands that it accepts.
    pub allow: Vec<String>,
    /// The run that it makes now.
    pub busy: Option<String>,
}

/// A run, in the form for its agents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Plan {
    /// Its name.
    pub run: String,
    /// The version of the coordinator's program; agents must have the same one.
    pub version: String,
    /// The agents; the first one makes part 1.
    pub agents: Vec<String>,
    /// The command of the program, such as `hit`, and its arguments.
    pub arguments: Vec<String>,
    /// The files that it reads.
    pub files: Vec<PlanFile>,
    /// The number of hits of each agent, if the schedule determines it.
    pub due: Vec<Option<u64>>,
    /// Whether agents send every hit, and not only sums.
    pub collect_hits: bool,
}

impl Plan {
    /// Whether its names are valid parts of paths and subjects, because anyone in the
    /// group can send a plan.
    pub(crate) fn is_sound(&self) -> bool {
        is_name(&self.run) && self.agents.iter().all(|agent| is_name(agent))
    }
}

/// A file of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanFile {
    /// Its path, below the run's folder.
    pub path: String,
    /// SHA-256 of its content.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
}

/// The start of a run, on the coordinator's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Begin {
    /// Unix time in ns.
    pub at_unix_ns: u64,
    /// What the first agent prepared for all of them: JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

/// The order to end a run early.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halt {
    /// Whether running hits aren't waited for.
    pub at_once: bool,
}

/// The state of an agent in a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// The random text of the agent's start.
    pub nonce: String,
    /// Its phase.
    pub phase: Phase,
    /// A text: why it refused, or the messages of its program.
    pub text: String,
    /// What its program prepared for the programs of all agents: JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Whether its program says that the run ends on all agents.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ends_all: bool,
    /// The number of chunks of results, once it has ended.
    pub chunks: u64,
    /// Its clock.
    pub clock: AgentClock,
}

/// The phase of an agent in a run.
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
    /// It refused the run.
    Refused,
    /// Its program failed.
    Broken,
}

/// The answer of the coordinator's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockWord {
    /// When the question arrived, on the coordinator's clock, Unix time in ns.
    pub received_unix_ns: u64,
    /// When the answer left.
    pub sent_unix_ns: u64,
}

/// Whether the text is a valid part of a path and of a subject.
pub(crate) fn is_name(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.len() <= 32 && text.bytes().all(good)
}
