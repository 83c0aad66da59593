//! Computes the instants of hits: the inverse of the level's integral.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::{AREA_OF_HIT, Piece, Placed, Schedule};

/// Increasing instants, in ns from the start, of the hits of one loop.
///
/// Hit n is at the instant where the level's integral reaches n. For a line, this is the
/// root of `(slope/2)·t² + from·t − n = 0`, computed from the piece's lower end in the
/// form that loses no digits. Errors don't accumulate: the error is below 1 ns at any n.
///
/// A hit is identified by its number, which is an area under the level. When the schedule
/// grows, the number stays and only the instant changes. So loops that divide the hits by
/// number take each hit once, however the schedule changes.
#[derive(Clone, Debug)]
pub struct HitInstants {
    pieces: Vec<Placed>,
    /// The piece in which the search for the next hit begins.
    index: usize,
    /// The area of the next hit.
    area: u128,
    stride: u64,
    process: Option<Xoshiro256PlusPlus>,
}

/// The distribution of hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Randomness {
    /// Even distances.
    None,
    /// A Poisson process, rescaled to the level by the time-rescaling theorem: the
    /// inverse of the integral maps a process of rate 1.
    Poisson {
        /// The same seed gives the same instants.
        seed: u64,
    },
}

impl HitInstants {
    /// The instants of the hits `first`, `first + stride`, … Loop k of n takes (k, n), so
    /// all loops together take each hit once.
    pub fn new(schedule: &Schedule, randomness: Randomness, first: u64, stride: u64) -> Self {
        let process = match randomness {
            Randomness::None => None,
            Randomness::Poisson { seed } => Some(Xoshiro256PlusPlus::seed_from_u64(seed)),
        };
        let mut instants = Self {
            pieces: schedule.placed.clone(),
            index: 0,
            area: 0,
            stride,
            process,
        };
        // A Poisson process doesn't start with a hit; even hits do.
        let steps = if instants.process.is_some() {
            first + 1
        } else {
            first
        };
        instants.advance(steps);
        instants
    }

    /// The instant of the next hit, without taking it.
    #[inline]
    pub fn peek(&mut self) -> Option<u64> {
        let mut placed = self.pieces.get(self.index)?;
        while self.area >= placed.area_end {
            self.index += 1;
            placed = self.pieces.get(self.index)?;
        }
        Some(placed.instant_ns(self.area))
    }

    /// Follows a schedule that has grown. Hits that were already taken don't change.
    pub fn follow(&mut self, schedule: &Schedule) {
        self.pieces.clone_from(&schedule.placed);
        self.index = 0;
    }

    /// The end of the schedule.
    pub fn end_ns(&self) -> u64 {
        self.pieces.last().map_or(0, |placed| placed.end_ns)
    }

