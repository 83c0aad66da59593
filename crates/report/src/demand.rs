//! Demands on runs: `p99 +10%` compares a run with the first one, `p99 > 200ms` is about
//! each run.

use std::str::FromStr;

use encarno_record::condition::{Condition, Measured};
use encarno_record::notes::Account;
use encarno_record::statistics::{QUANTILES, time_text};

use crate::Run;
use crate::compare::{Difference, differences};

const EXPECTED: &str = "expected what fails a run: 'p99 +10%' or 'rate -5%' against the first run (p50, p75, p90, \
    p95, p99, p99.9, mean, max, rate, failed), or a condition of each run such as 'p99>200ms' or 'errors>1%'";

/// When runs fail.
#[derive(Clone, Debug, PartialEq)]
pub enum Demand {
    /// If this holds.
    Condition(Condition),
    /// If a figure changed by more than this part, in this direction.
    Change(Change),
}

/// A change from the first run.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    text: String,
    metric: Metric,
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Metric {
    Quantile(usize),
    Mean,
    Max,
    Rate,
    Failed,
}

impl FromStr for Demand {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.contains(['<', '>']) {
            return text.parse().map(Self::Condition);
        }
        let bare: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let end = bare.find(['+', '-']).ok_or(EXPECTED)?;
        let (name, rest) = bare.split_at(end);
        let metric = match name {
            "mean" | "avg" => Metric::Mean,
            "max" => Metric::Max,
            "rate" => Metric::Rate,
            "failed" | "errors" => Metric::Failed,
            _ => {
                let known = QUANTILES.iter().position(|(known, _)| *known == name);
                Metric::Quantile(known.ok_or(EXPECTED)?)
            }
        };
        let (sign, value) = rest.split_at(1);
        let part = value
            .strip_suffix('%')
            .and_then(|part| part.parse::<f64>().ok())
            .filter(|part| part.is_finite() && *part >= 0.0);
        let part = part.ok_or(EXPECTED)? / 100.0;
        Ok(Self::Change(Change {
            text: text.trim().to_owned(),
            metric,
            limit: if sign == "+" { part } else { -part },
        }))
    }
}

/// The result of a demand.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Whether a run fails.
    pub failed: bool,
    /// The result as a sentence.
    pub text: String,
}

impl Demand {
    /// Whether it compares runs.
    pub fn compares(&self) -> bool {
        matches!(self, Self::Change(_))
    }

    /// Judges the runs; the others are compared with the first.
    pub fn judge(&self, runs: &[Run]) -> Vec<Judged> {
        match self {
            Self::Condition(condition) => runs
                .iter()
                .map(|run| judge_condition(condition, run))
                .collect(),
            Self::Change(change) => match runs.split_first() {
                Some((base, others)) => others.iter().map(|run| change.judge(base, run)).collect(),
                None => Vec::new(),
            },
        }
    }
}

/// Why a condition can't be judged by this run: figures are missing in its file.
fn unjudged(text: &str, run: &Run) -> Option<Judged> {
    let summary = &run.whole.summary;
    // Hits that the writer left out are in the sums all the same.
    let hits = run.whole.statistics.total().hits;
    let counts_all = |totals: Account| totals.done.saturating_add(totals.failed) == hits;
    let has_all = summary.hits_lost == 0 || run.notes.totals.is_some_and(counts_all);
    let is_damaged = summary.damage.places > 0 || summary.hits_damaged > 0;
    (!summary.ended || is_damaged || !has_all).then(|| Judged {
        failed: true,
        text: format!("{}: FAILED: {text} can't be judged: {summary}", run.name),
    })
}

fn judge_condition(condition: &Condition, run: &Run) -> Judged {
    let statistics = &run.whole.statistics;
    let judged = condition.judge(&Measured {
        statistics,
        total: &statistics.total(),
        dropped: run.notes.totals.map_or(0, |totals| totals.dropped),
        span_ns: run.whole.span_ns,
    });
    if let Some(unjudged) = unjudged(&judged.text, run) {
        return unjudged;
    }
    let word = if judged.holds { "FAILED" } else { "kept" };
    Judged {
        failed: judged.holds,
        text: format!(
            "{}: {word}: fail if {}; it is {}",
            run.name, judged.text, judged.shown
        ),
    }
}

impl Change {
    fn judge(&self, base: &Run, run: &Run) -> Judged {
        let unjudged = [base, run].map(|run| unjudged(&self.text, run));
        if let Some(unjudged) = unjudged.into_iter().flatten().next() {
            return unjudged;
        }
        let limit = self.limit;
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
    use super::{Change, Demand, Metric};

    #[test]
    fn demands_are_read() {
        for (text, metric, limit) in [
            ("p99 +10%", Metric::Quantile(4), 0.1),
            ("p99+10 %", Metric::Quantile(4), 0.1),
            ("rate -5%", Metric::Rate, -0.05),
        ] {
            let demand: Demand = text.parse().expect(text);
            let change = Change {
                text: text.to_owned(),
                metric,
                limit,
            };
            assert_eq!(demand, Demand::Change(change));
        }
        for text in ["p99.9 > 200ms", "failed>=1%", "rate < 100/s", "5xx>1%"] {
            assert!(!text.parse::<Demand>().expect(text).compares());
        }
        for text in [
            "", "p99", "p98 +10%", "p99 +10", "p99 > 10", "p99 +x%", "+10%", "p99 +-1%",
        ] {
            assert!(text.parse::<Demand>().is_err(), "{text}");
        }
    }
}
