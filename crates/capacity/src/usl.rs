//! The Universal Scalability Law.
//!
//! N. J. Gunther, "A General Theory of Computational Scalability Based on
//! Rational Functions" (2008): the throughput of N workers is
//! X(N) = λN / (1 + σ(N−1) + κN(N−1)). The law describes closed workloads: a
//! fixed number of workers, each of which waits for its answer.

/// The law's three parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usl {
    /// λ: the throughput of one worker, per second.
    pub lambda: f64,
    /// σ: contention, the share of the work that is done one at a time.
    pub sigma: f64,
    /// κ: coherency, the cost of agreement between each pair of workers.
    pub kappa: f64,
}

/// The highest throughput.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Peak {
    /// N*: the number of workers that reaches it.
    pub workers: f64,
    /// X*: the throughput there, per second.
    pub throughput: f64,
}

impl Usl {
    /// X(N): the throughput of this number of workers, per second.
    pub fn throughput(&self, workers: f64) -> f64 {
        self.lambda * workers / self.slowdown(workers)
    }

    /// The denominator of the law.
    pub(crate) fn slowdown(&self, workers: f64) -> f64 {
        1.0 + self.sigma * (workers - 1.0) + self.kappa * workers * (workers - 1.0)
    }

    /// N* = √((1−σ)/κ) and X* = λ / (σ − κ + 2√(κ(1−σ))); `None` without coherency (κ ≤
    /// 0).
    pub fn peak(&self) -> Option<Peak> {
        let curvature = self.kappa * (1.0 - self.sigma);
        if self.kappa <= 0.0 || curvature <= 0.0 {
            return None;
        }
        Some(Peak {
            workers: ((1.0 - self.sigma) / self.kappa).sqrt(),
            throughput: self.lambda / (self.sigma - self.kappa + 2.0 * curvature.sqrt()),
        })
    }

    /// The number of workers that reach this throughput: the smaller root of κXN² +
    /// ((σ−κ)X − λ)N + X(1−σ) = 0; `None` if no number does.
    pub fn workers_at(&self, throughput: f64) -> Option<f64> {
        let (square, linear, constant) = (
            self.kappa * throughput,
            (self.sigma - self.kappa) * throughput - self.lambda,
            throughput * (1.0 - self.sigma),
        );
        let root = linear * linear - 4.0 * square * constant;
        if root < 0.0 || linear >= 0.0 {
            return None;
        }
        // In this form, the smaller root loses no digits, and κ = 0 needs no special
        // case.
        Some(2.0 * constant / (root.sqrt() - linear))
    }
}

#[cfg(test)]
mod tests {
    use super::Usl;

    #[test]
    fn the_peak_is_where_the_throughput_is_highest() {
        let usl = Usl {
            lambda: 1003.0,
            sigma: 0.031,
            kappa: 4.9e-4,
        };
        let peak = usl.peak().expect("it has one");
        assert!((peak.throughput - usl.throughput(peak.workers)).abs() < 1e-6);
        for offset in [-1.0, 1.0] {
            assert!(usl.throughput(peak.workers + offset) < peak.throughput);
        }
        let amdahl = Usl { kappa: 0.0, ..usl };
        assert_eq!(amdahl.peak(), None);
    }

    #[test]
    fn workers_are_the_inverse_of_throughput() {
        for (sigma, kappa) in [(0.03, 5e-4), (0.03, 0.0), (0.0, 0.0), (-0.01, 1e-3)] {
            let usl = Usl {
                lambda: 1000.0,
                sigma,
                kappa,
            };
            for workers in [1.0, 2.0, 7.5, 20.0] {
                let found = usl
                    .workers_at(usl.throughput(workers))
                    .expect("it is reached");
                assert!((found - workers).abs() < 1e-6, "{found} {workers}");
            }
        }
        let usl = Usl {
            lambda: 1000.0,
            sigma: 0.03,
            kappa: 5e-4,
        };
        assert_eq!(usl.workers_at(1e6), None);
    }
}
