//! A level that follows a sine: its integral, and the inverse of the integral.
//!
//! Both are computed from the wave's lowest point, where its level may be 0 and a
//! difference of large numbers would have no digits left. From there on the integral is
//! `(mean − amplitude)·t + amplitude·(t − sin t)`, which is Kepler's equation with the
//! amplitude as the eccentricity.

use std::f64::consts::PI;

use super::Level;

/// A sine that begins at its mean and rises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wave {
    /// The mean level.
    pub mean: Level,
    /// The largest deviation from the mean; at most the mean.
    pub amplitude: Level,
    /// The time from one peak to the next.
    pub period_ns: u64,
}

impl Wave {
    /// The level after a time.
    pub(super) fn level_at(self, elapsed_ns: u64) -> Level {
        let part = (elapsed_ns % self.period_ns) as f64 / self.period_ns as f64;
        let swing = self.amplitude.0 as f64 * (2.0 * PI * part).sin();
        let level = self.mean.0 as i64 + swing.round() as i64;
        Level(u64::try_from(level).unwrap_or(0))
    }

    /// The integral of the level up to a time, in the unit of
    /// [`Piece::area`](super::Piece). It is exact after whole periods.
    pub(super) fn area(self, elapsed_ns: u64) -> u128 {
        let period = u128::from(self.period_ns);
        let quarters = 4 * u128::from(elapsed_ns) + period;
        self.area_from_trough(quarters)
            .saturating_sub(self.area_from_trough(period))
    }

    /// The time at which the integral reaches an area.
    pub(super) fn elapsed_ns(self, area: u128) -> u64 {
        let period = u128::from(self.period_ns);
        let area = area + self.area_from_trough(period);
        let of_half = self.area_of_half();
        let (periods, rest) = (area / (2 * of_half), area % (2 * of_half));
        // The falling half is the rising half in reverse.
        let rest_up = rest.min(2 * of_half - rest);
        let eccentricity = self.amplitude.0 as f64 / self.mean.0 as f64;
        let angle = eccentric_anomaly(PI * rest_up as f64 / of_half as f64, eccentricity);
        let period_ns = self.period_ns as f64;
        let up_ns = angle / (2.0 * PI) * period_ns;
        let offset_ns = match rest > of_half {
            true => 0.75 * period_ns - up_ns,
            false => up_ns - 0.25 * period_ns,
        };
        let elapsed_ns = (periods * period) as i128 + offset_ns.floor() as i128;
        u64::try_from(elapsed_ns.max(0)).unwrap_or(u64::MAX)
    }

    /// The integral of half a period, from the lowest point to the highest.
    fn area_of_half(self) -> u128 {
        u128::from(self.mean.0) * u128::from(self.period_ns)
    }

    /// The integral from the lowest point on, over a number of quarters of a ns. A
    /// quarter of a period is a whole number of them.
    fn area_from_trough(self, quarters: u128) -> u128 {
        let period = 4 * u128::from(self.period_ns);
        let of_half = self.area_of_half();
        let (periods, rest) = (quarters / period, quarters % period);
        let within = match rest > period / 2 {
            true => 2 * of_half - self.area_up(period - rest),
            false => self.area_up(rest),
        };
        periods * 2 * of_half + within
    }

    /// The same integral, within the first half of a period.
    fn area_up(self, quarters: u128) -> u128 {
        let always = u128::from(self.mean.0 - self.amplitude.0) * quarters / 2;
        let period = self.period_ns as f64;
        let angle = PI * quarters as f64 / (2.0 * period);
        let swing = self.amplitude.0 as f64 * period / PI * less_its_sine(angle);
        (always + swing as u128).min(self.area_of_half())
    }
}

/// `x − sin x`, from 0 to π, without the loss of digits near 0.
fn less_its_sine(x: f64) -> f64 {
    if x > 0.2 {
        return x - x.sin();
    }
    let square = x * x;
    let rest = 1.0 - square / 110.0;
    let rest = 1.0 - square / 72.0 * rest;
    let rest = 1.0 - square / 42.0 * rest;
    x * square / 6.0 * (1.0 - square / 20.0 * rest)
}

/// The root E of `E − e·sin E = mean`, from 0 to π, for e up to 1. The left side is
/// convex there: Newton's method converges from above.
fn eccentric_anomaly(mean: f64, e: f64) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    let bounds = [mean / (1.0 - e), mean + e, (6.0 * mean / e).cbrt()];
    let mut angle = bounds.into_iter().fold(PI, f64::min);
    for _ in 0..STEPS_MAX {
        let value = (1.0 - e) * angle + e * less_its_sine(angle) - mean;
        let half = (angle / 2.0).sin();
        let slope = (1.0 - e) + 2.0 * e * half * half;
        let next = (angle - value / slope).clamp(0.0, PI);
        let step = (next - angle).abs();
        angle = next;
        if step <= 1e-15 * angle {
            break;
        }
    }
    angle
}