    fn advance(&mut self, hits: u64) {
        match &mut self.process {
            None => self.area += u128::from(hits) * AREA_OF_HIT,
            Some(random) => {
                for _ in 0..hits {
                    // 53 bits, never 0, so that the logarithm is finite.
                    let uniform = ((random.next_u64() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
                    self.area += (-uniform.ln() * AREA_OF_HIT as f64) as u128;
                }
            }
        }
    }
}

impl Iterator for HitInstants {
    type Item = u64;

    #[inline]
    fn next(&mut self) -> Option<u64> {
        let instant_ns = self.peek()?;
        self.advance(self.stride);
        Some(instant_ns)
    }
}

impl Placed {
    fn instant_ns(&self, area: u128) -> u64 {
        let Piece {
            from,
            to,
            duration_ns,
            wave,
        } = self.piece;
        if let Some(wave) = wave {
            let elapsed_ns = wave.elapsed_ns(area - self.area_start);
            return self.start_ns.saturating_add(elapsed_ns).min(self.end_ns);
        }
        let hits = |area: u128| area as f64 / AREA_OF_HIT as f64;
        let seconds = duration_ns as f64 * 1e-9;
        let slope = from.0.abs_diff(to.0) as f64 * 1e-6 / seconds;
        // From the lower end, no digits cancel: a descending line is an ascending one in
        // reverse.
        let elapsed = |hits: f64, low: u64| {
            let low = low as f64 * 1e-6;
            if hits <= 0.0 {
                0.0
            } else {
                2e9 * hits / (low + (low * low + 2.0 * slope * hits).sqrt())
            }
        };
        let offset_ns = if to >= from {
            elapsed(hits(area - self.area_start), from.0)
        } else {
            let area_of_all = self.piece.area(duration_ns);
            duration_ns as f64 - elapsed(hits(self.area_start + area_of_all - area), to.0)
        };
        (self.start_ns + offset_ns.max(0.0) as u64).min(self.end_ns)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{AREA_OF_HIT, HitInstants, Piece, Randomness, Schedule};
    use crate::schedule::{Level, Wave};

    fn instants(text: &str) -> Vec<u64> {
        let schedule: Schedule = text.parse().unwrap();
        HitInstants::new(&schedule, Randomness::None, 0, 1).collect()
    }

    #[test]
    fn a_constant_rate_is_exact_after_a_day() {
        let schedule: Schedule = "const(7777,1d)".parse().unwrap();
        let total = schedule.hits_before(schedule.duration_ns());
        assert_eq!(total, 7777 * 86_400);
        let last = HitInstants::new(&schedule, Randomness::None, total - 1, 1)
            .next()
            .unwrap();
        let exact = u128::from(total - 1) * 1_000_000_000 / 7777;
        assert!(u128::from(last).abs_diff(exact) <= 1, "{last} {exact}");
        assert_eq!(
            HitInstants::new(&schedule, Randomness::None, total, 1).next(),
            None
        );
    }

    #[test]
    fn the_integral_at_each_instant_is_the_number_of_the_hit() {
        for text in [
            "line(1,5000,30s)",
            "line(0,3,1d)",
            "line(5000,0,10s)",
            "line(900,0.5,2h)",
            "line(0.3,0.2,1h)",
        ] {
            let schedule: Schedule = text.parse().unwrap();
            let total = schedule.hits_before(schedule.duration_ns());
            for part in 0..1000 {
                let n = (total - 1) * part / 999;
                let instant = HitInstants::new(&schedule, Randomness::None, n, 1)
                    .next()
                    .unwrap();
                let piece = schedule.pieces()[0];
                let area = u128::from(n) * AREA_OF_HIT;
                // The instant is rounded down; allow 2 ns for the rounding of the square
                // root.
                assert!(
                    piece.area(instant.saturating_sub(1)) <= area,
                    "{text} {n} {instant}"
                );
                assert!(
                    piece.area((instant + 2).min(piece.duration_ns)) >= area,
                    "{text} {n} {instant}"
                );
            }
        }
    }

    #[test]
    fn loops_together_take_each_hit_once() {
        let text = "line(0,200,5s) const(0,1s) step(10,40,10,1s) line(50,0,3s) sine(40,40,3s,10s)";
        let all = instants(text);
        let schedule: Schedule = text.parse().unwrap();
        for randomness in [Randomness::None, Randomness::Poisson { seed: 3 }] {
            let all: Vec<_> = HitInstants::new(&schedule, randomness, 0, 1).collect();
            let mut parts: Vec<_> = (0..3)
                .flat_map(|k| HitInstants::new(&schedule, randomness, k, 3))
                .collect();
            parts.sort_unstable();
            assert_eq!(parts, all);
        }
        assert!(all.is_sorted());
        assert_eq!(
            all.len() as u64,
            schedule.hits_before(schedule.duration_ns())
        );
    }

    fn piece() -> impl Strategy<Value = Piece> {
        let level = || (0..2_000_000_000_u64).prop_map(Level);
        (level(), level(), any::<bool>(), 1..400_000_000_u64).prop_map(
            |(from, to, flat, duration_ns)| {
                let wave = Wave {
                    mean: from,
                    amplitude: to.min(from),
                    period_ns: duration_ns / 3 + 1,
                };
                let waving = Piece::wave(wave, duration_ns).filter(|_| from.0 % 3 == 0);
                waving.unwrap_or(Piece::line(from, if flat { from } else { to }, duration_ns))
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Three loops learn of each growth at different moments, but always before its
        /// instant, as event loops do.
        #[test]
        fn loops_together_take_each_hit_once_while_the_schedule_grows(
            first in prop::collection::vec(piece(), 1..4),
            growths in prop::collection::vec((0.0..1.0_f64, prop::collection::vec(piece(), 1..3)), 0..6),
            poisson in any::<bool>(),
            early in prop::collection::vec(0.0..1.0_f64, 18),
        ) {
            let randomness = match poisson {
                true => Randomness::Poisson { seed: 7 },
                false => Randomness::None,
            };
            let mut schedules = vec![(0, Schedule::new(first).unwrap())];
            for (part, pieces) in &growths {
                let (before_ns, last) = schedules.last().unwrap();
                let span_ns = last.duration_ns() - before_ns;
                let from_ns = before_ns + (span_ns as f64 * part) as u64;
                let grown = last.grown(from_ns, pieces).unwrap();
                schedules.push((from_ns, grown));
            }
            let whole = &schedules.last().unwrap().1;
            let all: Vec<_> = HitInstants::new(whole, randomness, 0, 1).collect();
            prop_assert!(all.is_sorted());
            if !poisson {
                prop_assert_eq!(all.len() as u64, whole.hits_before(whole.duration_ns()));
            }
            let mut together = Vec::new();
            for number in 0..3 {
                let mut instants = HitInstants::new(&schedules[0].1, randomness, number, 3);
                let mut early = early[number as usize * 6..].iter();
                for (from_ns, schedule) in &schedules[1..] {
                    // The loop takes hits before this instant without knowing of the
                    // growth.
                    let known_ns = (*from_ns as f64 * early.next().unwrap()) as u64;
                    while let Some(instant_ns) = instants.peek() && instant_ns < known_ns {
                        together.push(instant_ns);
                        instants.next();
                    }
                    instants.follow(schedule);
                }
                together.extend(instants);
            }
            together.sort_unstable();
            prop_assert_eq!(together, all);
        }
    }

    #[test]
    fn a_pause_belongs_to_nobody() {
        let seconds: Vec<_> = instants("const(1,1s) const(0,10s) const(1,1s)")
            .iter()
            .map(|ns| ns / 1_000_000_000)
            .collect();
        assert_eq!(seconds, [0, 11]);
    }

    /// Anderson-Darling against the exponential law with a known mean: the
    /// critical value at 1 % is 3.857 (Stephens 1974, case 0).
    #[test]
    fn poisson_gaps_are_exponential() {
        let schedule: Schedule = "const(1000,20s)".parse().unwrap();
        let all: Vec<_> =
            HitInstants::new(&schedule, Randomness::Poisson { seed: 42 }, 0, 1).collect();
        let mut gaps: Vec<_> = all
            .windows(2)
            .map(|pair| (pair[1] - pair[0]) as f64 * 1e-6)
            .collect();
        gaps.sort_by(f64::total_cmp);
        let count = gaps.len() as f64;
        let law = |gap: f64| (1.0 - (-gap).exp()).clamp(1e-15, 1.0 - 1e-15);
        let sum: f64 = (0..gaps.len())
            .map(|i| {
                (2 * i + 1) as f64
                    * (law(gaps[i]).ln() + (1.0 - law(gaps[gaps.len() - 1 - i])).ln())
            })
            .sum();
        let statistic = -count - sum / count;
        assert!(statistic < 3.857, "{statistic}");
        assert!((count - 20_000.0).abs() < 3.0 * 20_000_f64.sqrt());
    }
}
