//! Judges one trial: whether it has settled, and its result.
//!
//! The warm-up is cut off by MSER-5 (K. P. White, "An Effective Truncation Heuristic for
//! Bias Reduction in Simulation Output", 1997). The rest is merged into batches, until
//! these no longer depend on one another; their means give the interval. Little's law, N
//! = X·R, must hold; otherwise something wasn't counted.

use crate::student::t_quantile;

/// The hits of a tenth of a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// Hits that ended in it.
    pub ended: u64,
    /// The mean number of hits in flight.
    pub in_flight: f64,
    /// The sum of the service times of the hits that ended in it, s.
    pub service_s: f64,
}

/// The length of a [`Bin`], s.
pub const BIN_S: f64 = 0.1;

/// The limits of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// The wanted half width of the interval, as a part of the throughput.
    pub half_width: f64,
    /// The fewest bins after the warm-up.
    pub bins_min: usize,
    /// The most bins in all.
    pub bins_max: usize,
}

impl Default for Limits {
    /// A half width of 1 %, at least 2 s, at most 60 s.
    fn default() -> Self {
        Self {
            half_width: 0.01,
            bins_min: 20,
            bins_max: 600,
        }
    }
}

/// The result of the settled part of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    /// Hits per second.
    pub throughput: f64,
    /// Half of the 95 % interval, as a part of the throughput.
    pub half_width: f64,
    /// The standard error of the throughput, as a part of it.
    pub relative_error: f64,
    /// The mean number of hits in flight.
    pub in_flight: f64,
    /// The mean service time, s.
    pub service_s: f64,
    /// The number of bins that were cut off as warm-up.
    pub warm_up_bins: usize,
}

impl Plateau {
    /// The distance of N from X·R, as a part of N.
    pub fn littles_error(&self) -> f64 {
        let expected = self.throughput * self.service_s;
        (self.in_flight - expected).abs() / self.in_flight.max(f64::MIN_POSITIVE)
    }

    /// The largest allowed error. Hits that are cut by the start or the end of these
    /// seconds count completely or not at all, which is chance.
    fn littles_error_max(&self, seconds: f64) -> f64 {
        let cut = self.service_s / (seconds * self.in_flight.max(1.0).sqrt());
        LITTLES_ERROR_MAX + 2.0 * cut
    }
}

/// The present state of a trial.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Steadiness {
    /// It goes on.
    GoOn,
    /// It has settled.
    Steady(Plateau),
    /// It has taken the longest allowed time, and still moves.
    Unstable(Plateau),
    /// Little's law doesn't hold, so the trial is thrown away.
    Inconsistent(Plateau),
}

/// The largest error of Little's law.
const LITTLES_ERROR_MAX: f64 = 0.01;
/// The autocorrelation below which batches count as independent.
const CORRELATION_MAX: f64 = 0.2;
const BATCHES_MIN: usize = 10;

/// Judges a trial by its bins so far.
pub fn judge(bins: &[Bin], limits: &Limits) -> Steadiness {
    let is_last = bins.len() >= limits.bins_max;
    let cut = warm_up(bins);
    // Without a place to cut, use the second half.
    let settled = cut.is_some();
    let start = cut.unwrap_or(bins.len() / 2);
    let rest = &bins[start..];
    if rest.len() < limits.bins_min && !is_last {
        return Steadiness::GoOn;
    }
    let (half_width, relative_error) = batch_means(rest);
    let count = rest.len().max(1) as f64;
    let ended: u64 = rest.iter().map(|bin| bin.ended).sum();
    let plateau = Plateau {
        throughput: ended as f64 / count / BIN_S,
        half_width,
        relative_error,
        in_flight: rest.iter().map(|bin| bin.in_flight).sum::<f64>() / count,
        service_s: rest.iter().map(|bin| bin.service_s).sum::<f64>() / ended.max(1) as f64,
        warm_up_bins: start,
    };
    let precise = settled && ended > 0 && half_width <= limits.half_width;
    match (precise, is_last) {
        (true, _) if plateau.littles_error() <= plateau.littles_error_max(count * BIN_S) => {
            Steadiness::Steady(plateau)
        }
        (true, true) => Steadiness::Inconsistent(plateau),
        (false, true) => Steadiness::Unstable(plateau),
        (_, false) => Steadiness::GoOn,
    }
}

