//! All trials up to now, the next trial, and the result. The same trials always give the
//! same result, whether they were just made or come from a file.

use encarno_capacity::band::Band;
use encarno_capacity::fit::{Fit, FitError};
use encarno_capacity::goal::{self, GoalCondition};
use encarno_capacity::levels::{LevelOutcome, Levels, Range, Top};
use encarno_capacity::search::{self, Bracket, Search};
use encarno_capacity::users;

use super::Settings;
use super::trial::{Trial, TrialLoad, Verdict};

/// The most trials for a goal.
const GOAL_TRIALS_MAX: usize = 12;
/// A trial of the goal may take this many times as long as a trial of the curve.
const GOAL_TRIAL_FACTOR: f64 = 4.0;

/// The number of hits for each hit that may be bad. If −ln [`goal::RISK`] times as many
/// hits have no bad one, the share of bad hits is within the limit.
const HITS_BY_RARITY: f64 = 7.0;
/// The longest trial, however rare the hits are that it waits for.
const GOAL_TRIAL_SECONDS_MAX: f64 = 600.0;

/// The findings up to now.
#[derive(Clone, Debug)]
pub struct Findings {
    settings: Settings,
    levels: Levels,
    search: Option<Search>,
    trials: Vec<Trial>,
    given_up: Option<String>,
    /// The lowest rate that the generator couldn't make.
    generator_rate: Option<f64>,
}

/// The next measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// A closed load with this number of workers.
    Workers(u32),
    /// A rate that may keep the goal.
    Rate(search::Plan),
    /// This number of virtual users of k6, which may keep its thresholds.
    Users(u32),
}

impl Findings {
    /// Findings without trials.
    pub fn new(settings: Settings) -> Self {
        let levels = Levels::new(Range {
            low: *settings.workers.start(),
            high: *settings.workers.end(),
            seed: settings.seed,
        });
        Self {
            settings,
            levels,
            search: None,
            trials: Vec::new(),
            given_up: None,
            generator_rate: None,
        }
    }

    /// The next measurement; `None` if the measurement is complete.
    pub fn next(&self) -> Option<Next> {
        if self.given_up.is_some() {
            return None;
        }
        match (self.levels.next(), &self.search) {
            (Some(workers), _) => Some(Next::Workers(workers)),
            (None, Some(search)) => search.next().map(|plan| Next::Rate(self.long_enough(plan))),
            (None, None) => self.next_users().map(Next::Users),
        }
    }

    /// For each trial of k6, the number of users and whether all thresholds were met.
    fn of_thresholds(&self) -> Vec<(u32, bool)> {
        let judged = self
            .trials
            .iter()
            .filter(|trial| !trial.thresholds.is_empty());
        let of_trial = |trial: &Trial| match trial.load {
            TrialLoad::Workers(users) | TrialLoad::Users(users) => {
                Some((users, trial.thresholds.iter().all(|one| one.met)))
            }
            TrialLoad::Rate(_) => None,
        };
        judged.filter_map(of_trial).collect()
    }

    fn next_users(&self) -> Option<u32> {
        let known = self.of_thresholds();
        let tried = self.trials.iter();
        let tried = tried.filter(|trial| matches!(trial.load, TrialLoad::Users(_)));
        if known.is_empty() || tried.count() >= GOAL_TRIALS_MAX {
            return None;
        }
        let search = users::Search {
            low: *self.settings.workers.start(),
            high: *self.settings.workers.end(),
            width: self.settings.within,
        };
        search.next(&known)
    }

    /// Adds the result of the trial that [`Findings::next`] asked for.
    pub fn observe(&mut self, trial: Trial) {
        match trial.load {
            TrialLoad::Workers(_) => {
                self.levels.observe(outcome(&trial));
                if self.levels.next().is_none() {
                    self.search = self.first_search();
                }
            }
            TrialLoad::Users(_) => {}
            TrialLoad::Rate(rate) => {
                if let Some(search) = &mut self.search {
                    match trial.verdict {
                        Verdict::GeneratorLimit => {
                            search.limit();
                            self.generator_rate = Some(rate);
                        }
                        Verdict::Holds => search.observe(goal::GoalVerdict::Holds),
                        Verdict::Fails => search.observe(goal::GoalVerdict::Fails),
                        _ => search.observe(goal::GoalVerdict::Undecided),
                    }
                }
            }
        }
        self.trials.push(trial);
    }

    /// Ends the measurement early, for this reason.
    pub fn give_up(&mut self, reason: String) {
        self.given_up.get_or_insert(reason);
    }

