//! The displayed data of a run.

use std::collections::{BTreeMap, VecDeque};

use encarno_engine::control::Stop;
use encarno_engine::meter::{Judge, Quota, Totals, Window};
use encarno_engine::output::WriteSummary;
use encarno_record::histogram::Histogram;
use encarno_record::notes::Verdict;
use encarno_record::statistics::{LabelStatistics, OTHER_LABELS};

/// The number of seconds that charts keep: more than the columns of any terminal.
const HISTORY_MAX: usize = 600;
/// The most labels that are told apart.
const LABELS_MAX: usize = 1000;

/// The phase of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// The run has not begun.
    #[default]
    Starting,
    /// Hits are due.
    Running,
    /// No hit is due until the user resumes the run.
    Paused,
    /// No more hits start.
    Stopping,
}

/// The page that is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// All hits together.
    #[default]
    Overview,
    /// The trials of a measurement.
    Trials,
    /// Each label.
    Labels,
}

/// The state of a measurement of many trials.
#[derive(Clone, Debug, Default)]
pub struct Measuring {
    /// The load of the present trial; empty before the first one.
    pub load: String,
    /// The instant from which the load applies, ns from the run's start.
    pub from_ns: u64,
    /// The result of the trials up to now, in lines.
    pub found: Vec<String>,
    /// A line for each trial that has ended.
    pub trials: Vec<String>,
}

/// The displayed data.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// The target of the run.
    pub title: String,
    /// The most workers.
    pub workers_max: u64,
    /// The most hits.
    pub hits_max: Option<u64>,
    /// The phase of the run.
    pub phase: Phase,
    /// The time since its start.
    pub elapsed_ns: u64,
    /// The time at which it will end, if that is known.
    pub end_ns: Option<u64>,
    /// The page that is shown.
    pub page: Page,
    /// The measurement; `None` if the run isn't one.
    pub measuring: Option<Measuring>,
    /// The number of labels above the first visible one.
    pub scrolled: usize,
    /// The last message.
    pub message: Option<String>,
    pub(super) last: Window,
    pub(super) total: LabelStatistics,
    pub(super) totals: Totals,
    pub(super) verdict: Verdict,
    /// By second: hits per second, and the p99 of the response time in ns.
    pub(super) rates: VecDeque<u64>,
    pub(super) p99s: VecDeque<u64>,
    /// The labels with most hits first; empty if they aren't shown.
    pub(super) labels: Vec<LabelRow>,
}

/// The row of a label.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelRow {
    pub(super) name: String,
    pub(super) hits: u64,
    pub(super) failed: u64,
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) max_ns: u64,
}

/// Makes views from windows.
#[derive(Debug)]
pub struct Follower {
    /// The displayed data besides figures.
    pub view: View,
    labels: BTreeMap<String, Label>,
    judge: Judge,
}

/// The sums of a label's hits.
#[derive(Debug, Default)]
struct Label {
    hits: u64,
    failed: u64,
    response_ns: Histogram,
}

impl Follower {
    /// A follower of a run without windows; `view` has what is known already.
    pub fn new(view: View, open: bool) -> Self {
        Self {
            view,
            labels: BTreeMap::new(),
            judge: Judge::new(open, Quota::of_this_process().cores()),
        }
    }

    /// Takes the window of a second.
    pub fn take(&mut self, window: &Window) {
        let total = &window.total;
        let view = &mut self.view;
        view.total.merge(total);
        view.totals.scheduled += window.scheduled;
        view.totals.started += window.started;
        view.totals.dropped += window.dropped;
        view.totals.no_worker += window.no_worker;
        view.totals.failed += total.failed;
        view.totals.done += total.hits - total.failed;
        for (label, statistics) in window.statistics.labels() {
            let is_known = self.labels.contains_key(label);
            let name = match is_known || self.labels.len() < LABELS_MAX {
                true => label,
                false => OTHER_LABELS,
            };
            let sums = self.labels.entry(name.to_owned()).or_default();
            sums.hits += statistics.hits;
            sums.failed += statistics.failed;
            sums.response_ns.merge(&statistics.response_ns);
        }
        self.judge.take(window);
        let written = WriteSummary::default();
        view.verdict = self
            .judge
            .verdict(&view.total, &view.totals, &written, Stop::No);
        // A short window says little about a rate.
        if window.seconds() > 0.2 {
            push(&mut view.rates, window.rate().round() as u64);
            push(&mut view.p99s, total.response_ns.quantile(0.99));
            // Keep only the total of the statistics, which may be large.
            view.last = Window {
                total: total.clone(),
                busy: window.busy.clone(),
                statistics: Default::default(),
                ..*window
            };
        }
    }

    /// The present view.
    pub fn view(&self) -> View {
        let mut view = self.view.clone();
        if view.page == Page::Labels {
            view.labels = self.labels.iter().map(row).collect();
            view.labels.sort_by_key(|row| std::cmp::Reverse(row.hits));
        }
        view
    }

    /// Scrolls by this many labels, down if positive.
    pub fn scroll(&mut self, lines: i32) {
        let last = self.labels.len().saturating_sub(1);
        let moved = self.view.scrolled.saturating_add_signed(lines as isize);
        self.view.scrolled = moved.min(last);
    }
}

fn row((name, label): (&String, &Label)) -> LabelRow {
    LabelRow {
        name: name.clone(),
        hits: label.hits,
        failed: label.failed,
        p50_ns: label.response_ns.quantile(0.5),
        p99_ns: label.response_ns.quantile(0.99),
        max_ns: label.response_ns.max(),
    }
}

impl View {
    /// The view of a run about which nothing else is known yet.
    pub fn new(title: &str, workers_max: u64, hits_max: Option<u64>) -> Self {
        Self {
            title: title.to_owned(),
            workers_max,
            hits_max,
            ..Self::default()
        }
    }

    /// The first page.
    pub(super) fn home(&self) -> Page {
        match self.measuring {
            Some(_) => Page::Trials,
            None => Page::Overview,
        }
    }

    /// The share of the run that is over; `None` if that isn't known.
    pub(super) fn share(&self) -> Option<f64> {
        let of_time = self.end_ns.filter(|&end_ns| end_ns > 0);
        let of_time = of_time.map(|end_ns| self.elapsed_ns as f64 / end_ns as f64);
        let of_hits = self.hits_max.filter(|&most| most > 0);
        let of_hits = of_hits.map(|most| self.total.hits as f64 / most as f64);
        let share = match (of_time, of_hits) {
            (Some(of_time), Some(of_hits)) => of_time.max(of_hits),
            (of_time, of_hits) => of_time.or(of_hits)?,
        };
        Some(share.clamp(0.0, 1.0))
    }
}

fn push(values: &mut VecDeque<u64>, value: u64) {
    if values.len() >= HISTORY_MAX {
        values.pop_front();
    }
    values.push_back(value);
}