/// MSER-5: the number of bins of the warm-up; `None` if it would be more than half.
fn warm_up(bins: &[Bin]) -> Option<usize> {
    const GROUP: usize = 5;
    let groups: Vec<f64> = bins
        .chunks_exact(GROUP)
        .map(|group| group.iter().map(|bin| bin.ended).sum::<u64>() as f64)
        .collect();
    let count = groups.len();
    if count < 4 {
        return None;
    }
    let (mut sum, mut square) = (0.0, 0.0);
    let mut best = (f64::INFINITY, count);
    // Skip the last few bins, whose error is small by chance.
    for start in (0..count).rev() {
        sum += groups[start];
        square += groups[start] * groups[start];
        let left = (count - start) as f64;
        if count - start < GROUP.min(count / 2) {
            continue;
        }
        let error = (square - sum * sum / left).max(0.0) / (left * left);
        if error <= best.0 {
            best = (error, start);
        }
    }
    (best.1 <= count / 2).then_some(best.1 * GROUP)
}

/// The half width and the standard error of the mean, as parts of the mean.
fn batch_means(bins: &[Bin]) -> (f64, f64) {
    let mut size = 1;
    let mut values: Vec<f64> = Vec::new();
    let mut last = (f64::INFINITY, f64::INFINITY);
    while bins.len() / size >= BATCHES_MIN {
        values.clear();
        let batches = bins.chunks_exact(size);
        values.extend(batches.map(|batch| batch.iter().map(|bin| bin.ended).sum::<u64>() as f64));
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let square: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        if mean <= 0.0 {
            return last;
        }
        let error = (square / (count - 1.0) / count).sqrt() / mean;
        let pairs = values.windows(2);
        let product: f64 = pairs.map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
        last = (error * t_quantile(0.975, values.len() - 1), error);
        if square == 0.0 || product / square < CORRELATION_MAX {
            return last;
        }
        size *= 2;
    }
    // Batches of all sizes depend on one another, so the interval isn't known.
    (f64::INFINITY, last.1)
}

#[cfg(test)]
mod tests {
    use super::{Bin, Limits, Steadiness, judge};

    fn bin(ended: u64) -> Bin {
        Bin {
            ended,
            in_flight: 10.0,
            service_s: ended as f64 * (10.0 / 1000.0),
        }
    }

    /// 1,000/s with a deterministic ripple.
    fn flat(count: usize) -> Vec<Bin> {
        (0..count)
            .map(|i| bin([99, 101, 100, 102, 98, 100, 100][i % 7]))
            .collect()
    }

    #[test]
    fn a_flat_trial_settles_soon() {
        let limits = Limits::default();
        assert_eq!(judge(&flat(10), &limits), Steadiness::GoOn);
        let Steadiness::Steady(plateau) = judge(&flat(40), &limits) else {
            panic!("it is steady: {:?}", judge(&flat(40), &limits));
        };
        assert!((plateau.throughput - 1000.0).abs() < 5.0, "{plateau:?}");
    }

    #[test]
    fn a_warm_up_is_cut_off() {
        let mut bins: Vec<Bin> = (0..20).map(|i| bin(20 + 4 * i)).collect();
        bins.extend(flat(80));
        let Steadiness::Steady(plateau) = judge(&bins, &Limits::default()) else {
            panic!("it is steady");
        };
        assert!((15..=30).contains(&plateau.warm_up_bins), "{plateau:?}");
        assert!((plateau.throughput - 1000.0).abs() < 5.0, "{plateau:?}");
    }

    #[test]
    fn a_trend_never_settles() {
        let bins: Vec<Bin> = (0..600).map(|i| bin(100 + i / 4)).collect();
        for count in 1..600 {
            assert_eq!(
                judge(&bins[..count], &Limits::default()),
                Steadiness::GoOn,
                "{count}"
            );
        }
        assert!(matches!(
            judge(&bins, &Limits::default()),
            Steadiness::Unstable(_)
        ));
    }

    #[test]
    fn hits_that_are_not_counted_show_by_littles_law() {
        let mut bins = flat(600);
        for bin in &mut bins {
            bin.in_flight = 10.3;
        }
        assert!(matches!(
            judge(&bins, &Limits::default()),
            Steadiness::Inconsistent(_)
        ));
    }

    #[test]
    fn nothing_at_all_is_unstable_at_the_end() {
        let bins = vec![Bin::default(); 600];
        let Steadiness::Unstable(plateau) = judge(&bins, &Limits::default()) else {
            panic!("no hit ended");
        };
        assert_eq!(plateau.throughput, 0.0);
    }
}
