//! Judges one trial by the work of the event loops.

use std::time::Duration;

use encarno_capacity::goal::{
    BATCHES, Batch, Goal, GoalCondition, GoalVerdict, RISK, judge_all, judge_errors, judge_quantile,
};
use encarno_capacity::steady::{self, Bin, Limits, Plateau, Steadiness};
use encarno_engine::meter::{BUSY_PART_MAX, LAG_NS_MIN, LAG_PART_MAX, STARVED_PART_MAX};
use encarno_engine::output::{TENTH_NS, Tenth};
use encarno_engine::pilot::Reading;
use encarno_record::statistics::time_text;

use super::Settings;
use super::trial::{Condition, Verdict};

/// The largest share of failures at which a throughput still counts.
const ERRORS_MAX: f64 = 0.01;
/// The number of hits that suffices to see that most hits fail.
const HITS_MIN: u64 = 20;
/// If a larger share of hits is left behind, the system doesn't keep up with the rate.
const BEHIND_PART_MAX: f64 = 0.05;
/// If a smaller share of hits is left behind, the system keeps up with the rate.
const BEHIND_PART_MIN: f64 = 0.01;
/// A smaller change of the hits in flight counts as chance.
const BEHIND_HITS_MIN: i64 = 20;

/// The judgement of a trial.
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) reason: Option<String>,
    pub(super) plateau: Plateau,
    pub(super) conditions: Vec<Condition>,
}

/// The part of hits that may fail before a level counts as failing.
fn errors_max(settings: &Settings) -> f64 {
    let wanted = settings.goal.iter().flat_map(|goal| &goal.conditions);
    let parts = wanted.filter_map(|condition| match condition {
        GoalCondition::Errors { part } => Some(*part),
        GoalCondition::Quantile { .. } => None,
    });
    parts.fold(ERRORS_MAX, f64::max)
}

pub(super) fn tenths(duration: Duration) -> u64 {
    (duration.as_nanos() as u64).div_ceil(TENTH_NS).max(1)
}

/// Judges a number of workers by all tenths up to now; `None` if the trial must go on.
pub(super) fn workers(reading: &Reading, settings: &Settings) -> Option<Judged> {
    let bin = |(tenth, running): (&Tenth, &u64)| Bin {
        ended: tenth.ended,
        in_flight: *running as f64,
        service_s: tenth.service_ns as f64 * 1e-9,
    };
    let bins: Vec<Bin> = reading
        .tenths
        .iter()
        .zip(&reading.running)
        .map(bin)
        .collect();
    let limits = Limits {
        half_width: settings.precision,
        bins_min: tenths(settings.trial_min) as usize,
        bins_max: tenths(settings.trial_max) as usize,
    };
    let total = reading.total();
    let failed_part = total.failed as f64 / total.ended.max(1) as f64;
    let broken = total.ended >= HITS_MIN && total.failed == total.ended;
    let judgement = match steady::judge(&bins, &limits) {
        // If hits fail, waiting for steadiness doesn't help.
        Steadiness::GoOn if !(broken && bins.len() >= limits.bins_min) => return None,
        Steadiness::GoOn => match steady::judge(
            &bins,
            &Limits {
                bins_max: 0,
                ..limits
            },
        ) {
            Steadiness::GoOn => return None,
            judgement => judgement,
        },
        judgement => judgement,
    };
    let (verdict, plateau, reason) = match judgement {
        Steadiness::GoOn => return None,
        Steadiness::Steady(plateau) => (Verdict::Steady, plateau, None),
        Steadiness::Unstable(plateau) => (Verdict::Unstable, plateau, None),
        Steadiness::Inconsistent(plateau) => {
            let text = format!("N is {:.1} % off X·R", plateau.littles_error() * 100.0);
            (Verdict::ThrownAway, plateau, Some(text))
        }
    };
    let (verdict, reason) = if failed_part > errors_max(settings) {
        (
            Verdict::Errors,
            Some(format!("{:.3} % of the hits failed", failed_part * 100.0)),
        )
    } else if let Some(text) = limit(reading, plateau.throughput, settings) {
        (Verdict::GeneratorLimit, Some(text))
    } else {
        (verdict, reason)
    };
    Some(Judged {
        verdict,
        reason,
        plateau,
        conditions: Vec::new(),
    })
}

