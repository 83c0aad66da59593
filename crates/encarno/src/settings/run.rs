//! The engine's part of the settings: workload, protocol, limits.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

use super::{Delay, InputSettings, OutputSettings, ScriptSettings};
use crate::schedule::Schedule;

/// One run, whole.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// What is sent.
    pub source: Source,
    /// When it is sent.
    pub workload: Workload,
    /// How it is sent.
    pub protocol: Protocol,
    /// What workers do beside sending.
    pub script: ScriptSettings,
    /// Where the results go.
    pub output: OutputSettings,
    /// Event loops; none = one a core.
    pub threads: Option<NonZeroUsize>,
    /// How long running hits may take to end after a stop.
    pub grace: Duration,
    /// Whether a run that the generator itself limited is a failure.
    pub strict: bool,
    /// What is shown meanwhile.
    pub progress: Progress,
}

/// What is sent.
#[derive(Clone, Debug)]
pub enum Source {
    /// The same bytes again and again.
    Request {
        /// The bytes.
        payload: Bytes,
        /// The name of the hits.
        label: String,
        /// At most so many hits.
        hits_max: Option<u64>,
    },
    /// A file.
    File(InputSettings),
}

/// When hits start.
#[derive(Clone, Debug)]
pub enum Workload {
    /// At their instants, whatever the answers do.
    Open(OpenSettings),
    /// As soon as a worker is free.
    Closed(ClosedSettings),
}

/// An open workload.
#[derive(Clone, Debug)]
pub struct OpenSettings {
    /// Where the instants come from.
    pub arrivals: Arrivals,
    /// Workers (and connections) that are there from the start.
    pub workers_start: usize,
    /// At most so many, in all loops together.
    pub workers_max: usize,
    /// A hit that is later than that is dropped; none = it waits.
    pub late_limit: Option<Duration>,
    /// Ends the schedule early.
    pub duration_max: Option<Duration>,
    /// Burn a core to be on time to the microsecond.
    pub spin: bool,
}

/// Where an open workload's instants come from.
#[derive(Clone, Debug)]
pub enum Arrivals {
    /// Evenly, as the rate says.
    Uniform(Schedule),
    /// A Poisson process whose rate varies as the schedule says.
    Poisson {
        /// The rate.
        schedule: Schedule,
        /// The same seed gives the same instants.
        seed: u64,
    },
    /// The records carry them (`stpd`).
    Recorded,
}

/// A closed workload.
#[derive(Clone, Debug)]
pub struct ClosedSettings {
    /// How many workers there are at each instant.
    pub workers: Schedule,
    /// How long; the last level is held up to there. None = as long as the
    /// schedule, or, if that takes no time, until the input ends.
    pub duration: Option<Duration>,
}

/// How hits are sent.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// No network at all: a scripted delay.
    Dummy(DummySettings),
    /// HTTP/1.1, with TLS if the address says `https`.
    Http(NetworkSettings),
    /// Datagrams.
    Udp(UdpSettings),
}

/// A scripted service without a network.
#[derive(Clone, Debug, Default)]
pub struct DummySettings {
    /// How long a hit takes.
    pub delay: Delay,
    /// The part of the hits that fails, 0 … 1.
    pub error_rate: f64,
    /// The delays' and errors' seed.
    pub seed: u64,
}

/// Connections over a network.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// The address of records that don't carry one: `http://host:port`,
    /// `https://host`, `udp://host:port`, `http+unix:///path`.
    pub address: Option<String>,
    /// A hit that takes longer fails.
    pub timeout: Duration,
    /// Source addresses, taken in turn.
    pub source_addresses: Vec<IpAddr>,
    /// Look names up again that often; none = once.
    pub resolve_every: Option<Duration>,
    /// TLS.
    pub tls: TlsSettings,
    /// So much of each answer is kept, for the trace; scripts keep what they need.
    pub keep_answer_bytes_max: usize,
}

/// TLS, verified unless asked not to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Accept any certificate.
    pub insecure: bool,
    /// The lowest version: 0x0303 (771) or 0x0304 (772); 0 = what rustls has.
    pub version_min: u16,
    /// The highest version; 0 = what rustls has.
    pub version_max: u16,
    /// Cipher suites by their IANA names; empty = rustls' own choice.
    pub cipher_suites: Vec<String>,
    /// PEM file of certificates to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the client's certificate chain.
    pub certificate_file: Option<PathBuf>,
    /// PEM file of the client's key.
    pub key_file: Option<PathBuf>,
    /// The name to ask for and to verify, instead of the address's.
    pub server_name: Option<String>,
}

/// Datagrams.
#[derive(Clone, Debug)]
pub struct UdpSettings {
    /// Addresses and timeout.
    pub network: NetworkSettings,
    /// Whether a hit ends with an answer, or when it is sent.
    pub answer: bool,
}

/// What is shown while a run goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// A dashboard on a terminal, log lines otherwise.
    #[default]
    Auto,
    /// Log lines.
    Lines,
    /// Nothing.
    Quiet,
}

impl Default for NetworkSettings {
    fn default() -> Self {
        Self {
            address: None,
            timeout: Duration::from_secs(10),
            source_addresses: Vec::new(),
            resolve_every: None,
            tls: TlsSettings::default(),
            keep_answer_bytes_max: 0,
        }
    }
}
