//! What is demanded of runs: `p99 +10%` of a run beside the first one, `p99 > 200ms` of
//! each.

use std::str::FromStr;

use encarno_record::parse_duration;
use encarno_record::statistics::{QUANTILES, time_text};

use crate::Run;
use crate::compare::{Difference, differences};

const EXPECTED: &str = "expected a metric (p50, p75, p90, p95, p99, p99.9, mean, max, rate or failed) and \
    what fails it: 'p99 +10%' or 'rate -5%' against the first run, or 'p99 > 200ms', 'failed > 1%', \
    'rate < 100'";

/// When runs fail.
#[derive(Clone, Debug, PartialEq)]
pub struct Demand {
    text: String,
    metric: Metric,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Quantile(usize),
    Mean,
    Max,
    Rate,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// A change by more than that part, in that direction.
    Change(f64),
    Above(f64),
    Below(f64),
}

impl FromStr for Demand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let end = bare.find(['+', '-', '<', '>']).ok_or(EXPECTED)?;
        let (name, rest) = bare.split_at(end);
        let metric = match name {
            "mean" | "avg" => Metric::Mean,
            "max" => Metric::Max,
            "rate" => Metric::Rate,
            "failed" => Metric::Failed,
            _ => {
                let known = QUANTILES.iter().position(|(known, _)| *known == name);
                Metric::Quantile(known.ok_or(EXPECTED)?)
            }
        };
        let (sign, value) = rest.split_at(1);
        let value = value.strip_prefix('=').unwrap_or(value);
        let number = |text: &str| {
            text.parse::<f64>()
                .ok()
                .filter(|value| value.is_finite() && *value >= 0.0)
        };
        let limit = match sign {
            "+" | "-" => {
                let part = value.strip_suffix('%').and_then(number).ok_or(EXPECTED)? / 100.0;
                Limit::Change(if sign == "+" { part } else { -part })
            }
            _ => {
                let value = match metric {
                    Metric::Failed => value
                        .strip_suffix('%')
                        .and_then(number)
                        .map(|part| part / 100.0),
                    Metric::Rate => number(value.strip_suffix("/s").unwrap_or(value)),
                    // Without a unit it might be meant as anything.
                    _ if value.ends_with(|c: char| c.is_ascii_digit()) => None,
                    _ => parse_duration(value).map(|ns| ns as f64),
                };
                let value = value.ok_or(EXPECTED)?;
                if sign == ">" {
                    Limit::Above(value)
                } else {
                    Limit::Below(value)
                }
            }
        };
        Ok(Self {
            text: text.trim().to_owned(),
            metric,
            limit,
        })
    }
}

/// What became of a demand.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Whether a run fails by it.
    pub failed: bool,
    /// What was found, a sentence.
    pub text: String,
}

impl Demand {
    /// Whether it compares runs.
    pub fn compares(&self) -> bool {
        matches!(self.limit, Limit::Change(_))
    }

    /// Judges the runs; the first is what the others are compared with.
    pub fn judge(&self, runs: &[Run]) -> Vec<Judged> {
        match self.limit {
            Limit::Change(limit) => {
                let (base, others) = match runs.split_first() {
                    Some(split) => split,
                    None => return Vec::new(),
                };
                others
                    .iter()
                    .map(|run| self.judge_change(base, run, limit))
                    .collect()
            }
            Limit::Above(limit) => runs
                .iter()
                .map(|run| self.judge_value(run, limit, f64::gt))
                .collect(),
            Limit::Below(limit) => runs
                .iter()
                .map(|run| self.judge_value(run, limit, f64::lt))
                .collect(),
        }
    }

    fn judge_value(&self, run: &Run, limit: f64, fails: fn(&f64, &f64) -> bool) -> Judged {
        let total = run.whole.statistics.total();
        if total.hits == 0 {
            // What wasn't measured can't have been met.
            let text = format!(
                "{}: {} can't be judged: there are no hits",
                run.name, self.text
            );
            return Judged { failed: true, text };
        }
        let value = self.value(run);
        let failed = fails(&value, &limit);
        let word = if failed { "FAILED" } else { "kept" };
        let text = format!(
            "{}: {word}: fail if {}; it is {}",
            run.name,
            self.text,
            self.metric.text(value)
        );
        Judged { failed, text }
    }

    fn judge_change(&self, base: &Run, run: &Run, limit: f64) -> Judged {
        let difference: Option<Difference> = match self.metric {
            Metric::Quantile(at) => differences(base, run).into_iter().nth(at),
            _ => None,
        };
        let (before, after) = (self.value(base), self.value(run));
        if base.whole.statistics.total().hits == 0 || run.whole.statistics.total().hits == 0 {
            let text = format!(
                "{}: {} can't be judged: a run has no hits",
                run.name, self.text
            );
            return Judged { failed: true, text };
        }
        let change = if before > 0.0 {
            (after - before) / before
        } else if after > before {
            f64::INFINITY
        } else {
            0.0
        };
        let beyond = if limit >= 0.0 {
            change > limit
        } else {
            change < limit
        };
        let interval = difference
            .as_ref()
            .and_then(|difference| difference.change?.interval);
        let certain = difference
            .as_ref()
            .is_none_or(|difference| interval.is_none() || difference.is_certain());
        let failed = beyond && certain;
        let word = match (failed, beyond) {
            (true, _) => "FAILED",
            (false, true) => "kept (the change may be chance)",
            _ => "kept",
        };
        let between = interval.map_or(String::new(), |(low, high)| {
            format!(" (95 %: {:+.1} % to {:+.1} %)", low * 100.0, high * 100.0)
        });
        let text = format!(
            "{}: {word}: fail if {}; {} became {}, {:+.1} %{between}",
            run.name,
            self.text,
            self.metric.text(before),
            self.metric.text(after),
            change * 100.0,
        );
        Judged { failed, text }
    }

    fn value(&self, run: &Run) -> f64 {
        let total = run.whole.statistics.total();
        match self.metric {
            Metric::Quantile(at) => total.response_ns.quantile(QUANTILES[at].1) as f64,
            Metric::Mean => total.response_ns.mean(),
            Metric::Max => total.response_ns.max() as f64,
            Metric::Rate => run.whole.rate(),
            Metric::Failed => total.failed as f64 / total.hits.max(1) as f64,
        }
    }
}

impl Metric {
    fn text(self, value: f64) -> String {
        match self {
            Self::Rate => format!("{value:.1}/s"),
            Self::Failed => format!("{:.2} %", value * 100.0),
            _ => time_text(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Demand, Limit, Metric};

    #[test]
    fn demands_are_read() {
        for (text, metric, limit) in [
            ("p99 +10%", Metric::Quantile(4), Limit::Change(0.1)),
            ("p99+10 %", Metric::Quantile(4), Limit::Change(0.1)),
            ("rate -5%", Metric::Rate, Limit::Change(-0.05)),
            ("p99.9 > 200ms", Metric::Quantile(5), Limit::Above(2e8)),
            ("failed>=1%", Metric::Failed, Limit::Above(0.01)),
            ("rate < 100/s", Metric::Rate, Limit::Below(100.0)),
        ] {
            let demand: Demand = text.parse().expect(text);
            assert_eq!((demand.metric, demand.limit), (metric, limit), "{text}");
        }
        for text in [
            "",
            "p99",
            "p98 +10%",
            "p99 +10",
            "p99 > 10",
            "p99 +x%",
            "failed > 3",
            "+10%",
            "p99 +-1%",
        ] {
            assert!(text.parse::<Demand>().is_err(), "{text}");
        }
    }
}
