//! The settings of a run. They are validated here, and not again later.

mod part;
mod script;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use encarno_input::InputSettings;
use encarno_record::Expected;
use encarno_record::formats::{GoBinarySettings, TraceSettings};
use encarno_record::notes::Notes;

pub use self::part::{Part, Start, StartAt};
pub use self::script::{DataOrder, DataSettings, RuleSettings, ScriptSettings};
use crate::scenario::{Behaviour, Choice};
use crate::schedule::Schedule;

/// A complete run.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// What is sent.
    pub source: Source,
    /// When it is sent.
    pub workload: Workload,
    /// What workers do in addition to sending.
    pub script: ScriptSettings,
    /// Where the results go.
    pub output: OutputSettings,
    /// The statuses that don't fail a hit.
    pub expected: Expected,
    /// The number of event loops; `None` means one for each core.
    pub threads: Option<NonZeroUsize>,
    /// How long running hits may take to end after a stop, or after the end of
    /// the schedule.
    pub grace: Duration,
    /// The part of the run that this process makes.
    pub part: Part,
    /// The rate of such hits to which this machine is calibrated, hits per second.
    pub calibrated_rate: Option<f64>,
}

/// What is sent.
#[derive(Clone, Debug)]
pub enum Source {
    /// The same bytes for each hit.
    Request {
        /// The bytes.
        payload: Bytes,
        /// The label of the hits.
        label: String,
        /// The most hits.
        hits_max: Option<u64>,
    },
    /// The records of a file.
    File(InputSettings),
    /// The records of a file, in the order that a chooser decides.
    Chosen {
        /// The file, of which one pass is held in memory.
        input: InputSettings,
        /// Makes the chooser.
        choice: Arc<dyn Choice>,
    },
    /// What virtual users send. The workload is closed.
    Users {
        /// Makes the users.
        behaviour: Arc<dyn Behaviour>,
        /// The most hits.
        hits_max: Option<u64>,
    },
}

impl Source {
    /// The file that it reads, if it reads one.
    pub fn input(&self) -> Option<&InputSettings> {
        match self {
            Self::File(input) | Self::Chosen { input, .. } => Some(input),
            Self::Request { .. } | Self::Users { .. } => None,
        }
    }
}

/// When hits start.
#[derive(Clone, Debug)]
pub enum Workload {
    /// At their instants, independent of the answers.
    Open(OpenSettings),
    /// Whenever a worker is free.
    Closed(ClosedSettings),
    /// Either of these, as the pilot sets it.
    Steered(SteeredSettings),
}

impl Workload {
    /// The most workers.
    pub fn workers_max(&self) -> usize {
        match self {
            Self::Open(open) => open.workers_max,
            Self::Closed(closed) => closed.workers_max(),
            Self::Steered(steered) => steered.workers_max,
        }
    }

    /// The rate or the number of workers, if it is known beforehand.
    pub fn schedule(&self) -> Option<&Schedule> {
        match self {
            Self::Open(open) => open.schedule(),
            Self::Closed(closed) => Some(&closed.workers),
            Self::Steered(_) => None,
        }
    }
}

/// A steered workload (see [`crate::pilot`]). Nothing starts before the pilot sets a
/// load, and the run ends when the pilot ends it.
#[derive(Clone, Debug)]
pub struct SteeredSettings {
    /// The most workers, in all loops together.
    pub workers_max: usize,
    /// The most hits of a rate that run at a time, in all loops together.
    pub in_flight_max: usize,
    /// A hit of a rate that is later than this is dropped.
    pub late_limit: Duration,
    /// The seed of the Poisson process; the same seed gives the same process.
    pub seed: u64,
    /// Whether to keep a core busy to be on time to the microsecond.
    pub spin: bool,
}

/// An open workload.
#[derive(Clone, Debug)]
pub struct OpenSettings {
    /// Where the instants come from.
    pub arrivals: Arrivals,
    /// The number of workers (and connections) at the start.
    pub workers_start: usize,
    /// The most workers, in all loops together.
    pub workers_max: usize,
    /// A hit that is later than this is dropped; `None` means that it waits.
    pub late_limit: Option<Duration>,
    /// Ends the schedule early.
    pub duration_max: Option<Duration>,
    /// Whether to keep a core busy to be on time to the microsecond.
    pub spin: bool,
    /// Whether hits that wait for a connection at the end of the schedule are made,
    /// however long that takes. Otherwise they are dropped.
    pub keep_backlog: bool,
}

/// The origin of an open workload's instants.
#[derive(Clone, Debug)]
pub enum Arrivals {
    /// Even instants at this rate.
    Uniform(Schedule),
    /// A Poisson process whose rate follows the schedule.
    Poisson {
        /// The rate.
        schedule: Schedule,
        /// The same seed gives the same instants.
        seed: u64,
    },
    /// The instants of the records (`stpd`).
    Recorded,
}

/// A closed workload.
#[derive(Clone, Debug)]
pub struct ClosedSettings {
    /// The number of workers over time.
    pub workers: Schedule,
    /// The duration, up to which the last level is held. `None` means as long as the
    /// schedule, or, if the schedule takes no time, until the input ends.
    pub duration: Option<Duration>,
    /// The most workers to which the schedule may grow; 0 means its own highest level.
    pub workers_max: usize,
}

impl Arrivals {
    /// Arrivals of the process that the schedule names.
    pub fn of(schedule: Schedule, seed: u64) -> Self {
        match schedule.is_poisson() {
            true => Self::Poisson { schedule, seed },
            false => Self::Uniform(schedule),
        }
    }
}

impl OpenSettings {
    /// The instant from which no hit starts, whatever the schedule says.
    pub(crate) fn end_ns(&self) -> u64 {
        self.duration_max.map_or(u64::MAX, nanoseconds)
    }

    /// The rate; `None` if the records have the instants.
    pub fn schedule(&self) -> Option<&Schedule> {
        match &self.arrivals {
            Arrivals::Uniform(schedule) | Arrivals::Poisson { schedule, .. } => Some(schedule),
            Arrivals::Recorded => None,
        }
    }
}

impl ClosedSettings {
    /// The instant from which no hit starts; `None` means the schedule's end.
    pub(crate) fn end_ns(&self) -> Option<u64> {
        match self.duration {
            Some(duration) => Some(nanoseconds(duration)),
            None if self.workers.duration_ns() == 0 => Some(u64::MAX),
            None => None,
        }
    }

    /// The most workers.
    pub fn workers_max(&self) -> usize {
        self.workers_max.max(self.workers.workers_max())
    }
}

/// The outputs of hits. Without any, hits are only summed up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputSettings {
    /// The native result file.
    pub native: Option<PathBuf>,
    /// Go-encarno's binary file, and its strings file.
    pub go_binary: Option<GoBinarySettings>,
    /// Go-encarno's LDJSON file.
    pub ldjson: Option<PathBuf>,
    /// The phout file.
    pub phout: Option<PathBuf>,
    /// The trace (answ log).
    pub trace: Option<TraceSettings>,
    /// The settings of the run as text, without secrets, kept in the native file.
    pub settings_text: String,
    /// The notes about the run at the start of the native file.
    pub notes: Notes,
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
