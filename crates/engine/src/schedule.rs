//! When hits start, as pure functions: never a list of instants, and exact at any rate.
//!
//! A [`Schedule`] is a level (hits per second, or workers) that changes over time in
//! pieces, which are straight lines or sines. Counts and instants are integers: a level
//! is in millionths, an instant in ns, so that the integral of a piece is exact and there
//! is no drift in long runs.

mod grammar;
mod hits;
mod replay;
mod stepper;
mod wave;

use std::path::{Path, PathBuf};

pub use grammar::ScheduleError;
pub use hits::{HitInstants, Randomness};
pub use stepper::write_stpd;
pub use wave::Wave;

/// A level in millionths of a hit per second, or of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Level(pub u64);

impl Level {
    /// One.
    pub const ONE: Self = Self(1_000_000);
    /// The largest level that is accepted: a thousand million.
    pub const MAX: Self = Self(1_000_000_000 * Self::ONE.0);

    /// A whole number of hits per second, or of workers.
    pub fn whole(number: u32) -> Self {
        Self(u64::from(number) * Self::ONE.0)
    }
}

/// A piece of a schedule: a straight line from one level to another, or a wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The level at its start.
    pub from: Level,
    /// The level at its end.
    pub to: Level,
    /// The duration; 0 means that the level jumps.
    pub duration_ns: u64,
    /// The wave; `None` for a straight line.
    pub wave: Option<Wave>,
}

/// A level over time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schedule {
    placed: Vec<Placed>,
    poisson: bool,
    files: Vec<PathBuf>,
}

/// A piece with its place in the schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    piece: Piece,
    /// The start of the whole piece. The part of a piece after a pause begins in its
    /// middle, where the part before the pause ends.
    start_ns: u64,
    /// The start of the next piece, which may be before the end of the whole piece.
    end_ns: u64,
    /// The integral of the level up to the start of the whole piece, and up to `end_ns`.
    area_start: u128,
    area_end: u128,
}

impl Schedule {
    /// A schedule of these pieces, in order.
    pub fn new(pieces: Vec<Piece>) -> Result<Self, ScheduleError> {
        if pieces.is_empty() {
            return Err(ScheduleError::Empty);
        }
        let mut schedule = Self::default();
        schedule.append(&pieces)?;
        Ok(schedule)
    }

    /// A schedule with a constant level.
    pub fn constant(level: Level, duration_ns: u64) -> Self {
        let mut schedule = Self::default();
        schedule.place(Piece::flat(level, duration_ns));
        schedule
    }

    /// Whether the schedule asks for a Poisson process instead of even hits.
    pub fn is_poisson(&self) -> bool {
        self.poisson
    }

