//! Finds a system's capacity from measurements.
//!
//! This crate has no clock and no IO. You put observations in and get the next
//! thing to measure, or the result, out. So the same code runs against real
//! systems, against a result file, and against thousands of simulated systems.
//!
//! In the order in which a measurement meets them:
//!
//! - [`steady`]: judges one trial: whether it has settled, and its result
//! - [`levels`]: the numbers of workers to measure
//! - [`usl`]: the Universal Scalability Law
//! - [`fit`]: fits the law to trials, with intervals and refusals
//! - [`band`]: the band in which the fitted curve lies
//! - [`goal`]: a goal such as `p99<50ms`, and whether a trial keeps it
//! - [`search`]: the highest rate that keeps a goal
//! - [`users`]: the largest number of workers that keeps a goal

pub mod band;
pub mod fit;
pub mod goal;
pub mod levels;
pub mod search;
pub mod steady;
pub mod users;
pub mod usl;

mod least_squares;
mod random;
mod student;

/// A value, and the interval that contains the true one with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The most likely value.
    pub value: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval. It may be infinite.
    pub high: f64,
}

impl Estimate {
    /// Whether the interval contains this value.
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Half of the interval's width, as a part of the value.
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0 / self.value.abs()
    }
}
