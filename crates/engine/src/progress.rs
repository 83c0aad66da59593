//! What is shown while a run goes on, and what is said at its end.

mod summary;

use std::cell::RefCell;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub use summary::{Ending, Summary, Totals, Verdict};

use encarno_nib::clock::Clock;
use encarno_record::Strings;
use encarno_record::statistics::time_text;

use crate::schedule::Level;
use crate::settings::{Arrivals, RunSettings, Workload};
use crate::workers::Counters;
use crate::workers::counters::Snapshot;

const SECOND_NS: u64 = 1_000_000_000;

/// What is shown while a run goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// A dashboard on a terminal, log lines otherwise.
    #[default]
    Auto,
    /// Log lines.
    Lines,
    /// Nothing.
    Quiet,
}

/// Reads the loops' counters once a second.
#[derive(Debug)]
pub struct Watch {
    counters: Vec<Arc<Counters>>,
    clock: Clock,
    style: Style,
    asked: Option<crate::schedule::Schedule>,
    workers_max: u64,
    open: bool,
    last: RefCell<Last>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Dashboard,
    Lines,
    Quiet,
}

#[derive(Debug, Default)]
struct Last {
    looked_ns: u64,
    totals: Totals,
    response: Snapshot,
    /// Lines of the dashboard that are on the screen.
    lines: usize,
}

impl Watch {
    /// Of a run that starts now.
    pub fn new(
        settings: &RunSettings,
        progress: Progress,
        counters: &[Arc<Counters>],
        clock: Clock,
    ) -> Self {
        let style = match progress {
            Progress::Quiet => Style::Quiet,
            Progress::Auto if std::io::stderr().is_terminal() => Style::Dashboard,
            Progress::Auto | Progress::Lines => Style::Lines,
        };
        let (asked, workers_max, open) = match &settings.workload {
            Workload::Open(open) => {
                let schedule = match &open.arrivals {
                    Arrivals::Uniform(schedule) | Arrivals::Poisson { schedule, .. } => {
                        Some(schedule.clone())
                    }
                    Arrivals::Recorded => None,
                };
                (schedule, open.workers_max as u64, true)
            }
            Workload::Closed(closed) => (
                None,
                closed.workers.level_max().0.div_ceil(Level::ONE.0),
                false,
            ),
        };
        Self {
            counters: counters.to_vec(),
            clock,
            style,
            asked,
            workers_max,
            open,
            last: RefCell::default(),
        }
    }

    /// Shows the state, once a second.
    pub fn look(&self) {
        let now_ns = self.clock.now_ns();
        let mut last = self.last.borrow_mut();
        if self.style == Style::Quiet || now_ns < last.looked_ns + SECOND_NS {
            return;
        }
        let totals = Totals::of(&self.counters);
        let elapsed = (now_ns - last.looked_ns) as f64 * 1e-9;
        let mut response = Snapshot::default();
        self.counters
            .iter()
            .for_each(|counters| counters.response.add_to(&mut response));
        let recent = response.since(&last.response);
        let rate = (totals.ended() - last.totals.ended()) as f64 / elapsed;
        let started = totals.started - last.totals.started;
        let lag_ns = (totals.lag_sum_ns - last.totals.lag_sum_ns) / started.max(1);
        let view = View {
            now_ns,
            rate,
            lag_ns,
            recent: &recent,
            totals: &totals,
        };
        match self.style {
            Style::Dashboard => last.lines = self.draw(&view, last.lines),
            Style::Lines => self.log(&view),
            Style::Quiet => {}
        }
        last.looked_ns = now_ns;
        last.totals = totals;
        last.response = response;
    }

    /// Takes the dashboard off the screen.
    pub fn end(&self) {
        let lines = std::mem::take(&mut self.last.borrow_mut().lines);
        if lines > 0 {
            show(&format!("\x1b[{lines}A\x1b[J"));
        }
    }

    /// What is said at the end.
    pub fn summary(&self, ending: Ending, strings: &Strings) -> Summary {
        Summary::new(&self.counters, self.open, ending, strings)
    }

