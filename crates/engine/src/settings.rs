//! What a run is asked to do: validated, and not validated again further on.

mod part;
mod script;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use encarno_input::InputSettings;
use encarno_record::Expected;
use encarno_record::formats::{GoBinarySettings, TraceSettings};
use encarno_record::notes::Notes;

pub use self::part::{Part, Start, StartAt};
pub use self::script::{DataOrder, DataSettings, RuleSettings, ScriptSettings};
use crate::schedule::Schedule;

/// One run, whole.
#[derive(Clone, Debug)]
pub struct RunSettings {
    /// What is sent.
    pub source: Source,
    /// When it is sent.
    pub workload: Workload,
    /// What workers do beside sending.
    pub script: ScriptSettings,
    /// Where the results go.
    pub output: OutputSettings,
    /// Which statuses don't fail a hit.
    pub expected: Expected,
    /// Event loops; none = one a core.
    pub threads: Option<NonZeroUsize>,
    /// How long running hits may take to end after a stop, or after the end of
    /// the schedule.
    pub grace: Duration,
    /// The part of the run that is made here.
    pub part: Part,
    /// This machine makes so many hits per second of this kind truthfully, as far as
    /// it was calibrated.
    pub calibrated_rate: Option<f64>,
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
    /// One or the other, as whoever steers the run says from time to time.
    Steered(SteeredSettings),
}

impl Workload {
    /// At most so many workers.
    pub fn workers_max(&self) -> usize {
        match self {
            Self::Open(open) => open.workers_max,
            Self::Closed(closed) => closed.workers_max(),
            Self::Steered(steered) => steered.workers_max,
        }
    }

    /// The rate or the number of workers, as far as that is known beforehand.
    pub fn schedule(&self) -> Option<&Schedule> {
        match self {
            Self::Open(open) => open.schedule(),
            Self::Closed(closed) => Some(&closed.workers),
            Self::Steered(_) => None,
        }
    }
}

/// A workload that is steered (see [`crate::pilot`]): nothing starts before the
/// first word, and it ends when it is told to.
#[derive(Clone, Debug)]
pub struct SteeredSettings {
    /// At most so many workers, in all loops together.
    pub workers_max: usize,
    /// At most so many hits of a rate run at a time, in all loops together.
    pub in_flight_max: usize,
    /// A hit at a rate that is later than that is dropped.
    pub late_limit: Duration,
    /// Hits at a rate are a Poisson process; the same seed gives the same one.
    pub seed: u64,
    /// Burn a core to be on time to the microsecond.
    pub spin: bool,
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
    /// Hits that wait for a connection at the end of the schedule are made all
    /// the same, however long that takes. Without it they are dropped.
    pub keep_backlog: bool,
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
    /// The schedule may grow to so many; 0 = to its own highest level.
    pub workers_max: usize,
}

impl Arrivals {
    /// As the schedule itself says it.
    pub fn of(schedule: Schedule, seed: u64) -> Self {
        match schedule.is_poisson() {
            true => Self::Poisson { schedule, seed },
            false => Self::Uniform(schedule),
        }
    }
}

impl OpenSettings {
    /// No hit starts from there on, whatever the schedule says.
    pub(crate) fn end_ns(&self) -> u64 {
        self.duration_max.map_or(u64::MAX, nanoseconds)
    }

    /// The rate; none if the records carry the instants.
    pub fn schedule(&self) -> Option<&Schedule> {
        match &self.arrivals {
            Arrivals::Uniform(schedule) | Arrivals::Poisson { schedule, .. } => Some(schedule),
            Arrivals::Recorded => None,
        }
    }
}

impl ClosedSettings {
    /// No hit starts from there on; none = from the schedule's end on.
    pub(crate) fn end_ns(&self) -> Option<u64> {
        match self.duration {
            Some(duration) => Some(nanoseconds(duration)),
            None if self.workers.duration_ns() == 0 => Some(u64::MAX),
            None => None,
        }
    }

    /// So many workers there may be.
    pub fn workers_max(&self) -> usize {
        self.workers_max.max(self.workers.workers_max())
    }
}

/// Where hits are written to. None of them = only summed up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputSettings {
    /// The native result file.
    pub native: Option<PathBuf>,
    /// Go-encarno's binary file, and its strings file.
    pub go_binary: Option<GoBinarySettings>,
    /// Go-encarno's LDJSON file.
    pub ldjson: Option<PathBuf>,
    /// phout.
    pub phout: Option<PathBuf>,
    /// The trace (answ log).
    pub trace: Option<TraceSettings>,
    /// The settings of the run as text, without secrets, kept in the native file.
    pub settings_text: String,
    /// What else the native file says of the run at its start.
    pub notes: Notes,
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
