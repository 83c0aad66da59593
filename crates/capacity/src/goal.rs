//! A goal such as `p99<50ms errors<0.1%`, and whether a trial keeps it.
//!
//! Hits depend on one another: a long queue stays long for a while, so a thousand hits
//! contain less information than a thousand coin tosses. So a trial is divided into
//! batches, and the verdict comes from their differences.
//!
//! - For a quantile, Student's t gives the interval of the mean of the batches'
//!   quantiles. This uses the distance of the quantile from the limit, and so needs fewer
//!   hits than a count of slow hits.
//! - Failed hits are counted, with the number of independent tries that would scatter as
//!   the batches do. The bounds are those of Clopper and Pearson.
//!
//! Judge a trial seldom, because each look at it is another chance of a wrong verdict.
//! Doubling the time between looks is a good rule.

use std::fmt;
use std::str::FromStr;

use crate::student::{proportion_bounds, t_quantile};

/// All conditions together.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// The conditions, all of which must hold.
    pub conditions: Vec<GoalCondition>,
}

/// One condition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GoalCondition {
    /// This part of the response times is below the limit.
    Quantile {
        /// 0 … 1.
        part: f64,
        /// ns.
        limit_ns: u64,
    },
    /// Less than this part of the hits fails.
    Errors {
        /// 0 … 1.
        part: f64,
    },
}

impl GoalCondition {
    /// The share of hits that may be bad.
    pub fn allowed(&self) -> f64 {
        match *self {
            Self::Quantile { part, .. } => 1.0 - part,
            Self::Errors { part } => part,
        }
    }
}

/// The failed hits and all hits of one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Hits that failed.
    pub bad: u64,
    /// All hits.
    pub hits: u64,
}

/// The probability of a wrong verdict. A search judges several trials near the limit, and
/// its lower bound must be true in 95 of 100 searches. In 500 simulated searches of an
/// M/M/1 queue, it was true in 96.8 %.
pub const RISK: f64 = 0.0025;

/// The number of batches of equal length in a trial.
pub const BATCHES: usize = 10;

/// The verdict of a trial on a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoalVerdict {
    /// The condition holds.
    Holds,
    /// The condition doesn't hold.
    Fails,
    /// The trial doesn't show it.
    Undecided,
}

/// The largest correlation of batches; with more, batches are merged.
const CORRELATION_MAX: f64 = 0.2;
const BATCHES_MIN: usize = 8;

/// Judges a quantile. `batches_ns` are the quantiles of the batches, and `whole_ns` is
/// that of the whole trial. The probability of a wrong verdict is at most `risk`, if the
/// batches are independent and contain many hits.
pub fn judge_quantile(batches_ns: &[f64], whole_ns: f64, limit_ns: f64, risk: f64) -> GoalVerdict {
    if batches_ns.len() < BATCHES_MIN {
        return GoalVerdict::Undecided;
    }
    let count = batches_ns.len() as f64;
    let mean = batches_ns.iter().sum::<f64>() / count;
    let square: f64 = batches_ns.iter().map(|value| (value - mean).powi(2)).sum();
    let mut error = (square / (count - 1.0) / count).sqrt();
    // If neighbouring batches are similar, the batches contain less information than
    // their number.
    let likeness = correlation(batches_ns);
    if likeness > 0.0 {
        error *= ((1.0 + likeness) / (1.0 - likeness.min(0.9))).sqrt();
    }
    let half = error * t_quantile(1.0 - risk, batches_ns.len() - 1);
    // Short batches have low quantiles, so the whole trial must agree.
    if mean + half < limit_ns && whole_ns < limit_ns {
        GoalVerdict::Holds
    } else if mean - half > limit_ns && whole_ns > limit_ns {
        GoalVerdict::Fails
    } else {
        GoalVerdict::Undecided
    }
}

