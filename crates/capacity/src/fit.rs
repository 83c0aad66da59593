//! The law fitted to trials.
//!
//! The logarithm of the throughput is fitted by weighted least squares, because the error
//! of a trial is proportional to its throughput. Intervals are those of the profile
//! likelihood (D. M. Bates and D. G. Watts, "Nonlinear Regression Analysis and Its
//! Applications", 1988): a value belongs to the interval if the best fit that has this
//! value is not significantly worse than the best fit of all. For N* and X* the law is
//! written in these parameters, so that their intervals need no linear approximation.
//!
//! A peak that the trials don't support is refused, with the reason.

use std::collections::BTreeMap;

use crate::Estimate;
use crate::least_squares::minimize;
use crate::student::{f_tail, t_quantile};
use crate::usl::{Peak, Usl};

/// One trial: a number of workers and its throughput.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// N.
    pub workers: f64,
    /// X, per second; above 0.
    pub throughput: f64,
    /// The standard error of X as a part of X; 0 means unknown.
    pub relative_error: f64,
}

/// The result of a fit.
#[derive(Clone, Debug)]
pub struct Fit {
    /// The most likely parameters.
    pub usl: Usl,
    /// λ, per second.
    pub lambda: Estimate,
    /// σ.
    pub sigma: Estimate,
    /// κ.
    pub kappa: Estimate,
    /// N* and X*; `None` if the best fit has no peak.
    pub peak: Option<PeakEstimate>,
    /// Why the peak must not be believed; empty if it may be.
    pub refusals: Vec<Refusal>,
    /// Akaike's criterion, corrected for small samples, for each model. The smallest
    /// value belongs to the best model.
    pub aicc: Aicc,
    /// The probability of such scatter around the curve by chance; `None` without
    /// replicates.
    pub lack_of_fit: Option<f64>,
    /// The residuals' standard deviation, as a part of the throughput.
    pub scatter: f64,
    /// The largest measured number of workers, and its throughput.
    pub measured: (f64, f64),
}

/// The peak with intervals.
#[derive(Clone, Copy, Debug)]
pub struct PeakEstimate {
    /// N*.
    pub workers: Estimate,
    /// X*, per second.
    pub throughput: Estimate,
}

/// Akaike's criterion of three models.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aicc {
    /// σ = κ = 0.
    pub linear: f64,
    /// κ = 0: Amdahl's law.
    pub amdahl: f64,
    /// All three parameters.
    pub usl: f64,
}

/// Why a peak is refused.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// κ may be 0, and then there is no peak.
    #[error("the trials don't show that throughput falls again (κ may be 0)")]
    KappaMayBeZero,
    /// N* is too uncertain.
    #[error("the peak is only known to ± {:.0} % of its workers", .half_width * 100.0)]
    Wide {
        /// Half of N*'s interval as a part of N*.
        half_width: f64,
    },
    /// The largest level is too far below the peak.
    #[error(
        "{measured:.0} workers were measured, and the peak would lie at {peak:.0}: measure more workers"
    )]
    NotFarEnough {
        /// The largest number of workers.
        measured: f64,
        /// N*.
        peak: f64,
    },
    /// The trials don't follow the law.
    #[error("the trials don't follow the law (p = {p:.4}): look for a limit, a cliff or drift")]
    LackOfFit {
        /// The probability of that by chance.
        p: f64,
    },
}

/// Why no curve can be fitted.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum FitError {
    /// Three parameters and their intervals need more trials.
    #[error("{trials} trials at {levels} numbers of workers: at least 5 trials at 4 are needed")]
    TooFew {
        /// The number of trials.
        trials: usize,
        /// The number of distinct numbers of workers.
        levels: usize,
    },
    /// A throughput is 0, or not a number.
    #[error(
        "a trial with {workers} workers reached {throughput} per second: no curve can be fitted to that"
    )]
    Unusable {
        /// N.
        workers: f64,
        /// X.
        throughput: f64,
    },
}

pub(crate) const CONFIDENCE: f64 = 0.975;
/// The largest uncertainty of N*, as a part of N*.
const HALF_WIDTH_MAX: f64 = 0.2;
/// The part of N* up to which levels must have been measured.
const MEASURED_MIN: f64 = 0.75;
/// Below this probability, the trials don't follow the law.
const LACK_OF_FIT_MIN: f64 = 0.01;

