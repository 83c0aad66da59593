//! The band in which the fitted curve lies with 95 % confidence, at any number of
//! workers.
//!
//! The logarithm of the throughput is locally linear in ln λ, σ and κ. So its variance
//! follows from theirs, which follow from the scatter of the trials around the curve.

use crate::Estimate;
use crate::fit::{CONFIDENCE, Fit, Point, weights};
use crate::least_squares::solve;
use crate::student::t_quantile;
use crate::usl::Usl;

/// The band of a curve.
#[derive(Clone, Debug)]
pub struct Band {
    usl: Usl,
    /// The normal matrix of the parameters, from the trials.
    normal: [[f64; 3]; 3],
    /// The reach of 95 %, in standard deviations, times the scatter.
    reach: f64,
    square: f64,
}

impl Band {
    /// The band of a curve that was fitted to these trials.
    pub fn of(points: &[Point], fit: &Fit) -> Self {
        let largest = points.iter().map(|point| point.workers).fold(1.0, f64::max);
        let free = points.len().saturating_sub(3).max(1);
        let mut band = Self {
            usl: fit.usl,
            normal: [[0.0; 3]; 3],
            reach: t_quantile(CONFIDENCE, free) * fit.scatter,
            square: largest * largest,
        };
        for (point, weight) in points.iter().zip(weights(points)) {
            let slope = band.slope(point.workers).map(|slope| slope * weight);
            for (row, left) in slope.iter().enumerate() {
                for (column, right) in slope.iter().enumerate() {
                    band.normal[row][column] += left * right;
                }
            }
        }
        band
    }

    /// The throughput with this number of workers; `None` if the trials don't determine
    /// it.
    pub fn at(&self, workers: f64) -> Option<Estimate> {
        let slope = self.slope(workers);
        let solution = solve(self.normal, slope)?;
        let pairs = slope.iter().zip(solution);
        let variance: f64 = pairs.map(|(slope, solved)| slope * solved).sum();
        let reach = self.reach * variance.max(0.0).sqrt();
        let value = self.usl.throughput(workers);
        (reach.is_finite() && value.is_finite()).then(|| Estimate {
            value,
            low: value * (-reach).exp(),
            high: value * reach.exp(),
        })
    }

    /// The derivatives of ln X by ln λ, σ, and κ times the square of the largest number
    /// of workers.
    fn slope(&self, workers: f64) -> [f64; 3] {
        let others = workers - 1.0;
        let slowed = 1.0 + self.usl.sigma * others + self.usl.kappa * workers * others;
        let kappa = workers * others / slowed / self.square;
        [1.0, -others / slowed, -kappa]
    }
}

#[cfg(test)]
mod tests {
    use super::Band;
    use crate::fit::{Point, fit};
    use crate::usl::Usl;

    /// Trials scatter by 2 %. The band is narrow among them, wider beyond, and contains
    /// the truth.
    #[test]
    fn it_holds_the_truth_and_widens_where_nothing_was_measured() {
        let truth = Usl {
            lambda: 40.0,
            sigma: 0.03,
            kappa: 5e-4,
        };
        let off = [0.02, -0.015, 0.01, -0.02, 0.015, -0.01, 0.02, -0.02];
        let workers = [1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0, 80.0];
        let points: Vec<Point> = workers
            .iter()
            .zip(off)
            .map(|(&workers, off)| Point {
                workers,
                throughput: truth.throughput(workers) * (1.0 + off),
                relative_error: 0.02,
            })
            .collect();
        let found = fit(&points).expect("a fit");
        let band = Band::of(&points, &found);
        let at = |workers: f64| band.at(workers).expect("a band");
        for workers in [1.0, 3.0, 15.0, 44.0, 80.0, 120.0] {
            let here = at(workers);
            assert!(here.holds(truth.throughput(workers)), "{workers}: {here:?}");
            assert!(here.low < here.value && here.value < here.high);
        }
        assert!(at(30.0).half_width() < 0.05, "{:?}", at(30.0));
        assert!(at(200.0).half_width() > 2.0 * at(40.0).half_width());
    }
}
