//! The numbers of workers to measure, one trial after the other.
//!
//! First the number doubles, until throughput falls or another limit is reached. Then
//! levels around the likely peak are measured several times, in random order, so that
//! drift of the system doesn't look like a curve. Every fourth of these trials repeats
//! one level, the anchor: if its throughput moves, the system drifts.

use std::collections::VecDeque;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use crate::fit::{Fit, FitError, Point, fit};
use crate::random::shuffle;
use crate::student::t_tail;

/// The range of measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The smallest number of workers; at least 1.
    pub low: u32,
    /// The largest number of workers.
    pub high: u32,
    /// The seed for the order of the trials.
    pub seed: u64,
}

/// The result of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum LevelOutcome {
    /// A throughput, per second.
    Measured {
        /// X.
        throughput: f64,
        /// Its standard error, as a part of it.
        relative_error: f64,
        /// Whether the trial had settled.
        steady: bool,
    },
    /// Too many hits failed for the throughput to mean anything.
    Errors,
    /// The generator was the limit, so the result isn't about the system.
    GeneratorLimit,
    /// The trial contradicts itself and doesn't count.
    ThrownAway,
}

/// A trial that was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LevelTrial {
    /// N.
    pub workers: u32,
    /// What it showed.
    pub outcome: LevelOutcome,
}

/// Why no more workers were tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Top {
    /// Throughput fell twice.
    Falls,
    /// The largest number of workers was reached.
    Bound,
    /// The system answered with errors.
    Errors,
    /// The generator couldn't make more.
    GeneratorLimit,
}

/// The state of the measurement.
#[derive(Clone, Debug)]
pub struct Levels {
    range: Range,
    trials: Vec<LevelTrial>,
    phase: Phase,
    /// Levels from this number on aren't measured any more.
    end: u32,
    top: Option<Top>,
    anchor: Option<u32>,
}

#[derive(Clone, Debug)]
enum Phase {
    Climb {
        next: u32,
        falls: u32,
    },
    /// The levels that are left to measure.
    Plan(VecDeque<u32>),
}

/// Throughput has fallen if it is lower by this many standard errors.
const FALL_ERRORS: f64 = 3.0;
const FALLS: u32 = 2;
/// The number of levels around the peak.
const LEVELS: u32 = 6;
/// How often each of them is measured.
const REPLICATES: usize = 3;
/// The anchor is measured once in this number of trials.
const ANCHOR_EVERY: usize = 4;
/// How often a trial that was thrown away is repeated.
const REPEATS_MAX: usize = 2;
/// Below this probability, the change of the anchor's throughput isn't chance.
const DRIFT_P: f64 = 0.01;

impl Levels {
    /// No measurements yet.
    pub fn new(range: Range) -> Self {
        let low = range.low.max(1);
        let range = Range {
            low,
            high: range.high.max(low),
            ..range
        };
        Self {
            range,
            trials: Vec::new(),
            phase: Phase::Climb {
                next: low,
                falls: 0,
            },
            end: range.high.saturating_add(1),
            top: None,
            anchor: None,
        }
    }

    /// The number of workers of the next trial; `None` when all trials were made.
    pub fn next(&self) -> Option<u32> {
        match &self.phase {
            Phase::Climb { next, .. } => Some(*next),
            Phase::Plan(plan) => plan.front().copied(),
        }
    }

    /// Takes the result of the trial of [`Levels::next`].
    pub fn observe(&mut self, outcome: LevelOutcome) {
        let Some(workers) = self.next() else {
            return;
        };
        self.trials.push(LevelTrial { workers, outcome });
        if outcome == LevelOutcome::ThrownAway {
            let same = |trial: &&LevelTrial| trial.workers == workers && trial.outcome == outcome;
            if self.trials.iter().filter(same).count() <= REPEATS_MAX {
                return;
            }
        }
        if matches!(outcome, LevelOutcome::Errors | LevelOutcome::GeneratorLimit) {
            self.end = self.end.min(workers);
        }
        match &mut self.phase {
            Phase::Climb { .. } => self.climb(workers, outcome),
            Phase::Plan(plan) => {
                plan.pop_front();
                let end = self.end;
                plan.retain(|&workers| workers < end);
            }
        }
    }