/// Three to six steps suffice.
const STEPS_MAX: usize = 50;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Level, Wave, eccentric_anomaly};
    use crate::schedule::{AREA_OF_HIT, HitInstants, Randomness, Schedule};

    const S: u64 = 1_000_000_000;

    #[test]
    fn hits_of_a_sine_are_where_the_integral_says() {
        // 100 + 60·sin: up to t it is 100·t + 60·8/2π·(1 − cos(2π·t/8)).
        let schedule: Schedule = "sine(100,60,8s,20s)".parse().unwrap();
        let hits = |seconds: f64| {
            let turn = 2.0 * std::f64::consts::PI / 8.0;
            100.0 * seconds + 60.0 / turn * (1.0 - (turn * seconds).cos())
        };
        for seconds in [1, 2, 3, 4, 5, 6, 7, 9, 13, 19, 20] {
            let counted = schedule.hits_before(seconds * S);
            assert_eq!(counted, hits(seconds as f64).ceil() as u64, "{seconds}");
        }
        // Whole periods have the mean, exactly.
        assert_eq!(schedule.hits_before(8 * S), 800);
        assert_eq!(schedule.hits_before(16 * S), 1600);
        let all: Vec<_> = HitInstants::new(&schedule, Randomness::None, 0, 1).collect();
        assert_eq!(all.len() as u64, schedule.hits_before(20 * S));
        for (number, &instant_ns) in all.iter().enumerate() {
            let integral = hits(instant_ns as f64 * 1e-9);
            assert!(
                (integral - number as f64).abs() < 1e-6,
                "{number}: {integral}"
            );
        }
        let levels = [0, 2, 4, 6, 7].map(|at| schedule.level_at(at * S).0);
        assert_eq!(
            levels,
            [
                100_000_000,
                160_000_000,
                100_000_000,
                40_000_000,
                57_573_593
            ]
        );
        assert_eq!(schedule.level_max(), Level::whole(160));
    }

    #[test]
    fn a_sine_is_as_exact_after_a_year() {
        let schedule: Schedule = "sine(2000,2000,1d,365d)".parse().unwrap();
        assert_eq!(schedule.hits_before(u64::MAX), 365 * 86_400 * 2000);
        let wave = schedule.pieces()[0].wave.unwrap();
        for day in [0, 100, 364] {
            for part in 0..100 {
                let number = day * 86_400 * 2000 + part * 1_728_000;
                let mut instants = HitInstants::new(&schedule, Randomness::None, number, 1);
                let instant_ns = instants.next().unwrap();
                let area = u128::from(number) * AREA_OF_HIT;
                // A ten-thousandth of a hit is more than the rounding error, even where
                // the level is nearly 0.
                let off = wave.area(instant_ns).abs_diff(area);
                assert!(off < AREA_OF_HIT / 10_000, "{day} {part}: {off}");
            }
        }
    }

    #[test]
    fn keplers_equation_is_solved() {
        // Meeus, Astronomical Algorithms, chapter 30: e = 0.1, M = 5°.
        let root = eccentric_anomaly(5_f64.to_radians(), 0.1).to_degrees();
        assert!((root - 5.554_589).abs() < 1e-6, "{root}");
        for e in [1e-6, 0.3, 0.99, 1.0 - 1e-12, 1.0] {
            for exponent in -30..=1 {
                let mean = 10_f64.powi(exponent).min(std::f64::consts::PI);
                let root = eccentric_anomaly(mean, e);
                let back = (1.0 - e) * root + e * super::less_its_sine(root);
                assert!((back / mean - 1.0).abs() < 1e-13, "{e} {mean}: {root}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn the_integral_rises_and_its_inverse_leads_back(
            mean in 1..5_000_000_000_u64,
            part in 0.0..=1.0_f64,
            period_ns in 1_000..100_000_000_000_u64,
            periods in 0.0..20.0_f64,
        ) {
            let amplitude = Level(((mean as f64 * part) as u64).max(1));
            let wave = Wave { mean: Level(mean), amplitude, period_ns };
            let at_ns = (period_ns as f64 * periods) as u64;
            let (area, next) = (wave.area(at_ns), wave.area(at_ns + period_ns / 100));
            prop_assert!(area <= next);
            let back_ns = wave.elapsed_ns(area);
            let off = wave.area(back_ns).abs_diff(area);
            let of_ns = 2 * u128::from(wave.level_at(at_ns).0.max(wave.level_at(back_ns).0));
            prop_assert!(
                off <= 2 * of_ns + wave.area(period_ns) / 1_000_000_000_000 + 4,
                "{} {}: {}", at_ns, back_ns, off
            );
        }
    }
}