/// Judges the share of hits that fail. The probability of a wrong verdict is at most
/// `risk`.
pub fn judge_errors(batches: &[Batch], allowed: f64, risk: f64) -> GoalVerdict {
    let mut batches = batches.to_vec();
    batches.retain(|batch| batch.hits > 0);
    while batches.len() >= 2 * BATCHES_MIN && correlation(&parts(&batches)) >= CORRELATION_MAX {
        let joined = batches.chunks(2).map(|pair| Batch {
            bad: pair.iter().map(|batch| batch.bad).sum(),
            hits: pair.iter().map(|batch| batch.hits).sum(),
        });
        batches = joined.collect();
    }
    if batches.len() < BATCHES_MIN {
        return GoalVerdict::Undecided;
    }
    let bad = batches.iter().map(|batch| batch.bad).sum::<u64>() as f64;
    let hits = batches.iter().map(|batch| batch.hits).sum::<u64>() as f64;
    let part = bad / hits;
    let scatter: f64 = batches
        .iter()
        .map(|batch| {
            let expected = batch.hits as f64 * part;
            (batch.bad as f64 - expected).powi(2) / (expected * (1.0 - part)).max(f64::MIN_POSITIVE)
        })
        .sum();
    let effect = if bad == 0.0 || bad == hits {
        1.0
    } else {
        (scatter / (batches.len() - 1) as f64).max(1.0)
    };
    let (low, high) = proportion_bounds(bad / effect, hits / effect, risk);
    if high < allowed {
        GoalVerdict::Holds
    } else if low > allowed {
        GoalVerdict::Fails
    } else {
        GoalVerdict::Undecided
    }
}

/// The verdict of all conditions together: one failure suffices.
pub fn judge_all(verdicts: impl IntoIterator<Item = GoalVerdict>) -> GoalVerdict {
    verdicts
        .into_iter()
        .fold(GoalVerdict::Holds, |all, one| match (all, one) {
            (GoalVerdict::Fails, _) | (_, GoalVerdict::Fails) => GoalVerdict::Fails,
            (GoalVerdict::Undecided, _) | (_, GoalVerdict::Undecided) => GoalVerdict::Undecided,
            _ => GoalVerdict::Holds,
        })
}

fn parts(batches: &[Batch]) -> Vec<f64> {
    let part = |batch: &Batch| batch.bad as f64 / batch.hits as f64;
    batches.iter().map(part).collect()
}

/// The autocorrelation at lag 1: how much a value predicts the next one.
fn correlation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let square: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    if square == 0.0 {
        return 0.0;
    }
    let pairs = values.windows(2);
    pairs
        .map(|pair| (pair[0] - mean) * (pair[1] - mean))
        .sum::<f64>()
        / square
}

const SHAPE: &str =
    "write conditions such as p99<50ms, p99.9<1s or errors<0.1%, separated by blanks";

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let conditions: Result<Vec<_>, _> = text.split_whitespace().map(str::parse).collect();
        let conditions = conditions?;
        if conditions.is_empty() {
            return Err(format!("the goal is empty: {SHAPE}"));
        }
        Ok(Self { conditions })
    }
}

impl FromStr for GoalCondition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} isn't a condition: {SHAPE}");
        let (what, limit) = text.split_once('<').ok_or_else(bad)?;
        let limit = limit.strip_prefix('=').unwrap_or(limit);
        if what == "errors" {
            let part = match limit.strip_suffix('%') {
                Some(percent) => percent.parse::<f64>().map(|percent| percent / 100.0),
                None => limit.parse::<f64>(),
            };
            let part = part.map_err(|_| bad())?;
            return match part {
                part if part > 0.0 && part < 1.0 => Ok(Self::Errors { part }),
                _ => Err(format!("{text:?}: write a part between 0 and 100 %")),
            };
        }
        let percent = what.strip_prefix('p').ok_or_else(bad)?;
        let part = percent.parse::<f64>().map_err(|_| bad())? / 100.0;
        if !(part > 0.0 && part < 1.0) {
            return Err(format!("{text:?}: a quantile lies between p0 and p100"));
        }
        let digits = limit
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| format!("{text:?}: the limit has no unit, such as in 50ms"))?;
        let (number, unit) = limit.split_at(digits);
        let unit_ns = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            _ => return Err(bad()),
        };
        let limit_ns = number.parse::<f64>().map_err(|_| bad())? * unit_ns;
        if !(1.0..=1e18).contains(&limit_ns) {
            return Err(format!("{text:?}: the limit must be above zero"));
        }
        Ok(Self::Quantile {
            part,
            limit_ns: limit_ns as u64,
        })
    }
}

