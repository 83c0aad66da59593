//! One second of a run.

use encarno_record::seconds::Second;
use encarno_record::statistics::{LabelStatistics, Statistics};
use encarno_record::sums::LoopState;

/// One second of a run, as data. Windows begin and end with the seconds of the wall
/// clock, so that windows of several machines can be merged. The first and the last
/// window are therefore shorter.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// The second, as Unix time.
    pub second: u64,
    /// Its start, ns from the run's start.
    pub from_ns: u64,
    /// Its end, ns from the run's start.
    pub to_ns: u64,
    /// The hits that ended in it, by label.
    pub statistics: Statistics,
    /// All labels together.
    pub total: LabelStatistics,
    /// The asked rate at its end, hits per second; `None` for closed workloads.
    pub asked: Option<f64>,
    /// The sum of the loops' states at its end.
    pub state: LoopState,
    /// Hits that came due in it.
    pub scheduled: u64,
    /// Hits that were started in it.
    pub started: u64,
    /// Hits that were dropped in it before they started.
    pub dropped: u64,
    /// The share of the time for which each loop used its core.
    pub busy: Vec<f64>,
    /// Turns in which a hit was due and no worker was free.
    pub no_worker: u64,
    /// The share of the time for which workers were free and the input had no record.
    pub starved: f64,
    /// The time for which the CPU quota of a cgroup held up threads of the program.
    pub throttled_ns: u64,
}

impl Window {
    /// A second, as far as sums of event loops show it.
    pub fn of(second: Second) -> Self {
        let mut window = Self {
            second: second.second,
            from_ns: second.from_ns,
            to_ns: second.to_ns,
            total: second.statistics.total(),
            statistics: second.statistics,
            ..Self::default()
        };
        let span_ns = (second.to_ns - second.from_ns).max(1);
        for (before, at_end) in &second.states {
            window.add_loop(before, at_end, span_ns);
        }
        window.starved /= second.states.len().max(1) as f64;
        window
    }

    /// The length of the window, s.
    pub fn seconds(&self) -> f64 {
        (self.to_ns - self.from_ns) as f64 * 1e-9
    }

    /// The hits that ended in it, per second; 0 if it has no length.
    pub fn rate(&self) -> f64 {
        let seconds = self.seconds();
        if seconds > 0.0 {
            self.total.hits as f64 / seconds
        } else {
            0.0
        }
    }

    fn add_loop(&mut self, before: &LoopState, at_end: &LoopState, span_ns: u64) {
        let since = |pick: fn(&LoopState) -> u64| pick(at_end).saturating_sub(pick(before));
        let share = |part_ns: u64| part_ns as f64 / span_ns as f64;
        self.scheduled += since(|state| state.scheduled);
        self.started += since(|state| state.started);
        self.dropped += since(|state| state.dropped);
        self.no_worker += since(|state| state.no_worker);
        self.busy.push(share(since(|state| state.cpu_ns)));
        self.starved += share(since(|state| state.starved_ns));
        self.state.add(at_end);
    }
}