/// Fits the law.
pub fn fit(points: &[Point]) -> Result<Fit, FitError> {
    let data = Data::new(points)?;
    let count = points.len();
    let (at, sum) = data.best();
    let usl = data.usl(at);
    let free = count - 3;
    let limit = sum * (1.0 + t_quantile(CONFIDENCE, free).powi(2) / free as f64);
    let interval = |coordinate: Coordinate, value: f64| {
        let bound = |direction| data.bound(coordinate, value, at, limit, direction);
        Estimate {
            value: coordinate.shown(value),
            low: coordinate.shown(bound(-1.0)),
            high: coordinate.shown(bound(1.0)),
        }
    };
    let kappa = interval(Coordinate::Kappa, usl.kappa);
    let peak = usl.peak().map(
        |Peak {
             workers,
             throughput,
         }| PeakEstimate {
            workers: interval(Coordinate::PeakWorkers, workers.ln()),
            throughput: interval(Coordinate::PeakThroughput, throughput.ln()),
        },
    );
    let lack_of_fit = data.lack_of_fit(sum);
    let measured = points.iter().max_by(|a, b| a.workers.total_cmp(&b.workers));
    let measured = measured.map_or((0.0, 0.0), |point| (point.workers, point.throughput));
    let mut refusals = Vec::new();
    match peak {
        Some(peak) if kappa.low > 0.0 => {
            let half_width = peak.workers.half_width();
            if half_width > HALF_WIDTH_MAX || half_width.is_nan() {
                refusals.push(Refusal::Wide { half_width });
            }
            if measured.0 < MEASURED_MIN * peak.workers.value {
                refusals.push(Refusal::NotFarEnough {
                    measured: measured.0,
                    peak: peak.workers.value,
                });
            }
        }
        _ => refusals.push(Refusal::KappaMayBeZero),
    }
    if let Some(p) = lack_of_fit.filter(|&p| p < LACK_OF_FIT_MIN) {
        refusals.push(Refusal::LackOfFit { p });
    }
    Ok(Fit {
        usl,
        lambda: interval(Coordinate::Lambda, usl.lambda.ln()),
        sigma: interval(Coordinate::Sigma, usl.sigma),
        kappa,
        peak,
        refusals,
        aicc: data.aicc(sum),
        lack_of_fit,
        scatter: (sum / free as f64).sqrt(),
        measured,
    })
}

/// The coordinate that is fixed while the others are fitted. λ, N* and X* are given by
/// their logarithms.
#[derive(Clone, Copy, Debug)]
enum Coordinate {
    Lambda,
    Sigma,
    Kappa,
    PeakWorkers,
    PeakThroughput,
}

impl Coordinate {
    fn shown(self, value: f64) -> f64 {
        match self {
            Self::Lambda | Self::PeakWorkers | Self::PeakThroughput => value.exp(),
            Self::Sigma | Self::Kappa => value,
        }
    }
}

/// Parameters scaled to about 1: ln λ, σ, and κ times the square of the largest number of
/// workers.
type Scaled = [f64; 3];

struct Data {
    workers: Vec<f64>,
    /// ln X.
    logs: Vec<f64>,
    /// Square roots of the weights, which are 1 on average.
    weights: Vec<f64>,
    square: f64,
}

impl Data {
    fn new(points: &[Point]) -> Result<Self, FitError> {
        let mut levels: Vec<u64> = points.iter().map(|point| point.workers.to_bits()).collect();
        levels.sort_unstable();
        levels.dedup();
        if points.len() < 5 || levels.len() < 4 {
            return Err(FitError::TooFew {
                trials: points.len(),
                levels: levels.len(),
            });
        }
        let usable = |value: f64| value > 0.0 && value.is_finite();
        if let Some(point) = points
            .iter()
            .find(|point| !usable(point.workers) || !usable(point.throughput))
        {
            return Err(FitError::Unusable {
                workers: point.workers,
                throughput: point.throughput,
            });
        }
        let largest = points.iter().map(|point| point.workers).fold(1.0, f64::max);
        Ok(Self {
            workers: points.iter().map(|point| point.workers).collect(),
            logs: points.iter().map(|point| point.throughput.ln()).collect(),
            weights: weights(points),
            square: largest * largest,
        })
    }

    fn usl(&self, [log_lambda, sigma, scaled]: Scaled) -> Usl {
        Usl {
            lambda: log_lambda.exp(),
            sigma,
            kappa: scaled / self.square,
        }
    }

    /// The weighted residuals; false if the law has no value there.
    fn residuals(&self, log_lambda: f64, sigma: f64, kappa: f64, out: &mut [f64]) -> bool {
        let usl = Usl {
            lambda: 1.0,
            sigma,
            kappa,
        };
        for (index, out) in out.iter_mut().enumerate() {
            let workers = self.workers[index];
            let slowdown = usl.slowdown(workers);
            if slowdown <= 0.0 || !slowdown.is_finite() {
                return false;
            }
            let expected = log_lambda + (workers / slowdown).ln();
            *out = (self.logs[index] - expected) * self.weights[index];
        }
        log_lambda.is_finite()
    }

