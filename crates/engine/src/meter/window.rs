//! One second of a run.

use encarno_record::statistics::{LabelStatistics, Statistics};
use encarno_record::sums::LoopState;

/// One second of a run, as data. The first and the last one are shorter: windows
/// begin and end with the seconds of the wall clock, so that those of several
/// machines can be put together.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// The second, Unix time.
    pub second: u64,
    /// Where it begins, ns from the run's start.
    pub from_ns: u64,
    /// Where it ends.
    pub to_ns: u64,
    /// The hits that ended in it, by label.
    pub statistics: Statistics,
    /// All labels together.
    pub total: LabelStatistics,
    /// Hits per second that were asked for at its end; open workloads only.
    pub asked: Option<f64>,
    /// Where all loops together stood at its end.
    pub state: LoopState,
    /// Hits whose instant came in it.
    pub scheduled: u64,
    /// Hits that were started in it.
    pub started: u64,
    /// Hits that were given up before their start.
    pub dropped: u64,
    /// Which share of the time each loop used its core.
    pub busy: Vec<f64>,
    /// Turns in which a hit was due and no worker was free.
    pub no_worker: u64,
    /// Which share of the time workers were free and the input had nothing for them.
    pub starved: f64,
    /// How long the CPU quota of a cgroup held the program up, in all its threads.
    pub throttled_ns: u64,
}

impl Window {
    /// How long it is.
    pub fn seconds(&self) -> f64 {
        (self.to_ns - self.from_ns) as f64 * 1e-9
    }

    /// Hits that ended in it, per second; 0 if it has no length.
    pub fn rate(&self) -> f64 {
        let seconds = self.seconds();
        if seconds > 0.0 {
            self.total.hits as f64 / seconds
        } else {
            0.0
        }
    }

    pub(super) fn add_loop(&mut self, before: &LoopState, at_end: &LoopState, span_ns: u64) {
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