    fn climb(&mut self, workers: u32, outcome: LevelOutcome) {
        let Phase::Climb { falls, .. } = self.phase else {
            return;
        };
        let mut falls = falls;
        if let LevelOutcome::Measured {
            throughput,
            relative_error,
            ..
        } = outcome
        {
            let best = self.points();
            let best = best
                .iter()
                .max_by(|a, b| a.throughput.total_cmp(&b.throughput));
            let fell = best.is_some_and(|best| {
                let error =
                    (best.throughput * best.relative_error).hypot(throughput * relative_error);
                throughput < best.throughput - FALL_ERRORS * error
            });
            falls = if fell { falls + 1 } else { 0 };
        }
        let top = match outcome {
            LevelOutcome::Errors => Some(Top::Errors),
            LevelOutcome::GeneratorLimit => Some(Top::GeneratorLimit),
            _ if falls >= FALLS => Some(Top::Falls),
            _ if workers >= self.range.high => Some(Top::Bound),
            _ => None,
        };
        match top {
            None => {
                let next = workers.saturating_mul(2).min(self.range.high);
                self.phase = Phase::Climb { next, falls };
            }
            Some(top) => {
                self.top = Some(top);
                self.phase = Phase::Plan(self.plan());
            }
        }
    }

    /// Levels over [0.5, 2] of the likely peak, within the range.
    fn plan(&mut self) -> VecDeque<u32> {
        let points = self.points();
        let best = points
            .iter()
            .max_by(|a, b| a.throughput.total_cmp(&b.throughput));
        let Some(best) = best else {
            return VecDeque::new();
        };
        let fitted = fit(&points).ok().and_then(|fit| fit.usl.peak());
        let highest = f64::from(self.end - 1);
        let peak = fitted
            .map_or(best.workers, |peak| peak.workers)
            .clamp(1.0, highest);
        let (from, to) = (
            (peak / 2.0).max(f64::from(self.range.low)),
            (peak * 2.0).min(highest),
        );
        let mut levels: Vec<u32> = (0..LEVELS)
            .map(|step| {
                let part = f64::from(step) / f64::from(LEVELS - 1);
                (from * (to / from).max(1.0).powf(part)).round() as u32
            })
            .collect();
        levels.dedup();
        let anchor = levels.iter().copied().min_by(|a, b| {
            (f64::from(*a) - peak)
                .abs()
                .total_cmp(&(f64::from(*b) - peak).abs())
        });
        self.anchor = anchor;
        let mut order = levels.repeat(REPLICATES);
        shuffle(
            &mut order,
            &mut Xoshiro256PlusPlus::seed_from_u64(self.range.seed),
        );
        let mut plan = VecDeque::new();
        for (index, level) in order.into_iter().enumerate() {
            if index % (ANCHOR_EVERY - 1) == 0 {
                plan.extend(anchor);
            }
            plan.push_back(level);
        }
        plan
    }

    /// All trials, in the order in which they were made.
    pub fn trials(&self) -> &[LevelTrial] {
        &self.trials
    }

    /// The trials to which a curve can be fitted.
    pub fn points(&self) -> Vec<Point> {
        let point = |trial: &LevelTrial| match trial.outcome {
            LevelOutcome::Measured {
                throughput,
                relative_error,
                ..
            } if throughput > 0.0 => Some(Point {
                workers: f64::from(trial.workers),
                throughput,
                relative_error,
            }),
            _ => None,
        };
        self.trials.iter().filter_map(point).collect()
    }

    /// The law fitted to all trials.
    pub fn fit(&self) -> Result<Fit, FitError> {
        fit(&self.points())
    }

    /// Why no more workers were tried; `None` while the number still grows.
    pub fn top(&self) -> Option<Top> {
        self.top
    }

