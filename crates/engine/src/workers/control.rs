//! Ends a run, pauses it, and changes its load.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use encarno_nib::clock::Clock;
use encarno_nib::poll::Waker;

use crate::schedule::{Level, Piece, Schedule, ScheduleError};
use crate::settings::nanoseconds;

/// The state that all event loops share; it changes a few times during a run.
#[derive(Debug)]
pub struct Control {
    stop: AtomicU8,
    /// How often the schedule has changed.
    changes: AtomicU64,
    /// Locked before the schedules.
    pauses: Mutex<Pauses>,
    schedules: Mutex<Schedules>,
    limits: Limits,
    clock: Clock,
    wakers: Vec<Arc<Waker>>,
}

/// The schedules that start hits.
#[derive(Clone, Debug, Default)]
pub struct Schedules {
    /// Hits per second; `None` for a closed workload, and if the records have the
    /// instants.
    pub rate: Option<Arc<Schedule>>,
    /// Workers that start again as soon as they are free; `None` for an open workload.
    pub workers: Option<Arc<Schedule>>,
    /// Hits that were due before this instant and have found no worker by then are
    /// dropped, because their load is over.
    pub void_before_ns: u64,
    /// The time by which pauses move the run's end.
    pub delay_ns: u64,
}

/// The beginning or end of a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PauseTurn {
    /// The instant.
    pub at_ns: u64,
    /// Whether the pause began.
    pub paused: bool,
}

#[derive(Debug, Default)]
struct Pauses {
    /// The start of the present pause, and the schedules without it.
    current: Option<(u64, Schedules)>,
    /// The total length of past pauses.
    over_ns: u64,
    /// The turns that weren't taken yet.
    turns: Vec<PauseTurn>,
}

/// The load of a steered run from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Nothing starts.
    Rest,
    /// This number of workers, each of which starts again as soon as it is free.
    Workers(u32),
    /// Hits per second, as a Poisson process.
    Rate(Level),
}

/// The limits of a growing schedule.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The end of the run, whatever the schedule says.
    pub end_ns: u64,
    /// Whether the run also ends with its schedule.
    pub ends_with_schedule: bool,
    /// The highest level: the most workers of a closed run.
    pub workers_max: Option<usize>,
}

/// The state of a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// The run wasn't stopped.
    No,
    /// No new hits start; running hits may end within the grace period.
    Drain,
    /// Running hits are given up.
    Now,
}

/// The shortest time before a change of the schedule. All loops know of the change before
/// its instant, and so switch at the same instant without a lock.
pub const HORIZON: Duration = Duration::from_millis(50);
/// The length of a load without an end of its own: a year.
const UNTIL_TOLD_NS: u64 = 365 * 24 * 3600 * 1_000_000_000;

/// Why a schedule can't grow.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum GrowError {
    /// The instant is too early for all loops to know in time.
    #[error(
        "a schedule changes from {} ms after now on at the earliest, which is {earliest_ns} ns after the run's start",
        HORIZON.as_millis()
    )]
    TooSoon {
        /// The earliest instant that is possible now.
        earliest_ns: u64,
    },
    /// The run ends before this instant.
    #[error("the run ends {end_ns} ns after its start: nothing can follow later than that")]
    Ended {
        /// The end of the run.
        end_ns: u64,
    },
    /// The run was told to stop.
    #[error("the run is being stopped")]
    Stopped,
    /// The run has its own schedule, or needs none.
    #[error("no pilot steers this run")]
    NotSteered,
    /// The records have the instants.
    #[error("the records carry their own instants: there is no schedule that could change")]
    Recorded,
    /// A pilot sets the load.
    #[error("the run is steered: its load can't be changed by hand")]
    Steered,
    /// The run is paused.
    #[error("the run is paused: resume it first")]
    Paused,
    /// A closed run would have too many workers.
    #[error("the run was set up for {workers_max} workers at most")]
    Workers {
        /// The most workers.
        workers_max: usize,
    },
    /// The pieces can't be placed.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// This thread was delayed for so long that some loop may have switched after the
    /// instant.
    #[error("the schedule changed later than asked for: this machine is too busy")]
    Late,
}

