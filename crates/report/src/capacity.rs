//! What a measurement of a capacity came to, as the page shows it.

/// A capacity that was measured.
#[derive(Clone, Debug, Default)]
pub struct Capacity {
    /// Whether all that was asked for is known.
    pub is_known: bool,
    /// What it came to, in lines.
    pub found: Vec<String>,
    /// Why not all is known, or can be believed; a sentence each.
    pub reasons: Vec<String>,
    /// Throughput by workers, as the law has it: workers, and between what it lies.
    pub curve: Vec<(f64, Range)>,
    /// What was measured with a number of workers.
    pub points: Vec<Point>,
    /// The highest throughput by the law: workers and hits per second.
    pub peak: Option<(f64, f64)>,
    /// The highest rate that keeps a goal.
    pub goal: Option<Goal>,
    /// Trial by trial: what stands in each column.
    pub trials: Vec<[String; 7]>,
}

/// A value, and between what it lies with 95 % confidence.
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

/// The search of the highest rate that keeps a goal.
#[derive(Clone, Debug, Default)]
pub struct Goal {
    /// The goal.
    pub text: String,
    /// It holds at this rate.
    pub holds: Option<f64>,
    /// It wasn't shown to hold at this rate.
    pub fails: Option<f64>,
    /// The rates that were tried, in order, and whether the goal held; none = undecided.
    pub trials: Vec<(f64, Option<bool>)>,
}
