//! The end of a measurement, as data and as an exit status. It depends on the trials
//! alone.

use std::ops::RangeInclusive;

use encarno_capacity::Estimate;
use encarno_capacity::levels::Top;
use encarno_capacity::search::Bracket;
use encarno_record::statistics::counted;
use serde::Serialize;

use super::findings::Findings;
use super::trial::{Trial, TrialLoad, Verdict};

/// If the system moved further than this during the measurement, its curve has no
/// meaning.
const DRIFT_MAX: f64 = 0.05;

/// The result of a measurement.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// 0, 2 or 3: see [`Status`].
    pub exit_status: u8,
    /// The same as a word.
    pub status: Status,
    /// The law's parameters; `None` if there are too few trials.
    pub usl: Option<UslOutcome>,
    /// The highest throughput by the law; `None` if the law is refused.
    pub peak: Option<PeakOutcome>,
    /// The highest measured throughput.
    pub highest: Option<HighestOutcome>,
    /// The range of measured numbers of workers.
    pub measured: Option<RangeInclusive<u32>>,
    /// Why no more workers were tried.
    pub top: Option<&'static str>,
    /// The highest rate that keeps the goal.
    pub goal: Option<GoalOutcome>,
    /// How far the system's throughput moved from the first trial to the last.
    pub drift: Option<f64>,
    /// Why something isn't known or can't be believed, in one sentence each.
    pub reasons: Vec<String>,
    /// The time of all trials, s.
    pub seconds: f64,
    /// All trials.
    pub trials: Vec<Trial>,
}

/// The status of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything that was asked for is known.
    Regular,
    /// A bound is missing, or the law doesn't hold.
    Incomplete,
    /// The generator was the limit.
    GeneratorLimit,
}

/// A value and its 95 % interval; an unknown end is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The most likely value.
    pub value: f64,
    /// The lower end.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

/// The Universal Scalability Law.
#[derive(Clone, Debug, Serialize)]
pub struct UslOutcome {
    /// λ: hits per second of one worker.
    pub lambda: Interval,
    /// σ: contention.
    pub sigma: Interval,
    /// κ: coherency.
    pub kappa: Interval,
    /// The residuals' standard deviation, as a part of the throughput.
    pub scatter: f64,
    /// The probability of trials this far from the curve by chance.
    pub lack_of_fit_p: Option<f64>,
}

/// The peak by the law.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PeakOutcome {
    /// X*: hits per second.
    pub throughput: Interval,
    /// N*: workers.
    pub workers: Interval,
}

/// The highest measured throughput.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct HighestOutcome {
    /// Hits per second.
    pub throughput: f64,
    /// Workers.
    pub workers: u32,
}

/// The highest rate that keeps the goal.
#[derive(Clone, Debug, Serialize)]
pub struct GoalOutcome {
    /// The goal.
    pub goal: String,
    /// The unit of the two bounds: `hits/s`, or `users` of k6.
    pub unit: &'static str,
    /// The highest load at which the goal holds; `None` if no such load was found.
    pub holds: Option<f64>,
    /// The lowest load at which the goal wasn't shown to hold; `None` if no such load was
    /// found.
    pub fails: Option<f64>,
    /// The most hits that ran at a time.
    pub in_flight_max: u32,
    /// The number of trials.
    pub trials: usize,
    /// The time of these trials, s.
    pub seconds: f64,
}

impl Interval {
    fn of(estimate: Estimate) -> Self {
        let finite = |value: f64| value.is_finite().then_some(value);
        Self {
            value: estimate.value,
            low: finite(estimate.low),
            high: finite(estimate.high),
        }
    }
}

impl Outcome {
    /// The outcome of these findings.
    pub fn of(findings: &Findings) -> Self {
        let mut reasons = Vec::new();
        reasons.extend(findings.given_up().map(str::to_owned));
        let fit = findings.fit();
        match &fit {
            Ok(fit) => {
                reasons.extend(fit.refusals.iter().map(ToString::to_string));
                if fit.sigma.high < 0.0 {
                    reasons.push(
                        "more workers make each of them faster (σ < 0, superlinear): look for a \
                         cache that warms up, or a level that is measured too low"
                            .to_owned(),
                    );
                }
            }
            // A measurement that was given up has already said why.
            Err(error) if findings.given_up().is_none() => reasons.push(error.to_string()),
            Err(_) => {}
        }
        let drift = findings.drift();
        if let Some(drift) = drift.filter(|drift| drift.abs() > DRIFT_MAX) {
            let way = if drift < 0.0 { "slower" } else { "faster" };
            reasons.push(format!(
                "the system became {:.0} % {way} while it was measured: its curve has no meaning",
                drift.abs() * 100.0
            ));
        }
        let peak_holds = reasons.is_empty();
        let goal = goal(findings, &mut reasons);
        let limited = limited(findings, &mut reasons);
        let status = if limited {
            Status::GeneratorLimit
        } else if reasons.is_empty() {
            Status::Regular
        } else {
            Status::Incomplete
        };
        let fit = fit.ok();
        let peak = fit.as_ref().and_then(|fit| fit.peak).filter(|_| peak_holds);
        Self {
            exit_status: status.exit_status(),
            status,
            usl: fit.as_ref().map(|fit| UslOutcome {
                lambda: Interval::of(fit.lambda),
                sigma: Interval::of(fit.sigma),
                kappa: Interval::of(fit.kappa),
                scatter: fit.scatter,
                lack_of_fit_p: fit.lack_of_fit,
            }),
            peak: peak.map(|peak| PeakOutcome {
                throughput: Interval::of(peak.throughput),
                workers: Interval::of(peak.workers),
            }),
            highest: findings
                .highest()
                .map(|(workers, throughput)| HighestOutcome {
                    throughput,
                    workers,
                }),
            measured: measured(findings),
            top: findings.top().map(top_text),
            goal,
            drift,
            reasons,
            seconds: findings.trials().iter().map(Trial::seconds).sum(),
            trials: findings.trials().to_vec(),
        }
    }
}

