//! Quantiles of the distributions for intervals and tests.

use statrs::distribution::{Beta, ContinuousCDF, FisherSnedecor, StudentsT};

/// The quantile of Student's t; infinite without degrees of freedom.
pub(crate) fn t_quantile(part: f64, freedom: usize) -> f64 {
    match StudentsT::new(0.0, 1.0, freedom as f64) {
        Ok(distribution) => distribution.inverse_cdf(part),
        Err(_) => f64::INFINITY,
    }
}

/// The probability of a ratio of variances at least this large by chance.
pub(crate) fn f_tail(ratio: f64, numerator: usize, denominator: usize) -> f64 {
    match FisherSnedecor::new(numerator as f64, denominator as f64) {
        Ok(distribution) if ratio.is_finite() => distribution.sf(ratio.max(0.0)),
        Ok(_) => 0.0,
        Err(_) => 1.0,
    }
}

/// The probability of a t at least this far from 0 by chance.
pub(crate) fn t_tail(value: f64, freedom: usize) -> f64 {
    match StudentsT::new(0.0, 1.0, freedom as f64) {
        Ok(distribution) => 2.0 * distribution.sf(value.abs()),
        Err(_) => 1.0,
    }
}

/// The bounds of Clopper and Pearson (1934) for a proportion: `hits` of `tries`. Each
/// bound is wrong with a probability of at most `risk`. The numbers may be fractions,
/// because correlated tries count as fewer.
pub(crate) fn proportion_bounds(hits: f64, tries: f64, risk: f64) -> (f64, f64) {
    let quantile = |part: f64, a: f64, b: f64| match Beta::new(a, b) {
        Ok(distribution) => distribution.inverse_cdf(part),
        Err(_) => part.round(),
    };
    let low = if hits <= 0.0 {
        0.0
    } else {
        quantile(risk, hits, tries - hits + 1.0)
    };
    let high = if hits >= tries {
        1.0
    } else {
        quantile(1.0 - risk, hits + 1.0, tries - hits)
    };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::{f_tail, proportion_bounds, t_quantile};

    /// Values from printed tables.
    #[test]
    fn known_quantiles() {
        assert!((t_quantile(0.975, 10) - 2.228_139).abs() < 1e-4);
        assert!((t_quantile(0.975, 1) - 12.706_205).abs() < 1e-3);
        assert_eq!(t_quantile(0.975, 0), f64::INFINITY);
        assert!((f_tail(4.964_603, 1, 10) - 0.05).abs() < 1e-4);
        let (low, high) = proportion_bounds(0.0, 459.0, 0.01);
        assert!(low == 0.0 && (high - 0.01).abs() < 1e-4, "{high}");
        let (low, high) = proportion_bounds(10.0, 100.0, 0.025);
        assert!((low - 0.0490).abs() < 1e-3 && (high - 0.1762).abs() < 1e-3);
    }
}
