//! The highest rate that keeps a goal.
//!
//! The search keeps two bounds, like MLRsearch (RFC 9971): the highest rate that was
//! shown to keep the goal, and the lowest rate that wasn't. Smaller loads come first,
//! because the effects of an overload last for some time. If a rate fails below one that
//! held, the failure counts.

use crate::goal::GoalVerdict;

/// The settings of a search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The highest known throughput, hits/s.
    pub peak: f64,
    /// The highest rate that is tried, hits/s.
    pub rate_max: f64,
    /// The final distance of the bounds, as a part of the lower one.
    pub width: f64,
    /// The most trials.
    pub trials_max: usize,
    /// The shortest trial, s.
    pub seconds_min: f64,
    /// The longest trial, s.
    pub seconds_max: f64,
}

/// The next trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Hits per second, as a Poisson process.
    pub rate: f64,
    /// The time of the first judgement, s; the next ones come after each doubling.
    pub seconds_min: f64,
    /// The time after which the trial is undecided, s.
    pub seconds_max: f64,
}

/// A trial that was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateTrial {
    /// Hits per second.
    pub rate: f64,
    /// Its verdict.
    pub verdict: GoalVerdict,
}

/// The result of the search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bracket {
    /// The goal holds at one rate, and was not shown to hold at the other.
    Between {
        /// The rate at which it holds.
        holds: f64,
        /// The rate at which it wasn't shown to hold.
        fails: f64,
    },
    /// It holds at the highest allowed rate.
    HoldsAt(f64),
    /// It wasn't shown to hold at the lowest rate that was tried.
    FailsAt(f64),
}

/// The state of the search.
#[derive(Clone, Debug)]
pub struct Search {
    settings: Settings,
    trials: Vec<RateTrial>,
}

/// The first rate, as a part of the peak.
const START: f64 = 0.5;
/// The factor by which the rate grows while nothing fails.
const GROWTH: f64 = std::f64::consts::SQRT_2;
/// The part of the peak below which the search ends.
const PART_MIN: f64 = 1.0 / 1024.0;
/// The number of relaxation times of a trial.
const RELAXATIONS: f64 = 200.0;