impl Control {
    /// A control with the wakers of all event loops.
    pub fn new(
        wakers: Vec<Arc<Waker>>,
        clock: Clock,
        schedules: Schedules,
        limits: Limits,
    ) -> Self {
        Self {
            stop: AtomicU8::new(0),
            changes: AtomicU64::new(0),
            pauses: Mutex::default(),
            schedules: Mutex::new(schedules),
            limits,
            clock,
            wakers,
        }
    }

    /// Asks all loops to stop; the second call asks them to stop at once.
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

    /// Asks all loops to stop, if they weren't asked yet.
    pub fn drain(&self) {
        self.stop.fetch_max(1, Ordering::Relaxed);
        self.wake_all();
    }

    /// The state of the stop.
    #[inline]
    pub fn stop(&self) -> Stop {
        match self.stop.load(Ordering::Relaxed) {
            0 => Stop::No,
            1 => Stop::Drain,
            _ => Stop::Now,
        }
    }

    /// The earliest instant from which the schedule can change now.
    pub fn earliest_ns(&self) -> u64 {
        self.clock.now_ns() + nanoseconds(HORIZON)
    }

    /// Replaces the schedule from an instant of the run on by these pieces, or appends
    /// them. The instant must be beyond the [`HORIZON`].
    pub fn grow(&self, from_ns: u64, pieces: &[Piece]) -> Result<(), GrowError> {
        if self.is_paused() {
            return Err(GrowError::Paused);
        }
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
        let end_ns = self.limits.end_of(before, schedules.delay_ns);
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

    /// Sets the load of a steered run from an instant on. The instant must be beyond the
    /// [`HORIZON`].
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
        let piece = |level| Piece::flat(level, UNTIL_TOLD_NS);
        let rate = rate.grown(from_ns, &[piece(hits)])?;
        let workers = workers.grown(from_ns, &[piece(Level::whole(users))])?;
        *schedules = Schedules {
            rate: Some(Arc::new(rate)),
            workers: Some(Arc::new(workers)),
            void_before_ns: from_ns,
            delay_ns: 0,
        };
        self.changed(from_ns)
    }

    /// Pauses the run from the earliest possible instant on, which is returned, until
    /// [`Control::resume`]. No hit is due during the pause; hits that were due before
    /// still start. The rest of the schedule and the end of the run move by the length of
    /// the pause, so no hit is left out. If the run is paused already, nothing changes.
    pub fn pause(&self) -> Result<u64, GrowError> {
        let mut pauses = self.lock_pauses();
        if let Some((from_ns, _)) = pauses.current {
            return Ok(from_ns);
        }
        let mut schedules = self.lock();
        if self.stop() != Stop::No {
            return Err(GrowError::Stopped);
        }
        let schedule = match (&schedules.rate, &schedules.workers) {
            (Some(_), Some(_)) => return Err(GrowError::Steered),
            (None, None) => return Err(GrowError::Recorded),
            (Some(schedule), None) | (None, Some(schedule)) => schedule,
        };
        let from_ns = self.earliest_ns();
        let end_ns = self.limits.end_of(schedule, schedules.delay_ns);
        if from_ns >= end_ns {
            return Err(GrowError::Ended { end_ns });
        }
        let paused = schedules.delayed(from_ns, UNTIL_TOLD_NS)?;
        pauses.current = Some((from_ns, std::mem::replace(&mut *schedules, paused)));
        pauses.turns.push(PauseTurn {
            at_ns: from_ns,
            paused: true,
        });
        self.told(from_ns);
        Ok(from_ns)
    }

    /// Resumes the run at the earliest possible instant, which is returned; `None` if it
    /// isn't paused.
    pub fn resume(&self) -> Result<Option<u64>, GrowError> {
        let mut pauses = self.lock_pauses();
        let Some((from_ns, before)) = &pauses.current else {
            return Ok(None);
        };
        let mut schedules = self.lock();
        let to_ns = self.earliest_ns().max(*from_ns);
        let took_ns = to_ns - from_ns;
        *schedules = before.delayed(*from_ns, took_ns)?;
        pauses.current = None;
        pauses.over_ns += took_ns;
        pauses.turns.push(PauseTurn {
            at_ns: to_ns,
            paused: false,
        });
        self.told(to_ns);
        Ok(Some(to_ns))
    }

