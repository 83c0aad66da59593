//! How a run is told to end, and to go on in another way.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use encarno_nib::clock::Clock;
use encarno_nib::poll::Waker;

use crate::schedule::{Level, Piece, Schedule, ScheduleError};
use crate::settings::nanoseconds;

/// Shared by all event loops; it changes a few times a run.
#[derive(Debug)]
pub struct Control {
    stop: AtomicU8,
    /// How often the schedule has changed.
    changes: AtomicU64,
    schedules: Mutex<Schedules>,
    limits: Limits,
    clock: Clock,
    wakers: Vec<Arc<Waker>>,
}

/// What starts hits at each instant.
#[derive(Clone, Debug, Default)]
pub struct Schedules {
    /// Hits per second; none of a closed workload, and if the records carry the
    /// instants.
    pub rate: Option<Arc<Schedule>>,
    /// Workers that start again as soon as they are free; none of an open workload.
    pub workers: Option<Arc<Schedule>>,
    /// Hits that were due before and have found no worker by then are dropped: they
    /// belong to a load that is over.
    pub void_before_ns: u64,
}

/// What a steered run does from some instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Nothing starts.
    Rest,
    /// So many workers, each of which starts again as soon as it is free.
    Workers(u32),
    /// Hits per second, as a Poisson process.
    Rate(Level),
}

/// What a schedule may not grow beyond.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The run ends there, whatever the schedule says.
    pub end_ns: u64,
    /// The run ends with its schedule, too.
    pub ends_with_schedule: bool,
    /// The highest level; a closed run has room for so many workers.
    pub workers_max: Option<usize>,
}

/// How far a stop has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    No,
    /// No new hits; running ones may end within the grace.
    Drain,
    /// Running hits are given up.
    Now,
}

/// A schedule changes no sooner than that: all loops know of it when its
/// instant comes, and so switch at the same one without a lock.
pub const HORIZON: Duration = Duration::from_millis(50);
/// A load of a steered run has no end of its own: a year.
const UNTIL_TOLD_NS: u64 = 365 * 24 * 3600 * 1_000_000_000;

/// Why a schedule can't grow so.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum GrowError {
    /// Not all loops would know in time.
    #[error(
        "a schedule changes from {} ms after now on at the earliest, which is {earliest_ns} ns after the run's start",
        HORIZON.as_millis()
    )]
    TooSoon {
        /// That instant is possible, if it is asked for at once.
        earliest_ns: u64,
    },
    /// The run is over by then.
    #[error("the run ends {end_ns} ns after its start: nothing can follow later than that")]
    Ended {
        /// When it ends.
        end_ns: u64,
    },
    /// The run was told to stop.
    #[error("the run is being stopped")]
    Stopped,
    /// The run has a schedule of its own, or none is needed.
    #[error("the run isn't one that is steered")]
    NotSteered,
    /// The records carry the instants.
    #[error("the records carry their own instants: there is no schedule that could change")]
    Recorded,
    /// A closed run would have more workers than there is room for.
    #[error("the run was set up for {workers_max} workers at most")]
    Workers {
        /// So many there may be.
        workers_max: usize,
    },
    /// The pieces can't be placed.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// This thread was held up for so long that some loop may have switched after the instant.
    #[error("the schedule changed later than asked for: this machine is too busy")]
    Late,
}

impl Control {
    /// With the wakers of all event loops.
    pub fn new(
        wakers: Vec<Arc<Waker>>,
        clock: Clock,
        schedules: Schedules,
        limits: Limits,
    ) -> Self {
        Self {
            stop: AtomicU8::new(0),
            changes: AtomicU64::new(0),
            schedules: Mutex::new(schedules),
            limits,
            clock,
            wakers,
        }
    }

