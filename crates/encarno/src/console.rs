//! Shows a run while it goes on: reads windows, and writes to the standard error.

use std::io::Write;
use std::sync::Arc;

use encarno_engine::control::Control;
use encarno_engine::meter::Window;
use encarno_engine::schedule::Level;
use encarno_engine::settings::Workload;
use encarno_record::statistics::{counted, time_text};
use encarno_record::utc;

use crate::dashboard::{self, Dashboard, Follower, View};

const SECOND_NS: u64 = 1_000_000_000;
/// The shortest window for which a rate is shown. The first and last window of a run may
/// have only a few milliseconds.
const RATE_SECONDS_MIN: f64 = 0.5;

/// The kind of progress that is shown during a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// A dashboard on a terminal, log lines otherwise.
    #[default]
    Auto,
    /// A line a second.
    Lines,
    /// The Go tool's health lines, and ours.
    Health,
    /// Nothing.
    Quiet,
}

/// Shows each second of a run.
#[derive(Debug)]
pub struct Console {
    style: Style,
    workers_max: u64,
    open: bool,
    dashboard: Option<Dashboard>,
    sums: Sums,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Dashboard,
    Lines,
    Health,
    Quiet,
}

/// Sums from the start of the run.
#[derive(Debug, Default)]
struct Sums {
    hits: u64,
    failed: u64,
    unanswered: u64,
    dropped: u64,
}

impl Console {
    /// A console for a run with this workload.
    pub fn new(progress: Progress, workload: &Workload) -> Self {
        let style = match progress {
            Progress::Quiet => Style::Quiet,
            Progress::Auto if dashboard::is_possible() => Style::Dashboard,
            Progress::Auto | Progress::Lines => Style::Lines,
            Progress::Health => Style::Health,
        };
        let (workers_max, open) = match workload {
            Workload::Open(open) => (open.workers_max as u64, true),
            Workload::Closed(closed) => {
                let highest = closed.workers.level_max();
                (highest.0.div_ceil(Level::ONE.0), false)
            }
            Workload::Steered(steered) => (steered.workers_max as u64, true),
        };
        Self {
            style,
            workers_max,
            open,
            dashboard: None,
            sums: Sums::default(),
        }
    }

    /// Shows a second.
    pub fn show(&mut self, window: &Window) {
        let total = &window.total;
        let answered = total.net_codes.get(&0).copied().unwrap_or(0);
        self.sums.hits += total.hits;
        self.sums.failed += total.failed;
        self.sums.unanswered += total.hits - answered;
        self.sums.dropped += window.dropped;
        match self.style {
            Style::Quiet => {}
            Style::Lines => write(&self.line(window)),
            Style::Health => write(&self.log_lines(window)),
            Style::Dashboard => match &self.dashboard {
                Some(dashboard) if !dashboard.is_gone() => dashboard.take(window),
                _ => write(&self.line(window)),
            },
        }
    }

    /// Starts the display of a run: its title, its most hits, and the control that steers
    /// it.
    pub fn begin(&mut self, title: &str, hits_max: Option<u64>, control: &Arc<Control>) {
        if self.style != Style::Dashboard {
            return;
        }
        let view = View::new(title, self.workers_max, hits_max);
        self.dashboard = Dashboard::start(Follower::new(view, self.open), control);
    }

    /// Takes the dashboard off the screen.
    pub fn end(&mut self) {
        self.dashboard = None;
    }

    /// A window as one line.
    fn line(&self, window: &Window) -> String {
        format!(
            "{} {}, in flight {}\n",
            utc(window.second + 1),
            self.sentence(window),
            window.state.running
        )
    }

    /// The health line in the Go tool's words, and a second line with the rest.
    fn log_lines(&self, window: &Window) -> String {
        let (waiting, sleeping) = self.idle(window);
        let running = window.state.running;
        let time = utc(window.second + 1);
        format!(
            "{time} info Workers: waiting: {waiting}, working: {}, sleeping: {sleeping}, busy: {running}, lag: {}, reqs: {}\n\
             {time} info {}\n",
            sleeping + running,
            go_duration(window.total.lag_ns.mean() as u64),
            self.sums.hits,
            self.sentence(window),
        )
    }