    /// Whether it is paused.
    pub fn is_paused(&self) -> bool {
        self.lock_pauses().current.is_some()
    }

    /// The total length of pauses up to an instant.
    pub fn paused_ns(&self, now_ns: u64) -> u64 {
        let pauses = self.lock_pauses();
        let current_ns = pauses.current.as_ref();
        let current_ns = current_ns.map_or(0, |(from_ns, _)| now_ns.saturating_sub(*from_ns));
        pauses.over_ns + current_ns
    }

    /// Takes the pauses that began or ended since the last call.
    pub fn take_pause_turns(&self) -> Vec<PauseTurn> {
        std::mem::take(&mut self.lock_pauses().turns)
    }

    /// The schedules without the present pause.
    pub fn settled(&self) -> Schedules {
        match &self.lock_pauses().current {
            Some((_, before)) => before.clone(),
            None => self.schedules(),
        }
    }

    /// The end of the run if nothing stops or delays it from now on; `None` if it isn't
    /// known.
    pub fn end_ns(&self) -> Option<u64> {
        let Schedules {
            rate,
            workers,
            delay_ns,
            ..
        } = self.settled();
        let end_ns = match (rate, workers) {
            (Some(schedule), None) | (None, Some(schedule)) => {
                self.limits.end_of(&schedule, delay_ns)
            }
            _ => self.limits.end_ns,
        };
        // The present pause counts up to now.
        let current_ns = self.paused_ns(self.clock.now_ns()).saturating_sub(delay_ns);
        (end_ns < u64::MAX).then(|| end_ns.saturating_add(current_ns))
    }

    /// The present instant of the run.
    pub fn now_ns(&self) -> u64 {
        self.clock.now_ns()
    }

    /// The schedules of a steered run without a load.
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
            ..Schedules::default()
        }
    }

    /// Notifies the loops; an error if some of them may have been notified too late.
    fn changed(&self, from_ns: u64) -> Result<(), GrowError> {
        match self.told(from_ns) {
            true => Ok(()),
            false => Err(GrowError::Late),
        }
    }

    /// Notifies the loops; false if the instant has come already. A loop that sees the
    /// new number also sees the new schedules.
    fn told(&self, from_ns: u64) -> bool {
        self.changes.fetch_add(1, Ordering::Release);
        let in_time = self.clock.now_ns() < from_ns;
        self.wake_all();
        in_time
    }

    /// How often the schedule has changed.
    #[inline]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The present schedule, the one of rates if there is one; `None` if the records have
    /// the instants.
    pub fn schedule(&self) -> Option<Arc<Schedule>> {
        let schedules = self.schedules();
        schedules.rate.or(schedules.workers)
    }

    /// The present schedules.
    pub fn schedules(&self) -> Schedules {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Schedules> {
        self.schedules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_pauses(&self) -> MutexGuard<'_, Pauses> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        self.wakers.iter().for_each(|waker| waker.wake());
    }
}

impl Schedules {
    /// The schedules with a pause from an instant on.
    fn delayed(&self, from_ns: u64, by_ns: u64) -> Result<Self, GrowError> {
        let delayed = |schedule: &Option<Arc<Schedule>>| match schedule {
            None => Ok(None),
            Some(schedule) => schedule
                .delayed(from_ns, by_ns)
                .map(|it| Some(Arc::new(it))),
        };
        Ok(Self {
            rate: delayed(&self.rate)?,
            workers: delayed(&self.workers)?,
            void_before_ns: self.void_before_ns,
            delay_ns: self.delay_ns.saturating_add(by_ns),
        })
    }
}

impl Limits {
    /// The end of a run with this schedule.
    fn end_of(&self, schedule: &Schedule, delay_ns: u64) -> u64 {
        let end_ns = self.end_ns.saturating_add(delay_ns);
        match self.ends_with_schedule {
            true => end_ns.min(schedule.duration_ns()),
            false => end_ns,
        }
    }
}