    /// The best fit from several starts, because the law has more than one minimum where
    /// little was measured.
    fn best(&self) -> (Scaled, f64) {
        let first = self
            .workers
            .iter()
            .zip(&self.logs)
            .min_by(|a, b| a.0.total_cmp(b.0))
            .map_or(0.0, |(workers, log)| log - workers.ln());
        let starts = [(0.01, 0.5), (0.05, 1.0), (0.3, 0.1), (0.0, 5.0), (0.0, 0.0)];
        let found = starts.iter().filter_map(|&(sigma, scaled)| {
            minimize(
                self.logs.len(),
                [first, sigma, scaled],
                |&[log, sigma, scaled], out| self.residuals(log, sigma, scaled / self.square, out),
            )
        });
        let best = found.min_by(|a, b| a.sum.total_cmp(&b.sum));
        best.map_or(([first, 0.0, 0.0], f64::INFINITY), |best| {
            (best.at, best.sum)
        })
    }

    /// The smallest sum of squares with this value of the coordinate, and the parameters
    /// there.
    fn profile(&self, coordinate: Coordinate, value: f64, near: Scaled) -> Option<(Scaled, f64)> {
        let count = self.logs.len();
        let [log, sigma, scaled] = near;
        let square = self.square;
        match coordinate {
            Coordinate::Lambda => {
                let found = minimize(count, [sigma, scaled], |&[sigma, scaled], out| {
                    self.residuals(value, sigma, scaled / square, out)
                })?;
                Some(([value, found.at[0], found.at[1]], found.sum))
            }
            Coordinate::Sigma => {
                let found = minimize(count, [log, scaled], |&[log, scaled], out| {
                    self.residuals(log, value, scaled / square, out)
                })?;
                Some(([found.at[0], value, found.at[1]], found.sum))
            }
            Coordinate::Kappa => {
                let found = minimize(count, [log, sigma], |&[log, sigma], out| {
                    self.residuals(log, sigma, value, out)
                })?;
                Some(([found.at[0], found.at[1], value * square], found.sum))
            }
            Coordinate::PeakWorkers => {
                let peak_square = (2.0 * value).exp();
                let found = minimize(count, [log, sigma], |&[log, sigma], out| {
                    sigma < 1.0 && self.residuals(log, sigma, (1.0 - sigma) / peak_square, out)
                })?;
                let [log, sigma] = found.at;
                Some((
                    [log, sigma, (1.0 - sigma) / peak_square * square],
                    found.sum,
                ))
            }
            Coordinate::PeakThroughput => {
                let log_lambda = |sigma: f64, kappa: f64| {
                    let share = sigma - kappa + 2.0 * (kappa * (1.0 - sigma)).sqrt();
                    value + share.ln()
                };
                let start = [sigma, scaled.max(1e-9).ln()];
                let found = minimize(count, start, |&[sigma, scaled], out| {
                    let kappa = scaled.exp() / square;
                    sigma < 1.0 && self.residuals(log_lambda(sigma, kappa), sigma, kappa, out)
                })?;
                let (sigma, kappa) = (found.at[0], found.at[1].exp() / square);
                Some(([log_lambda(sigma, kappa), sigma, kappa * square], found.sum))
            }
        }
    }

    /// The value at which the profile crosses the limit, in one direction from the best
    /// value.
    fn bound(
        &self,
        coordinate: Coordinate,
        best: f64,
        at: Scaled,
        limit: f64,
        direction: f64,
    ) -> f64 {
        /// The largest logarithm: a peak beyond a thousand times the estimate counts as
        /// none.
        const LOG_MAX: f64 = 7.0;
        let (step, far) = match coordinate {
            Coordinate::Sigma => (1e-4, 1e3),
            Coordinate::Kappa => (1e-3 / self.square, 1e6 / self.square),
            _ => (1e-3, LOG_MAX),
        };
        let (mut inside, mut near, mut step) = (best, at, step);
        let mut outside = loop {
            let there = inside + direction * step;
            if (there - best).abs() > far {
                return direction * f64::INFINITY;
            }
            match self.profile(coordinate, there, near) {
                Some((found, sum)) if sum <= limit => (inside, near) = (there, found),
                _ => break there,
            }
            step *= 2.0;
        };
        for _ in 0..30 {
            let middle = f64::midpoint(inside, outside);
            match self.profile(coordinate, middle, near) {
                Some((found, sum)) if sum <= limit => (inside, near) = (middle, found),
                _ => outside = middle,
            }
        }
        inside
    }