    /// Asks all loops to stop; a second time: at once.
    pub fn stop_harder(&self) -> Stop {
        let before = self
            .stop
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |stop| {
                Some((stop + 1).min(2))
            });
        self.wake_all();
        if before == Ok(0) {
            Stop::Drain
        } else {
            Stop::Now
        }
    }

    /// Asks all loops to stop, if they aren't asked already.
    pub fn drain(&self) {
        self.stop.fetch_max(1, Ordering::Relaxed);
        self.wake_all();
    }

    /// How far it has gone.
    #[inline]
    pub fn stop(&self) -> Stop {
        match self.stop.load(Ordering::Relaxed) {
            0 => Stop::No,
            1 => Stop::Drain,
            _ => Stop::Now,
        }
    }

    /// The earliest instant from which on the schedule may change, if that is
    /// asked for at once.
    pub fn earliest_ns(&self) -> u64 {
        self.clock.now_ns() + nanoseconds(HORIZON)
    }

    /// From that instant of the run on, these pieces take the place of what the
    /// schedule has there, or follow it. It must lie beyond the [`HORIZON`].
    pub fn grow(&self, from_ns: u64, pieces: &[Piece]) -> Result<(), GrowError> {
        let mut schedules = self.lock();
        let earliest_ns = self.earliest_ns();
        if self.stop() != Stop::No {
            return Err(GrowError::Stopped);
        }
        let schedules = &mut *schedules;
        let schedule = match (&mut schedules.rate, &mut schedules.workers) {
            (Some(schedule), _) | (None, Some(schedule)) => schedule,
            (None, None) => return Err(GrowError::Recorded),
        };
        let before = &*schedule;
        let end_ns = match self.limits.ends_with_schedule {
            true => self.limits.end_ns.min(before.duration_ns()),
            false => self.limits.end_ns,
        };
        if from_ns > end_ns {
            return Err(GrowError::Ended { end_ns });
        }
        if from_ns < earliest_ns {
            return Err(GrowError::TooSoon { earliest_ns });
        }
        let grown = before.grown(from_ns, pieces)?;
        if let Some(workers_max) = self.limits.workers_max
            && grown.workers_max() > workers_max
        {
            return Err(GrowError::Workers { workers_max });
        }
        *schedule = Arc::new(grown);
        self.changed(from_ns)
    }

    /// From that instant on a steered run does that, until it is told otherwise.
    /// It must lie beyond the [`HORIZON`].
    pub fn steer(&self, from_ns: u64, load: Load) -> Result<(), GrowError> {
        let mut schedules = self.lock();
        let earliest_ns = self.earliest_ns();
        if self.stop() != Stop::No {
            return Err(GrowError::Stopped);
        }
        let (Some(rate), Some(workers)) = (&schedules.rate, &schedules.workers) else {
            return Err(GrowError::NotSteered);
        };
        if from_ns < earliest_ns {
            return Err(GrowError::TooSoon { earliest_ns });
        }
        let (hits, users) = match load {
            Load::Rest => (Level::default(), 0),
            Load::Workers(count) => (Level::default(), count),
            Load::Rate(rate) => (rate, 0),
        };
        if let Some(workers_max) = self.limits.workers_max
            && users as usize > workers_max
        {
            return Err(GrowError::Workers { workers_max });
        }
        let piece = |level| Piece {
            from: level,
            to: level,
            duration_ns: UNTIL_TOLD_NS,
        };
        let rate = rate.grown(from_ns, &[piece(hits)])?;
        let workers = workers.grown(from_ns, &[piece(Level::whole(users))])?;
        *schedules = Schedules {
            rate: Some(Arc::new(rate)),
            workers: Some(Arc::new(workers)),
            void_before_ns: from_ns,
        };
        self.changed(from_ns)
    }

    /// The schedules of a steered run that does nothing yet.
    pub fn at_rest() -> Schedules {
        let rest = || {
            Some(Arc::new(Schedule::constant(
                Level::default(),
                UNTIL_TOLD_NS,
            )))
        };
        Schedules {
            rate: rest(),
            workers: rest(),
            void_before_ns: 0,
        }
    }

    /// Tells the loops. A loop that sees the new number sees the new schedules, too.
    fn changed(&self, from_ns: u64) -> Result<(), GrowError> {
        self.changes.fetch_add(1, Ordering::Release);
        let late = self.clock.now_ns() >= from_ns;
        self.wake_all();
        if late { Err(GrowError::Late) } else { Ok(()) }
    }

    /// How often the schedule has changed.
    #[inline]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The schedule as it is now, of rates if there are any; none if the records
    /// carry the instants.
    pub fn schedule(&self) -> Option<Arc<Schedule>> {
        let schedules = self.schedules();
        schedules.rate.or(schedules.workers)
    }

    /// What starts hits, as it is now.
    pub fn schedules(&self) -> Schedules {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Schedules> {
        self.schedules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        self.wakers.iter().for_each(|waker| waker.wake());
    }
}
