//! Quantiles with their intervals, of a run and between runs.
//!
//! The interval of a quantile is that of the ranks between which it lies with 95 %
//! confidence. Hits of the same second resemble one another, so they contain less
//! information than independent hits. The spread between seconds shows how much less (the
//! design effect of a cluster sample), and the interval is wider by that factor. The
//! interval of a difference comes from both runs' intervals (MOVER).

use encarno_record::histogram::Histogram;
use encarno_record::statistics::QUANTILES;
use serde::Serialize;

use crate::Run;

/// The number of standard deviations that contain 95 % of a normal distribution.
const NORMAL_95: f64 = 1.96;
/// The fewest hits beyond a quantile for which it has an interval.
const BEYOND_MIN: f64 = 10.0;

/// A value, with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// The interval; `None` if there are too few hits.
    pub interval: Option<(f64, f64)>,
}

/// The difference of a run's value from that of the first run.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The name of the value: p99, …
    pub name: &'static str,
    /// The value of the first run.
    pub base: Estimate,
    /// The value of this run.
    pub this: Estimate,
    /// The difference as a part of the first run's value.
    pub change: Option<Estimate>,
}

impl Difference {
    /// Whether the interval shows that there is a difference.
    pub fn is_certain(&self) -> bool {
        let interval = self.change.and_then(|change| change.interval);
        interval.is_some_and(|(low, high)| low > 0.0 || high < 0.0)
    }
}

/// A quantile of a run's response times, ns.
pub fn quantile(run: &Run, share: f64) -> Estimate {
    let mut whole = Histogram::default();
    run.bins.values().for_each(|bin| whole.merge(&bin.response));
    let value = whole.quantile(share) as f64;
    let hits = whole.count() as f64;
    if hits * (1.0 - share) < BEYOND_MIN || hits * share < BEYOND_MIN {
        return Estimate {
            value,
            interval: None,
        };
    }
    let effect = design_effect(run, value, share, hits);
    let half = NORMAL_95 * (share * (1.0 - share) * effect / hits).sqrt();
    let at = |share: f64| whole.quantile(share.clamp(0.0, 1.0)) as f64;
    Estimate {
        value,
        interval: Some((at(share - half), at(share + half))),
    }
}

/// The ratio of the variance between seconds to that of independent hits.
fn design_effect(run: &Run, value: f64, share: f64, hits: f64) -> f64 {
    let seconds: Vec<(f64, f64)> = run
        .bins
        .values()
        .filter(|bin| bin.response.count() > 0)
        .map(|bin| {
            let at_most = bin.response.pairs().into_iter();
            let below = at_most.filter(|&(bucket, _)| {
                encarno_record::histogram::middle_of(bucket as usize) as f64 <= value
            });
            let below: u64 = below.map(|(_, count)| count).sum();
            (bin.response.count() as f64, below as f64)
        })
        .collect();
    let count = seconds.len() as f64;
    if count < 2.0 {
        return 1.0;
    }
    let mean = seconds.iter().map(|(_, below)| below).sum::<f64>() / hits;
    let spread: f64 = seconds
        .iter()
        .map(|(all, below)| (below - mean * all).powi(2))
        .sum();
    let variance = spread / (hits * hits) * count / (count - 1.0);
    (variance / (share * (1.0 - share) / hits)).max(1.0)
}

/// Whether the runs made hits of the same kind, so that a comparison means something.
pub fn are_alike(base: &Run, this: &Run) -> bool {
    let known = base.whole.statistics.labels();
    let known: std::collections::HashSet<&str> = known.map(|(label, _)| label).collect();
    let mut labels = this.whole.statistics.labels();
    known.is_empty() || labels.any(|(label, _)| known.contains(label))
}

/// The differences of a run's response times from those of the first run.
pub fn differences(base: &Run, this: &Run) -> Vec<Difference> {
    let of = |name, share| {
        let (base, this) = (quantile(base, share), quantile(this, share));
        Difference {
            name,
            base,
            this,
            change: change(base, this),
        }
    };
    QUANTILES
        .iter()
        .map(|&(name, share)| of(name, share))
        .collect()
}

fn change(base: Estimate, this: Estimate) -> Option<Estimate> {
    if base.value <= 0.0 {
        return None;
    }
    let difference = this.value - base.value;
    let interval = base.interval.zip(this.interval).map(|(base_in, this_in)| {
        let below = ((this.value - this_in.0).powi(2) + (base_in.1 - base.value).powi(2)).sqrt();
        let above = ((this_in.1 - this.value).powi(2) + (base.value - base_in.0).powi(2)).sqrt();
        (
            (difference - below) / base.value,
            (difference + above) / base.value,
        )
    });
    Some(Estimate {
        value: difference / base.value,
        interval,
    })
}

#[cfg(test)]
mod tests {
    use super::{Estimate, change};

    #[test]
    fn the_interval_of_a_difference_is_made_of_both() {
        let base = Estimate {
            value: 100.0,
            interval: Some((96.0, 103.0)),
        };
        let this = Estimate {
            value: 120.0,
            interval: Some((116.0, 126.0)),
        };
        let found = change(base, this).expect("a change");
        assert!((found.value - 0.2).abs() < 1e-12);
        // 20 - √(4² + 3²), 20 + √(6² + 4²), of 100.
        let (low, high) = found.interval.expect("an interval");
        assert!((low - 0.15).abs() < 1e-12, "{low}");
        assert!(
            (high - (0.2 + 52_f64.sqrt() / 100.0)).abs() < 1e-12,
            "{high}"
        );
        let nothing = Estimate {
            value: 0.0,
            interval: None,
        };
        assert_eq!(change(nothing, this), None);
    }
}