impl Status {
    /// The exit status of the program.
    pub fn exit_status(self) -> u8 {
        match self {
            Self::Regular => 0,
            Self::Incomplete => 2,
            Self::GeneratorLimit => 3,
        }
    }
}

fn top_text(top: Top) -> &'static str {
    match top {
        Top::Falls => "throughput fell",
        Top::Bound => "the largest number of workers was reached",
        Top::Errors => "hits failed",
        Top::GeneratorLimit => "the generator was the limit",
    }
}

fn measured(findings: &Findings) -> Option<RangeInclusive<u32>> {
    let levels = findings.trials().iter().filter_map(|trial| {
        let counts = !matches!(
            trial.verdict,
            Verdict::Errors | Verdict::GeneratorLimit | Verdict::ThrownAway
        );
        match trial.load {
            TrialLoad::Workers(workers) if counts => Some(workers),
            _ => None,
        }
    });
    let (low, high) = levels.fold((u32::MAX, 0), |(low, high), workers| {
        (low.min(workers), high.max(workers))
    });
    (low <= high).then_some(low..=high)
}

fn goal(findings: &Findings, reasons: &mut Vec<String>) -> Option<GoalOutcome> {
    let settings = findings.settings();
    let goal = findings.goal_text()?;
    let of_goal = findings.trials().iter();
    let of_goal = of_goal.filter(|trial| !matches!(trial.load, TrialLoad::Workers(_)));
    let (trials, seconds) = of_goal.fold((0, 0.0), |(count, seconds), trial| {
        (count + 1, seconds + trial.seconds())
    });
    let (holds, fails) = match findings.bracket() {
        Some(Bracket::Between { holds, fails }) => (Some(holds), Some(fails)),
        Some(Bracket::HoldsAt(holds)) => (Some(holds), None),
        Some(Bracket::FailsAt(fails)) => (None, Some(fails)),
        None => (None, None),
    };
    let load = if settings.k6 {
        "number of users"
    } else {
        "rate"
    };
    match (holds, fails) {
        (Some(holds), Some(fails))
            if fails > holds * (1.0 + settings.within) * 1.000_001
                && !(settings.k6 && fails - holds <= 1.0) =>
        {
            reasons.push(format!(
                "the goal's bounds are {:.0} % apart: {trials} trials didn't bring them closer",
                (fails / holds - 1.0) * 100.0
            ));
        }
        (Some(_), Some(_)) => {}
        (Some(_), None) => reasons.push(format!("no {load} was found at which the goal fails")),
        (None, Some(_)) => reasons.push(format!("no {load} was found at which the goal holds")),
        (None, None) => reasons.push("the goal wasn't searched for".to_owned()),
    }
    Some(GoalOutcome {
        goal,
        unit: if settings.k6 { "users" } else { "hits/s" },
        holds,
        fails,
        in_flight_max: settings.in_flight_max,
        trials,
        seconds,
    })
}

/// Whether the generator was the limit in some trial. This is the first reason.
fn limited(findings: &Findings, reasons: &mut Vec<String>) -> bool {
    let trial = findings
        .trials()
        .iter()
        .find(|trial| trial.verdict == Verdict::GeneratorLimit);
    let calibrated = findings.settings().generator_max.filter(|&max| {
        // Without the limit, the search would have gone on above this rate.
        matches!(findings.bracket(), Some(Bracket::HoldsAt(holds)) if holds >= max)
    });
    let text = match (trial, calibrated) {
        (Some(trial), _) => {
            let at = match trial.load {
                TrialLoad::Workers(workers) => counted(workers.into(), "worker"),
                TrialLoad::Rate(rate) => format!("{rate:.0} hits/s"),
                TrialLoad::Users(users) => counted(users.into(), "user"),
            };
            let reason = trial.reason.as_deref().unwrap_or_default();
            format!("the generator was the limit at {at}: {reason}")
        }
        (None, Some(max)) => format!(
            "the generator was calibrated to {max:.0} hits/s of this kind: nothing above was tried"
        ),
        (None, None) => return false,
    };
    reasons.insert(0, text);
    true
}