    /// The files from which the schedule was read.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| &**file)
    }

    /// The same schedule up to an instant, followed by these pieces. The old pieces after
    /// the instant are dropped. If the schedule ends earlier, its last level is held up
    /// to the instant. Before the instant, no hit moves by even a ns.
    pub fn grown(&self, from_ns: u64, pieces: &[Piece]) -> Result<Self, ScheduleError> {
        if pieces.is_empty() {
            return Err(ScheduleError::Empty);
        }
        let mut grown = self.clone();
        let mut begins_ns = 0;
        grown.placed.retain(|placed| {
            let stays = begins_ns < from_ns;
            begins_ns = placed.end_ns;
            stays
        });
        if let Some(last) = grown.placed.last_mut()
            && last.end_ns > from_ns
        {
            last.end_ns = from_ns;
            last.area_end = last.area_start + last.piece.area(from_ns - last.start_ns);
        }
        grown.hold_until(from_ns)?;
        grown.append(pieces)?;
        Ok(grown)
    }

    /// The same schedule with a pause: the level is 0 from an instant on for `by_ns`, and
    /// the rest follows later. No hit is lost or added.
    pub fn delayed(&self, from_ns: u64, by_ns: u64) -> Result<Self, ScheduleError> {
        let mut whole = self.clone();
        whole.hold_until(from_ns)?;
        if DURATION_NS_MAX.saturating_sub(whole.duration_ns()) < by_ns {
            return Err(ScheduleError::TooLong);
        }
        let later = |placed: &Placed| Placed {
            start_ns: placed.start_ns + by_ns,
            end_ns: placed.end_ns + by_ns,
            ..*placed
        };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut begins_ns = 0;
        for placed in &whole.placed {
            if placed.end_ns <= from_ns {
                before.push(*placed);
            } else {
                after.push(later(placed));
                if begins_ns < from_ns {
                    let area = placed.piece.area(from_ns - placed.start_ns);
                    before.push(Placed {
                        end_ns: from_ns,
                        area_end: placed.area_start + area,
                        ..*placed
                    });
                }
            }
            begins_ns = placed.end_ns;
        }
        let area = before.last().map_or(0, |last| last.area_end);
        let flat = |level, start_ns, duration_ns| Placed {
            piece: Piece::flat(level, duration_ns),
            start_ns,
            end_ns: start_ns + duration_ns,
            area_start: area,
            area_end: area,
        };
        if after.is_empty() {
            let level = whole.level_at(from_ns);
            after.push(flat(level, from_ns + by_ns, 0));
        }
        before.push(flat(Level::default(), from_ns, by_ns));
        before.append(&mut after);
        Ok(Self {
            placed: before,
            ..whole
        })
    }

    /// Holds the last level up to an instant, if the schedule ends earlier.
    fn hold_until(&mut self, instant_ns: u64) -> Result<(), ScheduleError> {
        let end_ns = self.duration_ns();
        if end_ns >= instant_ns {
            return Ok(());
        }
        let level = self.level_at(end_ns);
        self.append(&[Piece::flat(level, instant_ns - end_ns)])
    }

    fn append(&mut self, pieces: &[Piece]) -> Result<(), ScheduleError> {
        for &piece in pieces {
            if piece.level_max() > Level::MAX {
                return Err(ScheduleError::TooHigh);
            }
            if DURATION_NS_MAX.saturating_sub(self.duration_ns()) < piece.duration_ns {
                return Err(ScheduleError::TooLong);
            }
            self.place(piece);
        }
        Ok(())
    }

    fn place(&mut self, piece: Piece) {
        let (start_ns, area_start) = match self.placed.last() {
            Some(last) => (last.end_ns, last.area_end),
            None => (0, 0),
        };
        self.placed.push(Placed {
            piece,
            start_ns,
            end_ns: start_ns + piece.duration_ns,
            area_start,
            area_end: area_start + piece.area(piece.duration_ns),
        });
    }

    /// The pieces as they were given.
    pub fn pieces(&self) -> Vec<Piece> {
        self.placed.iter().map(|placed| placed.piece).collect()
    }

    /// The duration of the schedule.
    pub fn duration_ns(&self) -> u64 {
        self.placed.last().map_or(0, |placed| placed.end_ns)
    }

    /// The highest level.
    pub fn level_max(&self) -> Level {
        self.placed
            .iter()
            .map(|placed| placed.piece.level_max())
            .max()
            .unwrap_or_default()
    }

    /// The highest level, in whole workers.
    pub fn workers_max(&self) -> usize {
        self.level_max().0.div_ceil(Level::ONE.0) as usize
    }

    /// The level at an instant; after the end, the last level.
    pub fn level_at(&self, instant_ns: u64) -> Level {
        match self.placed_at(instant_ns) {
            Some(placed) => placed.level_at(instant_ns),
            None => self
                .placed
                .last()
                .map(|placed| placed.level_at(placed.end_ns))
                .unwrap_or_default(),
        }
    }

    /// The number of workers at an instant, and an instant up to which it holds at least.
    pub fn workers_at(&self, instant_ns: u64) -> (usize, u64) {
        let workers = self.level_at(instant_ns).0.div_ceil(Level::ONE.0) as usize;
        let until_ns = match self.placed_at(instant_ns) {
            None => u64::MAX,
            Some(placed) if placed.piece.is_flat() => placed.end_ns,
            Some(placed) => placed.end_ns.min(instant_ns + RAMP_STEP_NS),
        };
        (workers, until_ns)
    }

    /// The number of hits up to an instant.
    pub fn hits_before(&self, duration_ns: u64) -> u64 {
        let area = match self.placed_at(duration_ns) {
            Some(placed) => placed.area_start + placed.piece.area(duration_ns - placed.start_ns),
            None => self.placed.last().map_or(0, |placed| placed.area_end),
        };
        area.div_ceil(AREA_OF_HIT) as u64
    }

    fn placed_at(&self, instant_ns: u64) -> Option<&Placed> {
        let index = self
            .placed
            .partition_point(|placed| placed.end_ns <= instant_ns);
        self.placed.get(index)
    }
}

impl Placed {
    fn level_at(&self, instant_ns: u64) -> Level {
        let piece = &self.piece;
        if piece.duration_ns == 0 {
            return piece.to;
        }
        let elapsed_ns = instant_ns - self.start_ns;
        if let Some(wave) = piece.wave {
            return wave.level_at(elapsed_ns);
        }
        let part = |level: Level, weight_ns: u64| u128::from(level.0) * u128::from(weight_ns);
        let sum = part(piece.from, piece.duration_ns - elapsed_ns) + part(piece.to, elapsed_ns);
        Level((sum / u128::from(piece.duration_ns)) as u64)
    }
}

impl Piece {
    /// A straight line from one level to another.
    pub fn line(from: Level, to: Level, duration_ns: u64) -> Self {
        Self {
            from,
            to,
            duration_ns,
            wave: None,
        }
    }

    /// A constant level.
    pub fn flat(level: Level, duration_ns: u64) -> Self {
        Self::line(level, level, duration_ns)
    }

    /// A wave; `None` if its level would fall below 0 or its amplitude or period is 0.
    pub fn wave(wave: Wave, duration_ns: u64) -> Option<Self> {
        let swings = wave.amplitude.0 > 0 && wave.amplitude <= wave.mean && wave.period_ns > 0;
        swings.then(|| Self {
            from: wave.mean,
            to: wave.level_at(duration_ns),
            duration_ns,
            wave: Some(wave),
        })
    }

