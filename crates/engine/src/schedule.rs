//! When hits start, as pure functions: never expanded, exact at any rate.
//!
//! A [`Schedule`] is a level (hits per second, or workers) that changes over
//! time in straight pieces. Counts and instants are integers: a level is in
//! millionths, an instant in ns, so that the integral of a piece is exact and
//! nothing drifts however long the run.

mod grammar;
mod hits;
mod stepper;

pub use grammar::ScheduleError;
pub use hits::{HitInstants, Randomness};
pub use stepper::write_stpd;

/// A level in millionths of a hit per second, or of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(pub u64);

impl Level {
    /// One.
    pub const ONE: Self = Self(1_000_000);
    /// The largest one that is accepted: a thousand million.
    pub const MAX: Self = Self(1_000_000_000 * Self::ONE.0);

    /// A whole number of hits per second, or of workers.
    pub fn whole(number: u32) -> Self {
        Self(u64::from(number) * Self::ONE.0)
    }
}

/// A piece of a schedule: the level goes straight from one value to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The level at its start.
    pub from: Level,
    /// The level at its end.
    pub to: Level,
    /// How long it takes; 0 = the level jumps.
    pub duration_ns: u64,
}

/// A level over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    pieces: Vec<Piece>,
}

impl Schedule {
    /// From pieces, in order.
    pub fn new(pieces: Vec<Piece>) -> Result<Self, ScheduleError> {
        let mut total_ns = 0_u64;
        for piece in &pieces {
            if piece.from > Level::MAX || piece.to > Level::MAX {
                return Err(ScheduleError::TooHigh);
            }
            total_ns = total_ns
                .checked_add(piece.duration_ns)
                .filter(|&sum| sum <= DURATION_NS_MAX)
                .ok_or(ScheduleError::TooLong)?;
        }
        if pieces.is_empty() {
            return Err(ScheduleError::Empty);
        }
        Ok(Self { pieces })
    }

    /// The same level all the time.
    pub fn constant(level: Level, duration_ns: u64) -> Self {
        let piece = Piece {
            from: level,
            to: level,
            duration_ns,
        };
        Self {
            pieces: vec![piece],
        }
    }

    /// Its pieces.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// How long it takes.
    pub fn duration_ns(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.duration_ns).sum()
    }

    /// The highest level.
    pub fn level_max(&self) -> Level {
        self.pieces
            .iter()
            .map(|piece| piece.from.max(piece.to))
            .max()
            .unwrap_or_default()
    }

    /// The level at that instant; past the end, the last one.
    pub fn level_at(&self, instant_ns: u64) -> Level {
        let mut start_ns = 0;
        for piece in &self.pieces {
            let elapsed_ns = instant_ns - start_ns;
            if elapsed_ns < piece.duration_ns {
                let part =
                    |level: Level, weight_ns: u64| u128::from(level.0) * u128::from(weight_ns);
                let sum =
                    part(piece.from, piece.duration_ns - elapsed_ns) + part(piece.to, elapsed_ns);
                return Level((sum / u128::from(piece.duration_ns)) as u64);
            }
            start_ns += piece.duration_ns;
        }
        self.pieces.last().map(|piece| piece.to).unwrap_or_default()
    }

    /// How many workers there are at that instant, and until when that holds at least.
    pub fn workers_at(&self, instant_ns: u64) -> (usize, u64) {
        let workers = self.level_at(instant_ns).0.div_ceil(Level::ONE.0) as usize;
        let mut end_ns = 0_u64;
        for piece in &self.pieces {
            end_ns += piece.duration_ns;
            if instant_ns < end_ns {
                let sloped = piece.from != piece.to;
                let until_ns = if sloped {
                    end_ns.min(instant_ns + RAMP_STEP_NS)
                } else {
                    end_ns
                };
                return (workers, until_ns);
            }
        }
        (workers, u64::MAX)
    }

    /// How many hits there are up to that instant.
    pub fn hits_before(&self, duration_ns: u64) -> u64 {
        let mut area = 0;
        let mut start_ns = 0;
        for piece in &self.pieces {
            let elapsed_ns = duration_ns.saturating_sub(start_ns).min(piece.duration_ns);
            area += piece.area(elapsed_ns);
            start_ns += piece.duration_ns;
        }
        area.div_ceil(AREA_OF_HIT) as u64
    }
}

impl Piece {
    /// The integral of the level from the piece's start, in halves of a
    /// millionth of a hit per second times ns: exact at the piece's end.
    fn area(&self, elapsed_ns: u64) -> u128 {
        if elapsed_ns == self.duration_ns {
            return (u128::from(self.from.0) + u128::from(self.to.0)) * u128::from(elapsed_ns);
        }
        let elapsed = u128::from(elapsed_ns);
        let duration = u128::from(self.duration_ns);
        let (low, high) = (self.from.0.min(self.to.0), self.from.0.max(self.to.0));
        let triangle = |side: u128| {
            u128::from(high - low) * side / duration * side
                + u128::from(high - low) * side % duration * side / duration
        };
        if self.to >= self.from {
            2 * u128::from(low) * elapsed + triangle(elapsed)
        } else {
            self.area(self.duration_ns)
                - 2 * u128::from(low) * (duration - elapsed)
                - triangle(duration - elapsed)
        }
    }
}

/// The area under the level that one hit takes.
const AREA_OF_HIT: u128 = 2 * 1_000_000 * 1_000_000_000;
/// Ten years.
const DURATION_NS_MAX: u64 = 3650 * 24 * 3600 * 1_000_000_000;
/// While the number of workers changes it is looked at that often.
const RAMP_STEP_NS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::{Level, Schedule};

    #[test]
    fn workers_go_up_and_down() {
        let schedule: Schedule = "ramp(10,10s) wait(5s) line(10,0,10s)".parse().unwrap();
        assert_eq!(schedule.workers_at(0).0, 0);
        assert_eq!(schedule.workers_at(1_000).0, 1);
        assert_eq!(schedule.workers_at(9_500_000_000).0, 10);
        assert_eq!(schedule.workers_at(12_000_000_000), (10, 15_000_000_000));
        assert_eq!(schedule.workers_at(20_000_000_000).0, 5);
        assert_eq!(schedule.workers_at(99_000_000_000), (0, u64::MAX));
        assert_eq!(schedule.level_max(), Level::whole(10));
    }

    #[test]
    fn hits_are_counted_exactly() {
        let count = |text: &str| {
            let schedule: Schedule = text.parse().unwrap();
            schedule.hits_before(schedule.duration_ns())
        };
        assert_eq!(count("const(5000,10s)"), 50_000);
        assert_eq!(count("const(0.5,3s)"), 2);
        assert_eq!(count("line(0,10,10s)"), 50);
        assert_eq!(count("line(10,0,10s) wait(1h) line(0,10,10s)"), 100);
        assert_eq!(count("const(0.1,10s) const(0.3,10s)"), 4);
    }
}