/// Judges a rate by its tenths after the warm-up, divided into `batches` equal parts.
pub(super) fn rate(
    reading: &Reading,
    batches: &[Reading],
    goal: &Goal,
    settings: &Settings,
) -> Judged {
    let total = reading.total();
    let parts: Vec<Tenth> = batches.iter().map(Reading::total).collect();
    let mut conditions = Vec::new();
    let mut verdicts = Vec::new();
    for condition in &goal.conditions {
        let (verdict, value) = judge_condition(condition, &total, &parts, (reading, batches));
        verdicts.push(verdict);
        conditions.push(Condition {
            condition: condition.to_string(),
            value,
        });
    }
    verdicts.push(keeps_up(reading));
    let holds = judge_all(verdicts);
    let seconds = reading.tenths.len().max(1) as f64 * TENTH_NS as f64 * 1e-9;
    let plateau = Plateau {
        throughput: total.ended as f64 / seconds,
        half_width: f64::INFINITY,
        relative_error: 0.0,
        in_flight: reading.in_flight(),
        service_s: total.service_ns as f64 * 1e-9 / total.ended.max(1) as f64,
        warm_up_bins: 0,
    };
    let mut verdict = match holds {
        GoalVerdict::Holds => Verdict::Holds,
        GoalVerdict::Fails => Verdict::Fails,
        GoalVerdict::Undecided => Verdict::Undecided,
    };
    let mut reason = None;
    // A slow generator makes results worse, so a goal that holds all the same does hold.
    if verdict != Verdict::Holds {
        reason = limit(reading, plateau.throughput, settings).or_else(|| late(reading, &total));
        if reason.is_some() {
            verdict = Verdict::GeneratorLimit;
        }
    }
    if verdict == Verdict::Fails && keeps_up(reading) == GoalVerdict::Fails {
        reason = Some("the system didn't keep up with the rate".to_owned());
    }
    Judged {
        verdict,
        reason,
        plateau,
        conditions,
    }
}

fn judge_condition(
    condition: &GoalCondition,
    total: &Tenth,
    parts: &[Tenth],
    (reading, batches): (&Reading, &[Reading]),
) -> (GoalVerdict, f64) {
    match *condition {
        GoalCondition::Quantile { part, limit_ns } => {
            let quantiles: Vec<f64> = parts
                .iter()
                .filter(|batch| batch.ended > 0)
                .map(|batch| batch.response_ns.quantile(part) as f64)
                .collect();
            let whole = total.response_ns.quantile(part) as f64;
            let missing = reading.dropped as f64 / reading.scheduled.max(1) as f64;
            let verdict = if missing > 1.0 - part {
                // A hit that was never made counts as slower than any limit.
                GoalVerdict::Fails
            } else if parts.iter().any(|batch| batch.ended == 0) {
                GoalVerdict::Undecided
            } else {
                judge_quantile(&quantiles, whole, limit_ns as f64, RISK)
            };
            (verdict, whole * 1e-9)
        }
        GoalCondition::Errors { part } => {
            let batch = |(batch, part): (&Reading, &Tenth)| Batch {
                bad: part.failed + batch.dropped,
                hits: part.ended + batch.dropped,
            };
            let counted: Vec<Batch> = batches.iter().zip(parts).map(batch).collect();
            let bad = (total.failed + reading.dropped) as f64;
            let value = bad / (total.ended + reading.dropped).max(1) as f64;
            (judge_errors(&counted, part, RISK), value)
        }
    }
}

/// Whether the system keeps up with the rate. Hits that pile up would be slow or fail
/// later.
fn keeps_up(reading: &Reading) -> GoalVerdict {
    let part = reading.backlog as f64 / reading.scheduled.max(1) as f64;
    if reading.total().ended == 0 {
        GoalVerdict::Fails
    } else if reading.backlog < BEHIND_HITS_MIN || part < BEHIND_PART_MIN {
        GoalVerdict::Holds
    } else if part > BEHIND_PART_MAX {
        GoalVerdict::Fails
    } else {
        GoalVerdict::Undecided
    }
}

/// Whether the generator itself was the limit, and why.
fn limit(reading: &Reading, throughput: f64, settings: &Settings) -> Option<String> {
    let busy = reading.busiest();
    if busy > BUSY_PART_MAX {
        return Some(format!(
            "an event loop used {:.0} % of its core: use more threads or machines",
            busy * 100.0
        ));
    }
    if reading.starved > STARVED_PART_MAX {
        return Some(format!(
            "workers waited for the input {:.0} % of the time: it is too slow",
            reading.starved * 100.0
        ));
    }
    let calibrated = settings.generator_max.filter(|&max| throughput > max)?;
    Some(format!(
        "this machine was calibrated to {calibrated:.0} hits/s of this kind"
    ))
}

/// Whether hits started late although a worker was free for them, and why.
fn late(reading: &Reading, total: &Tenth) -> Option<String> {
    let (lag_ns, response_ns) = (
        total.lag_ns.quantile(0.99),
        total.response_ns.quantile(0.99),
    );
    let part = lag_ns as f64 / response_ns.max(1) as f64;
    let late = reading.no_worker == 0 && lag_ns > LAG_NS_MIN && part > LAG_PART_MAX;
    late.then(|| {
        format!(
            "hits started up to {} late at p99, of {} in all: this machine is too busy",
            time_text(lag_ns as f64),
            time_text(response_ns as f64)
        )
    })
}

/// The number of batches of a trial of the goal.
pub(super) const PARTS: u64 = BATCHES as u64;