    fn level_max(&self) -> Level {
        match self.wave {
            Some(wave) => Level(wave.mean.0.saturating_add(wave.amplitude.0)),
            None => self.from.max(self.to),
        }
    }

    fn is_flat(&self) -> bool {
        self.wave.is_none() && self.from == self.to
    }

    /// The integral of the level from the piece's start, in halves of a millionth of a
    /// hit per second times ns. It is exact at the piece's end.
    fn area(&self, elapsed_ns: u64) -> u128 {
        if let Some(wave) = self.wave {
            return wave.area(elapsed_ns);
        }
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

/// The area under the level that corresponds to one hit.
const AREA_OF_HIT: u128 = 2 * 1_000_000 * 1_000_000_000;
/// Ten years.
const DURATION_NS_MAX: u64 = 3650 * 24 * 3600 * 1_000_000_000;
/// How often the number of workers is evaluated while it changes.
const RAMP_STEP_NS: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::{HitInstants, Level, Randomness, Schedule};

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

    #[test]
    fn a_pause_moves_what_is_left_and_nothing_else() {
        const S: u64 = 1_000_000_000;
        for text in [
            "line(0,10,10s) const(7,5s) line(9,0.5,7s)",
            "const(3,20s)",
            "line(10,0,30s)",
        ] {
            let schedule: Schedule = text.parse().unwrap();
            let instants = |schedule: &Schedule| -> Vec<u64> {
                HitInstants::new(schedule, Randomness::None, 0, 1).collect()
            };
            let before = instants(&schedule);
            // After the end, the last level would be held, which would add hits.
            for from_ns in [0, S + 7, 10 * S, 12 * S, schedule.duration_ns() - S] {
                let once = schedule.delayed(from_ns, 4 * S).unwrap();
                // A pause within the rest of a paused piece.
                let twice = once.delayed(from_ns + 5 * S, 2 * S).unwrap();
                assert_eq!(once.duration_ns(), schedule.duration_ns() + 4 * S);
                for (paused, pauses) in [
                    (once, vec![(from_ns, 4 * S)]),
                    (twice, vec![(from_ns, 4 * S), (from_ns + 5 * S, 2 * S)]),
                ] {
                    let after = instants(&paused);
                    assert_eq!(after.len(), before.len(), "{text} {from_ns}");
                    for (before_ns, after_ns) in before.iter().zip(after) {
                        let expected =
                            pauses.iter().fold(
                                *before_ns,
                                |at, &(from, by)| {
                                    if at < from { at } else { at + by }
                                },
                            );
                        // A piece that was cut is rounded like a whole piece.
                        assert!(after_ns.abs_diff(expected) <= 1, "{text} {from_ns}");
                    }
                    for (from_ns, by_ns) in pauses {
                        assert_eq!(paused.level_at(from_ns), Level::default());
                        assert_eq!(paused.level_at(from_ns + by_ns - 1), Level::default());
                    }
                }
            }
        }
        let held = Schedule::constant(Level::whole(7), 0);
        let held = held.delayed(3 * S, 2 * S).unwrap();
        let workers = [1, 3 * S, 5 * S].map(|at| held.workers_at(at).0);
        assert_eq!(workers, [7, 0, 7]);
        assert!(held.delayed(1, u64::MAX).is_err());
        // The schedule grows within the pause and after it.
        let more: Schedule = "const(2,5s)".parse().unwrap();
        let schedule: Schedule = "const(3,20s)".parse().unwrap();
        let paused = schedule.delayed(10 * S, 5 * S).unwrap();
        let grown = |from_ns| paused.grown(from_ns, &more.pieces()).unwrap();
        assert_eq!(grown(12 * S).hits_before(u64::MAX), 30 + 10);
        assert_eq!(grown(16 * S).hits_before(u64::MAX), 33 + 10);
    }

    #[test]
    fn a_schedule_grows_from_an_instant_on_and_holds_its_level_up_to_there() {
        let schedule: Schedule = "line(0,10,10s) const(50,1h)".parse().unwrap();
        let more: Schedule = "const(2,5s)".parse().unwrap();
        let cut = schedule.grown(5_000_000_000, &more.pieces()).unwrap();
        assert_eq!(cut.duration_ns(), 10_000_000_000);
        assert_eq!(cut.level_at(4_000_000_000), Level::whole(4));
        assert_eq!(cut.level_at(5_000_000_000), Level::whole(2));
        // 12.5 hits of the line, 10 of the constant.
        assert_eq!(cut.hits_before(cut.duration_ns()), 23);
        let held = Schedule::constant(Level::whole(7), 0)
            .grown(3_000_000_000, &more.pieces())
            .unwrap();
        assert_eq!(held.workers_at(1), (7, 3_000_000_000));
        assert_eq!(held.workers_at(3_000_000_000), (2, 8_000_000_000));
        assert!(schedule.grown(1, &[]).is_err());
    }
}