    /// Makes the trial long enough to show a rare failure.
    fn long_enough(&self, plan: search::Plan) -> search::Plan {
        let conditions = self.settings.goal.iter().flat_map(|goal| &goal.conditions);
        let rarest = conditions.map(GoalCondition::allowed).fold(1.0, f64::min);
        let seconds = (HITS_BY_RARITY / rarest / plan.rate).min(GOAL_TRIAL_SECONDS_MAX);
        search::Plan {
            seconds_min: plan.seconds_min.max(seconds),
            seconds_max: plan.seconds_max.max(2.0 * seconds),
            ..plan
        }
    }

    fn first_search(&self) -> Option<Search> {
        self.settings.goal.as_ref()?;
        let (_, highest) = self.highest()?;
        let fitted = self.fit().ok().filter(|fit| fit.refusals.is_empty());
        let peak = fitted.and_then(|fit| fit.peak);
        let seconds_max = self.settings.trial_max.as_secs_f64() * GOAL_TRIAL_FACTOR;
        // Above the rate that the generator made, nothing is known.
        let made = (self.levels.top() == Some(Top::GeneratorLimit)).then_some(highest);
        let calibrated = self.settings.generator_max;
        Some(Search::new(search::Settings {
            peak: peak.map_or(highest, |peak| peak.throughput.value),
            rate_max: made.into_iter().chain(calibrated).fold(1e9, f64::min),
            width: self.settings.within,
            trials_max: GOAL_TRIALS_MAX,
            // Ten batches, each long enough for a quantile.
            seconds_min: (2.5 * self.settings.trial_min.as_secs_f64()).min(seconds_max),
            seconds_max,
        }))
    }

    /// Ends the measurement. If something is left to measure, it counts as stopped.
    pub fn end(&mut self) {
        if self.next().is_some() {
            self.give_up("it was stopped before its last trial".to_owned());
        }
    }

    /// The settings of the measurement.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// All trials, in order.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The law fitted to all trials with a number of workers.
    pub fn fit(&self) -> Result<Fit, FitError> {
        self.levels.fit()
    }

    /// The band in which the fitted curve lies; `None` without a fit.
    pub fn band(&self) -> Option<Band> {
        let fit = self.fit().ok()?;
        Some(Band::of(&self.levels.points(), &fit))
    }

    /// The highest measured throughput, with its number of workers.
    pub fn highest(&self) -> Option<(u32, f64)> {
        let points = self.levels.points();
        let best = points
            .iter()
            .max_by(|a, b| a.throughput.total_cmp(&b.throughput));
        best.map(|point| (point.workers as u32, point.throughput))
    }

    /// The reason why no more workers were tried.
    pub fn top(&self) -> Option<Top> {
        self.levels.top()
    }

    /// How far the system's throughput moved during the measurement; `None` if that may
    /// be chance.
    pub fn drift(&self) -> Option<f64> {
        self.levels.drift()
    }

    /// The result of the search for the goal; `None` if there was no search.
    pub fn bracket(&self) -> Option<Bracket> {
        if self.settings.k6 {
            return match users::Search::bounds(&self.of_thresholds()) {
                (Some(holds), Some(fails)) => Some(Bracket::Between {
                    holds: holds.into(),
                    fails: fails.into(),
                }),
                (Some(holds), None) => Some(Bracket::HoldsAt(holds.into())),
                (None, Some(fails)) => Some(Bracket::FailsAt(fails.into())),
                (None, None) => None,
            };
        }
        self.search.as_ref()?.bracket()
    }

    /// The goal as it was written; `None` if there is none.
    pub fn goal_text(&self) -> Option<String> {
        if let Some(goal) = &self.settings.goal {
            return Some(goal.to_string());
        }
        let mut judged = self
            .trials
            .iter()
            .filter(|trial| !trial.thresholds.is_empty());
        let thresholds = judged.next()?.thresholds.iter();
        let names: Vec<_> = thresholds.map(|one| &*one.name).collect();
        Some(names.join(", "))
    }

    /// The rate that the generator couldn't make in the search for the goal.
    pub fn generator_rate(&self) -> Option<f64> {
        self.generator_rate
    }

    /// Why the measurement ended early.
    pub fn given_up(&self) -> Option<&str> {
        self.given_up.as_deref()
    }
}

fn outcome(trial: &Trial) -> LevelOutcome {
    match trial.verdict {
        Verdict::Errors => LevelOutcome::Errors,
        Verdict::GeneratorLimit => LevelOutcome::GeneratorLimit,
        Verdict::ThrownAway => LevelOutcome::ThrownAway,
        verdict => LevelOutcome::Measured {
            throughput: trial.throughput,
            relative_error: trial.relative_error,
            steady: verdict == Verdict::Steady,
        },
    }
}