    fn aicc(&self, sum: f64) -> Aicc {
        let count = self.logs.len();
        let log = self.logs[0] - self.workers[0].ln();
        let linear = minimize(count, [log], |&[log], out| {
            self.residuals(log, 0.0, 0.0, out)
        });
        let amdahl = minimize(count, [log, 0.01], |&[log, sigma], out| {
            self.residuals(log, sigma, 0.0, out)
        });
        let criterion = |sum: f64, parameters: f64| {
            let (count, parameters) = (count as f64, parameters + 1.0);
            let correction = 2.0 * parameters * (parameters + 1.0) / (count - parameters - 1.0);
            let correction = if count > parameters + 1.0 {
                correction
            } else {
                f64::INFINITY
            };
            count * (sum / count).max(1e-30).ln() + 2.0 * parameters + correction
        };
        Aicc {
            linear: criterion(linear.map_or(f64::INFINITY, |found| found.sum), 1.0),
            amdahl: criterion(amdahl.map_or(f64::INFINITY, |found| found.sum), 2.0),
            usl: criterion(sum, 3.0),
        }
    }

    /// The F test: compares the scatter of replicates with the deviations of levels from
    /// the curve.
    fn lack_of_fit(&self, sum: f64) -> Option<f64> {
        let mut levels: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (index, workers) in self.workers.iter().enumerate() {
            levels.entry(workers.to_bits()).or_default().push(index);
        }
        let free = self.logs.len() - levels.len();
        let misses = levels.len().checked_sub(3).filter(|&misses| misses > 0)?;
        // Below a part in a million, the test would only see rounding.
        if free == 0 || sum < self.logs.len() as f64 * 1e-12 {
            return None;
        }
        let pure: f64 = levels
            .values()
            .map(|indices| {
                let weight = |index: &usize| self.weights[*index].powi(2);
                let total: f64 = indices.iter().map(weight).sum();
                let mean = indices
                    .iter()
                    .map(|i| weight(i) * self.logs[*i])
                    .sum::<f64>()
                    / total;
                let square = |i: &usize| weight(i) * (self.logs[*i] - mean).powi(2);
                indices.iter().map(square).sum::<f64>()
            })
            .sum();
        let ratio = ((sum - pure).max(0.0) / misses as f64) / (pure / free as f64);
        Some(f_tail(ratio, misses, free))
    }
}

/// Square roots of the weights. A trial with a small error by chance must not outweigh
/// all others, so no error counts as less than half of the median.
pub(crate) fn weights(points: &[Point]) -> Vec<f64> {
    let mut errors: Vec<f64> = points.iter().map(|point| point.relative_error).collect();
    errors.sort_by(f64::total_cmp);
    let median = errors[errors.len() / 2];
    if errors[0] <= 0.0 || !median.is_finite() {
        return vec![1.0; points.len()];
    }
    let weight = |point: &Point| 1.0 / point.relative_error.max(median / 2.0);
    let weights: Vec<f64> = points.iter().map(weight).collect();
    let square = weights.iter().map(|weight| weight * weight).sum::<f64>() / weights.len() as f64;
    weights
        .iter()
        .map(|weight| weight / square.sqrt())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{FitError, Point, fit};

    fn points(values: &[(f64, f64)]) -> Vec<Point> {
        let point = |&(workers, throughput)| Point {
            workers,
            throughput,
            relative_error: 0.0,
        };
        values.iter().map(point).collect()
    }

    #[test]
    fn exact_data_give_the_parameters_back() {
        let usl = crate::usl::Usl {
            lambda: 1003.0,
            sigma: 0.031,
            kappa: 4.9e-4,
        };
        let values = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0].map(|n| (n, usl.throughput(n)));
        let fit = fit(&points(&values)).expect("enough trials");
        assert!((fit.usl.lambda - 1003.0).abs() < 0.01, "{fit:?}");
        assert!((fit.usl.sigma - 0.031).abs() < 1e-6 && (fit.usl.kappa - 4.9e-4).abs() < 1e-8);
        assert!(fit.refusals.is_empty(), "{:?}", fit.refusals);
    }

    #[test]
    fn a_line_has_no_peak() {
        let noise = [1.01, 0.99, 1.005, 0.995, 1.0, 1.008];
        let values = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0].iter().zip(noise);
        let values: Vec<_> = values.map(|(&n, noise)| (n, 100.0 * n * noise)).collect();
        let fit = fit(&points(&values)).expect("enough trials");
        assert!(!fit.refusals.is_empty());
        assert!(fit.aicc.linear < fit.aicc.usl, "{:?}", fit.aicc);
    }

    #[test]
    fn too_little_is_an_error() {
        let few = points(&[
            (1.0, 10.0),
            (2.0, 19.0),
            (4.0, 30.0),
            (4.0, 31.0),
            (4.0, 30.5),
        ]);
        assert!(matches!(
            fit(&few),
            Err(FitError::TooFew {
                trials: 5,
                levels: 3
            })
        ));
        let none = points(&[
            (1.0, 10.0),
            (2.0, 0.0),
            (4.0, 30.0),
            (8.0, 31.0),
            (16.0, 3.0),
        ]);
        assert!(matches!(fit(&none), Err(FitError::Unusable { .. })));
    }
}