    /// The health line in the Go tool's words, and the rest in a second one.
    fn log(&self, view: &View<'_>) {
        let totals = view.totals;
        let (waiting, sleeping) = self.idle(totals);
        let time = wall_clock();
        let lag = go_duration(view.lag_ns);
        show(&format!(
            "{time} info Workers: waiting: {waiting}, working: {}, sleeping: {sleeping}, busy: {}, lag: {lag}, reqs: {}\n\
             {time} info {}\n",
            sleeping + totals.running,
            totals.running,
            totals.ended(),
            self.sentence(view),
        ));
    }

    fn draw(&self, view: &View<'_>, lines_before: usize) -> usize {
        let totals = view.totals;
        let (waiting, sleeping) = self.idle(totals);
        let up = if lines_before > 0 {
            format!("\x1b[{lines_before}A\x1b[J")
        } else {
            String::new()
        };
        show(&format!(
            "{up}{:>7.1} s  {}\n          workers: {} busy, {sleeping} sleeping, {waiting} waiting; lag {}\n",
            view.now_ns as f64 * 1e-9,
            self.sentence(view),
            totals.running,
            go_duration(view.lag_ns),
        ));
        2
    }

    fn sentence(&self, view: &View<'_>) -> String {
        let asked = self.asked.as_ref().map_or(String::new(), |schedule| {
            format!(
                " of {:.0}",
                schedule.level_at(view.now_ns).0 as f64 / Level::ONE.0 as f64
            )
        });
        let quantile = |part| time_text(view.recent.quantile_ns(part) as f64);
        let totals = view.totals;
        let unmet = match totals.unmet {
            0 => String::new(),
            unmet => format!(", {unmet} unmet asserts"),
        };
        format!(
            "{:.0}{asked} hits/s, response p50 {} p99 {}, errors: {} net, {} protocol{unmet}, dropped: {}",
            view.rate,
            quantile(0.5),
            quantile(0.99),
            totals.failed,
            totals.refused,
            totals.dropped,
        )
    }

    /// Workers without a hit: waiting (closed: for input) and sleeping (pausing,
    /// or open: for their moment).
    fn idle(&self, totals: &Totals) -> (u64, u64) {
        let idle = totals
            .workers
            .min(self.workers_max)
            .saturating_sub(totals.running);
        let pausing = totals.sleeping.min(idle);
        if self.open {
            (0, idle)
        } else {
            (idle - pausing, pausing)
        }
    }
}

struct View<'a> {
    now_ns: u64,
    rate: f64,
    lag_ns: u64,
    recent: &'a Snapshot,
    totals: &'a Totals,
}

/// A duration as Go writes it: `1.5ms`, `2m3.5s`.
pub fn go_duration(duration_ns: u64) -> String {
    let decimal = |value: f64| {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    match duration_ns {
        0 => "0s".to_owned(),
        1..1_000 => format!("{duration_ns}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(duration_ns as f64 * 1e-3)),
        1_000_000..SECOND_NS => format!("{}ms", decimal(duration_ns as f64 * 1e-6)),
        _ => {
            let seconds = duration_ns as f64 * 1e-9;
            let minutes = (seconds / 60.0) as u64;
            let rest = decimal(seconds - minutes as f64 * 60.0);
            match minutes {
                0 => format!("{rest}s"),
                1..60 => format!("{minutes}m{rest}s"),
                _ => format!("{}h{}m{rest}s", minutes / 60, minutes % 60),
            }
        }
    }
}

/// UTC, as logs write it.
fn wall_clock() -> String {
    let unix = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let (days, seconds) = ((unix / 86_400) as i64, unix % 86_400);
    // Days to a date (Howard Hinnant, chrono-compatible low-level date algorithms).
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
}

fn show(text: &str) {
    // Nobody may be reading any more; the run goes on.
    let _shown = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::go_duration;

    #[test]
    fn durations_look_as_in_go() {
        let cases = [
            (0, "0s"),
            (999, "999ns"),
            (1_500, "1.5µs"),
            (40_000_000, "40ms"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
        ];
        for (duration_ns, text) in cases {
            assert_eq!(go_duration(duration_ns), text);
        }
    }
}
