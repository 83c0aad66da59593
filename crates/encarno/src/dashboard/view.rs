//! What there is to see of a run, as data.

use std::collections::{BTreeMap, VecDeque};

use encarno_engine::control::Stop;
use encarno_engine::meter::{Judge, Quota, Totals, Window};
use encarno_engine::output::WriteSummary;
use encarno_record::histogram::Histogram;
use encarno_record::notes::Verdict;
use encarno_record::statistics::{LabelStatistics, OTHER_LABELS};

/// Seconds that are kept for charts: as wide as any terminal.
const HISTORY_MAX: usize = 600;
/// Labels that are told apart.
const LABELS_MAX: usize = 1000;

/// What the run is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun.
    #[default]
    Starting,
    /// Hits are due.
    Running,
    /// No hit is due until the user says so.
    Paused,
    /// No hit starts any more.
    Stopping,
}

/// What is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// All hits together.
    #[default]
    Overview,
    /// The trials of a measurement.
    Trials,
    /// Each label for itself.
    Labels,
}

/// What a measurement of many trials is at.
#[derive(Clone, Debug, Default)]
pub struct Measuring {
    /// The load of the trial that is on; empty before it is.
    pub load: String,
    /// From which instant on it holds, ns from the run's start.
    pub from_ns: u64,
    /// What the trials say up to now, in lines.
    pub found: Vec<String>,
    /// A line for each trial that has ended.
    pub trials: Vec<String>,
}

/// What there is to see.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// What is hit.
    pub title: String,
    /// At most so many workers.
    pub workers_max: u64,
    /// At most so many hits.
    pub hits_max: Option<u64>,
    /// What the run is doing.
    pub phase: Phase,
    /// How long it has gone on.
    pub elapsed_ns: u64,
    /// When it will end, as far as that is known.
    pub end_ns: Option<u64>,
    /// What is shown.
    pub page: Page,
    /// What is measured; none if the run is no measurement.
    pub measuring: Option<Measuring>,
    /// So many labels are above the first one that is shown.
    pub scrolled: usize,
    /// What was said last.
    pub message: Option<String>,
    pub(super) last: Window,
    pub(super) total: LabelStatistics,
    pub(super) totals: Totals,
    pub(super) verdict: Verdict,
    /// Hits per second, and the response time's p99 in ns, by second.
    pub(super) rates: VecDeque<u64>,
    pub(super) p99s: VecDeque<u64>,
    /// Those with most hits first; only if they are shown.
    pub(super) labels: Vec<LabelRow>,
}

/// What is shown of a label.
#[derive(Clone, Debug, Default)]
pub(super) struct LabelRow {
    pub(super) name: String,
    pub(super) hits: u64,
    pub(super) failed: u64,
    pub(super) p50_ns: u64,
    pub(super) p99_ns: u64,
    pub(super) max_ns: u64,
}

/// Makes views of windows.
#[derive(Debug)]
pub struct Follower {
    /// What is on the screen beside figures.
    pub view: View,
    labels: BTreeMap<String, Label>,
    judge: Judge,
}

/// What became of the hits of a label.
#[derive(Debug, Default)]
struct Label {
    hits: u64,
    failed: u64,
    response_ns: Histogram,
}

impl Follower {
    /// Of a run of which nothing is known yet; `view` says what is known of it.
    pub fn new(view: View, open: bool) -> Self {
        Self {
            view,
            labels: BTreeMap::new(),
            judge: Judge::new(open, Quota::of_this_process().cores()),
        }
    }

    /// A second is over.
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
        // The rest of a second says little about a rate.
        if window.seconds() > 0.2 {
            push(&mut view.rates, window.rate().round() as u64);
            push(&mut view.p99s, total.response_ns.quantile(0.99));
            // Of the statistics only the total is shown, and they may be large.
            view.last = Window {
                total: total.clone(),
                busy: window.busy.clone(),
                statistics: Default::default(),
                ..*window
            };
        }
    }

    /// What there is to see now.
    pub fn view(&self) -> View {
        let mut view = self.view.clone();
        if view.page == Page::Labels {
            view.labels = self.labels.iter().map(row).collect();
            view.labels.sort_by_key(|row| std::cmp::Reverse(row.hits));
        }
        view
    }

    /// Goes so many labels down or up.
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
    /// Of a run of which nothing else is known yet.
    pub fn new(title: &str, workers_max: u64, hits_max: Option<u64>) -> Self {
        Self {
            title: title.to_owned(),
            workers_max,
            hits_max,
            ..Self::default()
        }
    }

    /// The page that is shown first.
    pub(super) fn home(&self) -> Page {
        match self.measuring {
            Some(_) => Page::Trials,
            None => Page::Overview,
        }
    }

    /// Which share of the run is over; none if that can't be said.
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