impl fmt::Display for GoalCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |part: f64| (part * 1e8).round() / 1e6;
        match *self {
            Self::Quantile { part, limit_ns } => {
                let (limit, unit) = match limit_ns {
                    0..1_000 => (limit_ns as f64, "ns"),
                    1_000..1_000_000 => (limit_ns as f64 * 1e-3, "µs"),
                    1_000_000..1_000_000_000 => (limit_ns as f64 * 1e-6, "ms"),
                    _ => (limit_ns as f64 * 1e-9, "s"),
                };
                write!(f, "p{}<{limit}{unit}", percent(part))
            }
            Self::Errors { part } => write!(f, "errors<{}%", percent(part)),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, condition) in self.conditions.iter().enumerate() {
            write!(f, "{}{condition}", if index > 0 { " " } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Batch, Goal, GoalCondition, GoalVerdict, judge_all, judge_errors, judge_quantile};

    #[test]
    fn goals_are_read_and_written() {
        let goal: Goal = "p99<50ms errors<0.1%".parse().expect("it is right");
        assert_eq!(
            goal.conditions,
            [
                GoalCondition::Quantile {
                    part: 0.99,
                    limit_ns: 50_000_000
                },
                GoalCondition::Errors { part: 0.001 }
            ]
        );
        assert_eq!(goal.to_string(), "p99<50ms errors<0.1%");
        assert_eq!(
            "p99.9<=1.5s".parse::<Goal>().expect("right").to_string(),
            "p99.9<1.5s"
        );
        for bad in [
            "",
            "p99",
            "p99<50",
            "p100<1s",
            "p0<1s",
            "errors<0%",
            "errors<x",
            "q<1s",
            "p99>1s",
        ] {
            let error = bad.parse::<Goal>().expect_err(bad);
            assert!(
                error.contains("such as") || error.contains("between"),
                "{bad}: {error}"
            );
        }
    }

    fn batches(bad: &[u64], hits: u64) -> Vec<Batch> {
        bad.iter().map(|&bad| Batch { bad, hits }).collect()
    }

    #[test]
    fn verdicts_need_enough_hits() {
        // 459 good hits show 1 % at a risk of 1 %; 400 don't.
        assert_eq!(
            judge_errors(&batches(&[0; 10], 46), 0.01, 0.01),
            GoalVerdict::Holds
        );
        assert_eq!(
            judge_errors(&batches(&[0; 10], 40), 0.01, 0.01),
            GoalVerdict::Undecided
        );
        assert_eq!(
            judge_errors(&batches(&[5; 10], 100), 0.01, 0.01),
            GoalVerdict::Fails
        );
        assert_eq!(
            judge_errors(&batches(&[1; 10], 100), 0.01, 0.01),
            GoalVerdict::Undecided
        );
        assert_eq!(judge_errors(&[], 0.01, 0.01), GoalVerdict::Undecided);
    }

    #[test]
    fn quantiles_are_judged_by_how_much_batches_differ() {
        let near = [48.0, 52.0, 47.0, 55.0, 46.0, 53.0, 49.0, 44.0, 51.0, 50.0];
        assert_eq!(
            judge_quantile(&near, 49.5, 50.0, 0.01),
            GoalVerdict::Undecided
        );
        assert_eq!(judge_quantile(&near, 49.5, 60.0, 0.01), GoalVerdict::Holds);
        assert_eq!(judge_quantile(&near, 49.5, 40.0, 0.01), GoalVerdict::Fails);
        assert_eq!(
            judge_quantile(&near[..7], 49.5, 90.0, 0.01),
            GoalVerdict::Undecided
        );
        // The whole trial disagrees, because its slow hits are in a few batches.
        assert_eq!(
            judge_quantile(&near, 61.0, 60.0, 0.01),
            GoalVerdict::Undecided
        );
    }

    /// All bad hits are in one batch, which is one event and not fifty.
    #[test]
    fn hits_that_depend_on_one_another_count_less() {
        let mut bad = [0; 20];
        bad[7] = 60;
        assert_eq!(
            judge_errors(&batches(&bad, 1000), 0.01, 0.01),
            GoalVerdict::Undecided
        );
        assert_eq!(
            judge_errors(&batches(&[3; 20], 1000), 0.01, 0.01),
            GoalVerdict::Holds
        );
    }

    #[test]
    fn one_condition_that_fails_is_enough() {
        use GoalVerdict::{Fails, Holds, Undecided};
        assert_eq!(judge_all([Holds, Fails, Undecided]), Fails);
        assert_eq!(judge_all([Holds, Undecided]), Undecided);
        assert_eq!(judge_all([Holds, Holds]), Holds);
    }
}
