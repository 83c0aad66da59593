//! All trials up to now: what to measure next, and what they say together. The
//! same trials always say the same, whether they were just made or come from a
//! file.

use encarno_capacity::band::Band;
use encarno_capacity::fit::{Fit, FitError};
use encarno_capacity::goal::{self, GoalCondition};
use encarno_capacity::levels::{LevelOutcome, Levels, Range, Top};
use encarno_capacity::search::{self, Bracket, Search};
use encarno_capacity::users;

use super::Settings;
use super::trial::{Trial, TrialLoad, Verdict};

/// A goal takes at most so many trials.
const GOAL_TRIALS_MAX: usize = 12;
/// A trial of the goal may take so many times as long as one of the curve.
const GOAL_TRIAL_FACTOR: f64 = 4.0;

/// So many hits for each that may be bad: without a bad one among them, −ln
/// [`goal::RISK`] of them show that no more than that part is.
const HITS_BY_RARITY: f64 = 7.0;
/// Longer than that nobody waits for a rare hit.
const GOAL_TRIAL_SECONDS_MAX: f64 = 600.0;

/// What was found up to now.
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

/// What is measured next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// So many workers.
    Workers(u32),
    /// A rate that may keep the goal.
    Rate(search::Plan),
    /// So many virtual users of k6, which may keep its thresholds.
    Users(u32),
}

impl Findings {
    /// Nothing was measured yet.
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

    /// What is measured next; none if nothing is.
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

    /// What every trial of k6 says of its thresholds: workers, and whether all were met.
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

    /// Takes what the trial of [`Findings::next`] showed.
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

    /// Nothing more is measured, for that reason.
    pub fn give_up(&mut self, reason: String) {
        self.given_up.get_or_insert(reason);
    }

    /// Few hits can't tell of a rare failure: a trial is so long that it could.
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
        // Where the generator gave up nothing more is known of it than what it made.
        let made = (self.levels.top() == Some(Top::GeneratorLimit)).then_some(highest);
        let calibrated = self.settings.generator_max;
        Some(Search::new(search::Settings {
            peak: peak.map_or(highest, |peak| peak.throughput.value),
            rate_max: made.into_iter().chain(calibrated).fold(1e9, f64::min),
            width: self.settings.within,
            trials_max: GOAL_TRIALS_MAX,
            // Ten batches, of which each tells of a quantile.
            seconds_min: (2.5 * self.settings.trial_min.as_secs_f64()).min(seconds_max),
            seconds_max,
        }))
    }

    /// Nothing more will come: if something is left to measure, it was stopped.
    pub fn end(&mut self) {
        if self.next().is_some() {
            self.give_up("it was stopped before its last trial".to_owned());
        }
    }

    /// What was asked for.
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

    /// Between what the fitted curve lies; none without one.
    pub fn band(&self) -> Option<Band> {
        let fit = self.fit().ok()?;
        Some(Band::of(&self.levels.points(), &fit))
    }

    /// The highest throughput that was measured, with the number of workers.
    pub fn highest(&self) -> Option<(u32, f64)> {
        let points = self.levels.points();
        let best = points
            .iter()
            .max_by(|a, b| a.throughput.total_cmp(&b.throughput));
        best.map(|point| (point.workers as u32, point.throughput))
    }

    /// What ended the climb.
    pub fn top(&self) -> Option<Top> {
        self.levels.top()
    }

    /// By how much the system's throughput moved meanwhile, if that is no chance.
    pub fn drift(&self) -> Option<f64> {
        self.levels.drift()
    }

    /// What the goal's search came to; none if there was none.
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

    /// The goal, as it was written; none if there is none.
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

    /// The rate that the generator couldn't make, when the goal was searched.
    pub fn generator_rate(&self) -> Option<f64> {
        self.generator_rate
    }

    /// Why it ended early.
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