    /// The change of the anchor's throughput from its first trial to its last, as a part
    /// of it; `None` if it may be chance.
    pub fn drift(&self) -> Option<f64> {
        let anchor = self.anchor?;
        let logs: Vec<(f64, f64)> = self
            .trials
            .iter()
            .enumerate()
            .filter_map(|(index, trial)| match trial.outcome {
                LevelOutcome::Measured { throughput, .. }
                    if trial.workers == anchor && throughput > 0.0 =>
                {
                    Some((index as f64, throughput.ln()))
                }
                _ => None,
            })
            .collect();
        let count = logs.len() as f64;
        if logs.len() < 4 {
            return None;
        }
        let mean = |pick: fn(&(f64, f64)) -> f64| logs.iter().map(pick).sum::<f64>() / count;
        let (mean_index, mean_log) = (mean(|log| log.0), mean(|log| log.1));
        let square: f64 = logs
            .iter()
            .map(|(index, _)| (index - mean_index).powi(2))
            .sum();
        let product: f64 = logs
            .iter()
            .map(|(index, log)| (index - mean_index) * (log - mean_log))
            .sum();
        let slope = product / square;
        let rest: f64 = logs
            .iter()
            .map(|(index, log)| (log - mean_log - slope * (index - mean_index)).powi(2))
            .sum();
        let free = logs.len() - 2;
        let error = (rest / free as f64 / square).sqrt();
        let p = t_tail(slope / error.max(f64::MIN_POSITIVE), free);
        let span = logs.last().map_or(0.0, |last| last.0) - logs[0].0;
        (p < DRIFT_P).then(|| (slope * span).exp() - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{LevelOutcome, Levels, Range, Top};
    use crate::usl::Usl;

    const USL: Usl = Usl {
        lambda: 1003.0,
        sigma: 0.031,
        kappa: 4.9e-4,
    };

    fn range(high: u32) -> Range {
        Range {
            low: 1,
            high,
            seed: 7,
        }
    }

    fn run(mut levels: Levels, mut system: impl FnMut(u32, usize) -> LevelOutcome) -> Levels {
        while let Some(workers) = levels.next() {
            let made = levels.trials().len();
            assert!(made < 100, "it doesn't end");
            levels.observe(system(workers, made));
        }
        levels
    }

    fn measured(throughput: f64) -> LevelOutcome {
        LevelOutcome::Measured {
            throughput,
            relative_error: 0.01,
            steady: true,
        }
    }

    #[test]
    fn the_climb_ends_past_the_peak() {
        let levels = run(Levels::new(range(2000)), |n, _| {
            measured(USL.throughput(n.into()))
        });
        assert_eq!(levels.top(), Some(Top::Falls));
        let largest = levels.trials().iter().map(|trial| trial.workers).max();
        assert!(largest <= Some(256), "{largest:?}");
        let fit = levels.fit().expect("enough trials");
        assert!((fit.usl.kappa - 4.9e-4).abs() < 1e-7 && fit.refusals.is_empty());
        assert_eq!(levels.drift(), None);
    }

    #[test]
    fn a_bound_ends_it_and_the_peak_is_refused() {
        let levels = run(Levels::new(range(10)), |n, _| {
            measured(USL.throughput(n.into()))
        });
        assert_eq!(levels.top(), Some(Top::Bound));
        assert!(levels.trials().iter().all(|trial| trial.workers <= 10));
        assert!(!levels.fit().expect("enough trials").refusals.is_empty());
    }

    #[test]
    fn nothing_is_measured_where_the_generator_or_the_system_gave_up() {
        for (outcome, top) in [
            (LevelOutcome::Errors, Top::Errors),
            (LevelOutcome::GeneratorLimit, Top::GeneratorLimit),
        ] {
            let levels = run(Levels::new(range(2000)), |n, _| {
                if n >= 30 {
                    outcome
                } else {
                    measured(USL.throughput(n.into()))
                }
            });
            assert_eq!(levels.top(), Some(top));
            let beyond = levels.trials().iter().filter(|trial| trial.workers >= 30);
            assert!(beyond.count() <= 3, "it went on beyond the limit");
        }
    }

    #[test]
    fn a_trial_that_is_thrown_away_is_made_again_but_not_for_ever() {
        let levels = run(Levels::new(range(8)), |_, _| LevelOutcome::ThrownAway);
        assert!(levels.points().is_empty());
        assert!(levels.fit().is_err());
    }

    #[test]
    fn a_system_that_gets_slower_is_told() {
        let levels = run(Levels::new(range(2000)), |n, made| {
            measured(USL.throughput(n.into()) * (1.0 - 0.01 * made as f64))
        });
        let drift = levels.drift().expect("it drifts");
        assert!(drift < -0.1, "{drift}");
    }
}
