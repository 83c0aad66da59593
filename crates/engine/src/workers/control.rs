//! How a run is told to end, and to go on in another way.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use encarno_nib::clock::Clock;
use encarno_nib::poll::Waker;

use crate::schedule::{Piece, Schedule, ScheduleError};
use crate::settings::nanoseconds;

/// Shared by all event loops; it changes a few times a run.
#[derive(Debug)]
pub struct Control {
    stop: AtomicU8,
    /// How often the schedule has changed.
    changes: AtomicU64,
    /// None = the records carry the instants.
    schedule: Mutex<Option<Arc<Schedule>>>,
    limits: Limits,
    clock: Clock,
    wakers: Vec<Arc<Waker>>,
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
        schedule: Option<Schedule>,
        limits: Limits,
    ) -> Self {
        Self {
            stop: AtomicU8::new(0),
            changes: AtomicU64::new(0),
            schedule: Mutex::new(schedule.map(Arc::new)),
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
        let mut schedule = self.schedule.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest_ns = self.earliest_ns();
        if self.stop() != Stop::No {
            return Err(GrowError::Stopped);
        }
        let Some(before) = schedule.as_deref() else {
            return Err(GrowError::Recorded);
        };
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
        *schedule = Some(Arc::new(grown));
        // A loop that sees the new number sees the new schedule, too.
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

    /// The schedule as it is now; none if the records carry the instants.
    pub fn schedule(&self) -> Option<Arc<Schedule>> {
        self.schedule
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn wake_all(&self) {
        self.wakers.iter().for_each(|waker| waker.wake());
    }
}