impl Search {
    /// A search without trials.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            trials: Vec::new(),
        }
    }

    /// The bounds: the rate that holds, and the rate that fails.
    fn bounds(&self) -> (Option<f64>, Option<f64>) {
        let failed = self
            .trials
            .iter()
            .filter(|trial| trial.verdict != GoalVerdict::Holds);
        let fails = failed.map(|trial| trial.rate).min_by(f64::total_cmp);
        let below = |rate: f64| fails.is_none_or(|fails| rate < fails);
        let held = self
            .trials
            .iter()
            .filter(|trial| trial.verdict == GoalVerdict::Holds);
        let holds = held.map(|trial| trial.rate).filter(|&rate| below(rate));
        (holds.max_by(f64::total_cmp), fails)
    }

    /// The next trial; `None` when the search is over.
    pub fn next(&self) -> Option<Plan> {
        let Settings {
            peak,
            rate_max,
            width,
            trials_max,
            ..
        } = self.settings;
        if self.trials.len() >= trials_max {
            return None;
        }
        let rate = match self.bounds() {
            (None, None) if rate_max < PART_MIN * peak => return None,
            (None, None) => (START * peak).min(rate_max),
            (Some(holds), None) if holds >= rate_max => return None,
            (Some(holds), None) => (holds * GROWTH).min(rate_max),
            (None, Some(fails)) if fails < PART_MIN * peak => return None,
            (None, Some(fails)) => fails / 2.0,
            (Some(holds), Some(fails)) if fails <= holds * (1.0 + width) => return None,
            (Some(holds), Some(fails)) => (holds * fails).sqrt(),
        };
        Some(self.plan(rate))
    }

    /// A queue forgets its past within 1/(√μ−√a)² s (the relaxation time of M/M/1), and a
    /// trial must be much longer than that.
    fn plan(&self, rate: f64) -> Plan {
        let Settings {
            peak,
            seconds_min,
            seconds_max,
            ..
        } = self.settings;
        let distance = (peak.sqrt() - rate.sqrt()).max(0.0);
        let seconds = RELAXATIONS / (distance * distance);
        Plan {
            rate,
            seconds_min: seconds.clamp(seconds_min, seconds_max),
            seconds_max,
        }
    }

    /// Takes the verdict of the trial of [`Search::next`].
    pub fn observe(&mut self, verdict: GoalVerdict) {
        if let Some(plan) = self.next() {
            self.trials.push(RateTrial {
                rate: plan.rate,
                verdict,
            });
        }
    }

    /// Notes that the generator couldn't make the rate of [`Search::next`]. No rate near
    /// it or above is tried any more, and nothing is known about the system there.
    pub fn limit(&mut self) {
        if let Some(plan) = self.next() {
            let settings = &mut self.settings;
            settings.rate_max = plan.rate / (1.0 + settings.width);
        }
    }

    /// All trials, in the order in which they were made.
    pub fn trials(&self) -> &[RateTrial] {
        &self.trials
    }

    /// The present result; `None` before the first trial.
    pub fn bracket(&self) -> Option<Bracket> {
        match self.bounds() {
            (Some(holds), Some(fails)) => Some(Bracket::Between { holds, fails }),
            (Some(holds), None) => Some(Bracket::HoldsAt(holds)),
            (None, Some(fails)) => Some(Bracket::FailsAt(fails)),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Bracket, Search, Settings};
    use crate::goal::GoalVerdict;

    const SETTINGS: Settings = Settings {
        peak: 1000.0,
        rate_max: 1e6,
        width: 0.05,
        trials_max: 12,
        seconds_min: 5.0,
        seconds_max: 60.0,
    };

    fn run(settings: Settings, system: impl Fn(f64, usize) -> GoalVerdict) -> Search {
        let mut search = Search::new(settings);
        while let Some(plan) = search.next() {
            search.observe(system(plan.rate, search.trials().len()));
        }
        search
    }

    fn limit_at(limit: f64) -> impl Fn(f64, usize) -> GoalVerdict {
        move |rate, _| {
            if rate <= limit {
                GoalVerdict::Holds
            } else {
                GoalVerdict::Fails
            }
        }
    }

    #[test]
    fn a_limit_is_bracketed() {
        for limit in [907.9, 501.0, 499.0, 30.0, 3.0, 1400.0] {
            let search = run(SETTINGS, limit_at(limit));
            let Some(Bracket::Between { holds, fails }) = search.bracket() else {
                panic!("{limit}: {:?}", search.bracket());
            };
            assert!(holds <= limit && limit < fails, "{limit}: {holds} {fails}");
            let trials = search.trials().len();
            assert!(
                fails <= holds * 1.05 || trials == 12,
                "{limit}: {holds} {fails} {trials}"
            );
        }
        assert!(run(SETTINGS, limit_at(907.9)).trials().len() <= 7);
    }

    #[test]
    fn bounds_that_are_never_reached() {
        let always = run(
            Settings {
                rate_max: 700.0,
                ..SETTINGS
            },
            limit_at(1e9),
        );
        assert_eq!(always.bracket(), Some(Bracket::HoldsAt(700.0)));
        let never = run(SETTINGS, limit_at(0.0));
        assert!(matches!(never.bracket(), Some(Bracket::FailsAt(rate)) if rate < 1.0));
    }

    #[test]
    fn what_the_generator_cant_make_is_no_bound() {
        let mut search = Search::new(SETTINGS);
        let mut tries = 0;
        while let Some(plan) = search.next() {
            tries += 1;
            match plan.rate {
                ..800.0 => search.observe(GoalVerdict::Holds),
                _ => search.limit(),
            }
        }
        let Some(Bracket::HoldsAt(rate)) = search.bracket() else {
            panic!("{:?}", search.bracket());
        };
        assert!(
            (700.0..800.0).contains(&rate) && tries < 12,
            "{rate} {tries}"
        );
    }

    #[test]
    fn under_inversion_the_failure_counts() {
        // It fails once at 500, then holds at all lower rates.
        let search = run(SETTINGS, |rate, made| match made {
            1 => GoalVerdict::Fails,
            _ if rate < 2000.0 => GoalVerdict::Holds,
            _ => GoalVerdict::Fails,
        });
        let second = search.trials()[1].rate;
        let Some(Bracket::Between { holds, fails }) = search.bracket() else {
            panic!("{:?}", search.bracket());
        };
        assert!(holds < second && fails == second);
    }

    #[test]
    fn trials_near_the_peak_are_longer() {
        let mut search = Search::new(SETTINGS);
        let first = search.next().expect("a first one");
        assert_eq!((first.rate, first.seconds_min), (500.0, 5.0));
        for _ in 0..2 {
            search.observe(GoalVerdict::Holds);
        }
        let third = search.next().expect("a third one");
        assert!(
            third.seconds_min > 5.0 && third.seconds_max == 60.0,
            "{third:?}"
        );
    }
}
