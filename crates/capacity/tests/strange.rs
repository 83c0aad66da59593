//! Systems that don't follow the law: what is said of them, and what isn't.

#![allow(clippy::unwrap_used)] // a test that fails here says enough

use encarno_capacity::fit::Fit;
use encarno_capacity::levels::{LevelOutcome, Levels, Range, Top};
use encarno_capacity::usl::Usl;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// Peak: 1,360/s at 44 workers.
const USL: Usl = Usl {
    lambda: 100.0,
    sigma: 0.03,
    kappa: 0.0005,
};
const NOISE: f64 = 0.02;

/// Measures a system: what it answers to so many workers in the trial of that number,
/// with a random number from 0 to 1.
fn measured(seed: u64, system: impl Fn(u32, usize, f64) -> LevelOutcome) -> Levels {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut levels = Levels::new(Range {
        low: 1,
        high: 500,
        seed,
    });
    let mut number = 0;
    while let Some(workers) = levels.next() {
        let uniform = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        levels.observe(system(workers, number, uniform));
        number += 1;
        assert!(number < 100, "it never ends");
    }
    levels
}

/// A throughput with some noise.
fn throughput(value: f64, uniform: f64) -> LevelOutcome {
    LevelOutcome::Measured {
        // As wide as a normal one of that deviation.
        throughput: value * (1.0 + NOISE * 12_f64.sqrt() * (uniform - 0.5)),
        relative_error: NOISE,
        steady: true,
    }
}

fn refused(fit: &Fit) -> bool {
    !fit.refusals.is_empty()
}

/// How many of a hundred measurements say that.
fn often(says: impl Fn(u64) -> bool) -> usize {
    (0..100).filter(|&seed| says(seed)).count()
}

#[test]
fn a_system_that_drifts_or_leaks_is_told() {
    let steady = |seed| {
        measured(seed, |workers, _, u| {
            throughput(USL.throughput(workers.into()), u)
        })
    };
    let drifting = |seed| {
        measured(seed, |workers, number, u| {
            let slower = 1.0 - 0.012 * number as f64;
            throughput(slower * USL.throughput(workers.into()), u)
        })
    };
    // It costs nothing for a while, and then more and more.
    let leaking = |seed| {
        measured(seed, |workers, number, u| {
            let over = number.saturating_sub(8) as f64;
            throughput(
                USL.throughput(workers.into()) / (1.0 + 0.002 * over * over),
                u,
            )
        })
    };
    let tells = |levels: Levels| levels.drift().is_some_and(|drift| drift < -0.05);
    assert!(often(|seed| tells(drifting(seed))) >= 95);
    assert!(often(|seed| tells(leaking(seed))) >= 95);
    assert!(often(|seed| steady(seed).drift().is_some_and(|drift| drift.abs() > 0.05)) <= 2);
}

#[test]
fn a_cliff_is_no_peak() {
    // It scales up to 40 workers, and then a queue overflows.
    let cliff = |seed| {
        measured(seed, |workers, _, u| {
            let workers = f64::from(workers);
            let value = if workers <= 40.0 {
                100.0 * workers
            } else {
                900.0
            };
            throughput(value, u)
        })
    };
    assert!(often(|seed| cliff(seed).fit().is_ok_and(|fit| refused(&fit))) >= 95);
}

#[test]
fn two_modes_are_told_by_their_scatter() {
    let modes = |seed| {
        measured(seed, |workers, _, u| {
            // The trial's mode is random, and so is its noise.
            let slow = (u * 1000.0).fract() < 0.5;
            let part = if slow { 0.55 } else { 1.0 };
            throughput(part * USL.throughput(workers.into()), u)
        })
    };
    let fits = |seed| modes(seed).fit().ok();
    // Either the peak is refused, or its interval is as wide as the modes are apart.
    let honest = |fit: &Fit| {
        refused(fit)
            || fit.peak.is_some_and(|peak| {
                let width = (peak.throughput.high - peak.throughput.low) / peak.throughput.value;
                width > 0.1
            })
    };
    assert!(often(|seed| fits(seed).is_none_or(|fit| honest(&fit))) >= 95);
    assert!(often(|seed| fits(seed).is_none_or(|fit| fit.scatter > 3.0 * NOISE)) >= 95);
}

#[test]
fn errors_from_a_level_on_are_its_end() {
    for limit in [1, 2, 7, 20] {
        let levels = measured(3, |workers, _, u| match workers > limit {
            true => LevelOutcome::Errors,
            false => throughput(USL.throughput(workers.into()), u),
        });
        assert_eq!(levels.top(), Some(Top::Errors));
        let most = levels
            .points()
            .iter()
            .map(|point| point.workers as u32)
            .max();
        assert!(most.unwrap() <= limit);
        assert!(
            levels.fit().is_err() || refused(&levels.fit().unwrap()),
            "{limit}"
        );
    }
    let broken = measured(3, |_, _, _| LevelOutcome::Errors);
    assert!(broken.points().is_empty() && broken.fit().is_err());
}

#[test]
fn a_system_that_never_answers_has_no_curve() {
    let none = |steady| LevelOutcome::Measured {
        throughput: 0.0,
        relative_error: 0.0,
        steady,
    };
    for steady in [true, false] {
        let levels = measured(5, |_, _, _| none(steady));
        assert!(levels.fit().is_err(), "{:?}", levels.fit());
        assert!(levels.drift().is_none());
    }
    // From a level on: what was measured before it counts.
    let levels = measured(5, |workers, _, u| match workers > 20 {
        true => none(false),
        false => throughput(USL.throughput(workers.into()), u),
    });
    let fit = levels.fit();
    assert!(fit.as_ref().map_or(true, refused), "{fit:?}");
    assert!(fit.is_err() || fit.unwrap().lambda.value.is_finite());
}

#[test]
fn all_trials_thrown_away_end_it() {
    let levels = measured(5, |_, _, _| LevelOutcome::ThrownAway);
    assert!(levels.points().is_empty() && levels.fit().is_err());
}
