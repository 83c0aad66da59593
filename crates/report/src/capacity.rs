//! The result of a capacity measurement, for the page.

/// A measured capacity.
#[derive(Clone, Debug, Default)]
pub struct Capacity {
    /// Whether everything that was asked for is known.
    pub is_known: bool,
    /// The result, in lines.
    pub found: Vec<String>,
    /// Why something isn't known or can't be believed, a sentence each.
    pub reasons: Vec<String>,
    /// The law's throughput by workers, with its band.
    pub curve: Vec<(f64, Range)>,
    /// The trials with a number of workers.
    pub points: Vec<Point>,
    /// The highest throughput by the law: workers and hits per second.
    pub peak: Option<(f64, f64)>,
    /// The highest rate that keeps a goal.
    pub goal: Option<Goal>,
    /// The columns of each trial.
    pub trials: Vec<[String; 7]>,
}

/// A value, with its 95 % interval.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// The lower end.
    pub low: f64,
    /// The most likely value.
    pub value: f64,
    /// The upper end.
    pub high: f64,
}

/// A trial with a number of workers.
#[derive(Clone, Copy, Debug)]
pub struct Point {
    /// Workers.
    pub workers: f64,
    /// Hits per second.
    pub throughput: Range,
    /// Whether it counts for the curve.
    pub counts: bool,
}

/// The search for the highest rate that keeps a goal.
#[derive(Clone, Debug, Default)]
pub struct Goal {
    /// The goal.
    pub text: String,
    /// The rate at which it holds.
    pub holds: Option<f64>,
    /// The rate at which it wasn't shown to hold.
    pub fails: Option<f64>,
    /// The rates that were tried, in order, and whether the goal held; `None` means
    /// undecided.
    pub trials: Vec<(f64, Option<bool>)>,
}