    fn sentence(&self, window: &Window) -> String {
        let asked = window
            .asked
            .map_or(String::new(), |asked| format!(" of {asked:.0}"));
        // The rate of a shorter window depends on where the second was cut.
        let rate = match window.seconds() {
            seconds if seconds < RATE_SECONDS_MIN => {
                let hits = counted(window.total.hits, "hit");
                format!("{hits} in {}", time_text(seconds * 1e9))
            }
            _ => format!("{:.0}{asked} hits/s", window.rate()),
        };
        // Without a hit that has ended there is no time.
        let quantile = |part| match window.total.hits {
            0 => "–".to_owned(),
            _ => time_text(window.total.response_ns.quantile(part) as f64),
        };
        let codes = window.total.protocol_codes.iter();
        let codes: String = codes
            .filter(|&(&code, _)| code != 0)
            .map(|(code, hits)| format!(" {code}: {hits}"))
            .collect();
        let Sums {
            failed,
            unanswered,
            dropped,
            ..
        } = self.sums;
        format!(
            "{rate}, response p50 {} p99 {}, codes{}; in all failed: {failed} \
             ({unanswered} without a whole answer), dropped: {dropped}",
            quantile(0.5),
            quantile(0.99),
            if codes.is_empty() { " none" } else { &codes },
        )
    }

    /// Workers without a hit: those that wait for input (closed workload), and those that
    /// pause or wait for their instant (open workload).
    fn idle(&self, window: &Window) -> (u64, u64) {
        let state = &window.state;
        let workers = state.workers.min(self.workers_max);
        let idle = workers.saturating_sub(state.running);
        if self.open {
            return (0, idle);
        }
        let pausing = state.sleeping.min(idle);
        (idle - pausing, pausing)
    }
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

fn write(text: &str) {
    // The reader may be gone; the run goes on.
    let _shown = std::io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use encarno_engine::meter::Window;
    use encarno_engine::schedule::{Level, Schedule};
    use encarno_engine::settings::{ClosedSettings, Workload};
    use encarno_record::statistics::Statistics;
    use encarno_record::sums::{LoopState, OutcomeSums};
    use encarno_record::{Expected, Hit, Texts};

    use super::{Console, Progress, go_duration};

    #[test]
    fn lines_say_what_windows_hold() {
        let workload = Workload::Closed(ClosedSettings {
            workers: Schedule::constant(Level::whole(8), 0),
            duration: None,
            workers_max: 0,
        });
        let mut console = Console::new(Progress::Lines, &workload);
        let mut sums = OutcomeSums::default();
        for (protocol_code, net_code) in [(200, 0), (200, 0), (500, 0), (0, 111)] {
            sums.record(&Hit {
                ended_ns: 2_000_000,
                started_ns: 40_000,
                protocol_code,
                net_code,
                ..Hit::default()
            });
        }
        let mut statistics = Statistics::default();
        statistics.add(&sums, &mut Texts::default(), 0, &Expected::default());
        let window = Window {
            second: 1_700_000_000,
            to_ns: 500_000_000,
            total: statistics.total(),
            statistics,
            state: LoopState {
                running: 3,
                workers: 8,
                sleeping: 1,
                ..LoopState::default()
            },
            ..Window::default()
        };
        console.show(&window);
        assert_eq!(
            console.log_lines(&window),
            "2023-11-14T22:13:21Z info Workers: waiting: 4, working: 4, sleeping: 1, busy: 3, lag: 40µs, reqs: 4\n\
             2023-11-14T22:13:21Z info 8 hits/s, response p50 2.00 ms p99 2.00 ms, codes 200: 2 500: 1; \
             in all failed: 2 (1 without a whole answer), dropped: 0\n"
        );
        let sliver = Window {
            to_ns: 9_270_000,
            asked: Some(50.0),
            ..window
        };
        let line = console.line(&sliver);
        assert!(line.contains("Z 4 hits in 9.27 ms, response p50"), "{line}");
        assert!(!line.contains("hits/s"), "{line}");
    }

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
