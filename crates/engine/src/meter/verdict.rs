//! The verdict: whether the figures describe the target or the generator.

use encarno_record::notes::{Judgement, Verdict};
use encarno_record::statistics::{LabelStatistics, counted, time_text, was};

use super::{Totals, Window};
use crate::output::WriteSummary;
use crate::workers::control::Stop;

/// The quantiles at which lag is compared with response time; these are also shown.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
/// The fewest hits beyond a quantile for which the quantile is compared.
const HITS_BEYOND_MIN: f64 = 10.0;
/// The fewest hits for which even the median is compared.
const HITS_MIN: u64 = 20;
/// Lag spoils the figures if it is more than this part of the response time …
pub const LAG_PART_MAX: f64 = 0.25;
/// … and longer than the usual lateness of a timer.
pub const LAG_NS_MIN: u64 = 250_000;
/// A loop with a larger busy share has no time left.
pub const BUSY_PART_MAX: f64 = 0.95;
/// A closed run is starved if its workers lack input for more than this part of the time.
pub const STARVED_PART_MAX: f64 = 0.1;
/// A problem in a smaller part of the windows is a hiccup, unless the whole run shows it.
const WINDOWS_PART_MIN: f64 = 0.1;
/// A shorter run isn't judged as starved, because its input has just been opened.
const STARVED_SECONDS_MIN: f64 = 1.0;
/// A shorter window doesn't show how busy a loop was.
const WINDOW_SECONDS_MIN: f64 = 0.2;
/// A rate up to this multiple of the calibrated one counts as equal.
const CALIBRATED_PART_MAX: f64 = 1.05;
/// Failures that are caused by the generator's own machine, with advice.
const OWN_FAILURES: [(u16, &str); 7] = [
    (
        99,
        "no source address or port was left (EADDRNOTAVAIL): keep connections, use fewer, or add --source-address",
    ),
    (
        98,
        "a source port was in use (EADDRINUSE): use fewer connections, or add --source-address",
    ),
    (
        24,
        "no file descriptor was left (EMFILE): raise the limit (ulimit -n), or use fewer connections",
    ),
    (
        23,
        "the system had no file descriptor left (ENFILE): use fewer connections",
    ),
    (
        105,
        "the system had no buffers left (ENOBUFS): use fewer connections",
    ),
    (
        12,
        "the system had no memory left (ENOMEM): use fewer connections",
    ),
    (
        11,
        "no source port was available (EAGAIN): use fewer connections, or add --source-address",
    ),
];

/// The advice for a failure that this machine caused; `None` if it didn't.
pub fn own_failure(net_code: u16) -> Option<&'static str> {
    let found = OWN_FAILURES.iter().find(|(code, _)| *code == net_code);
    found.map(|(_, what)| *what)
}

/// Takes every window, and judges at the end.
#[derive(Clone, Debug, Default)]
pub struct Judge {
    open: bool,
    quota_cores: Option<f64>,
    /// The rate to which this machine is calibrated, hits per second.
    calibrated: Option<f64>,
    /// The most hits per second of any window.
    fastest: f64,
    /// The number of windows that are long enough.
    windows: u64,
    busy: Seen,
    starved: Seen,
    throttled: Seen,
    /// The windows since the last comparison, merged.
    compared_next: Compared,
    /// The number of comparisons of lag, and the number of those in which lag spoils a
    /// quantile.
    compared: u64,
    late: Seen,
    late_busy: Seen,
    late_starved: u64,
    late_throttled: u64,
    late_no_worker: u64,
    /// The time for which workers lacked input, and the time for which they could have.
    starved_seconds: f64,
    seconds: f64,
    busiest: f64,
}

/// Several windows that are compared as one, because at a low rate a single window has
/// too few hits.
#[derive(Clone, Debug, Default)]
struct Compared {
    windows: u64,
    total: LabelStatistics,
    busiest: f64,
    starved: bool,
    throttled: bool,
    no_worker: bool,
}

/// The number of windows with an observation, and the worst of them.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    windows: u64,
    worst: f64,
}

impl Seen {
    fn note(&mut self, windows: u64, value: f64) {
        self.windows += windows;
        self.worst = self.worst.max(value);
    }
}

impl Judge {
    /// The judge of an open or a closed run, under a CPU quota in cores.
    pub fn new(open: bool, quota_cores: Option<f64>) -> Self {
        Self {
            open,
            quota_cores,
            ..Self::default()
        }
    }

    /// The same judge, for a machine that is calibrated to this rate, hits per second.
    pub fn calibrated_to(self, calibrated: Option<f64>) -> Self {
        Self { calibrated, ..self }
    }

    /// Takes a window.
    pub fn take(&mut self, window: &Window) {
        let busiest = window.busy.iter().copied().fold(0.0, f64::max);
        let throttled = window.throttled_ns > 0;
        if window.seconds() >= WINDOW_SECONDS_MIN {
            self.windows += 1;
            self.fastest = self.fastest.max(window.rate());
            self.busiest = self.busiest.max(busiest);
            if busiest > BUSY_PART_MAX {
                self.busy.note(1, busiest);
            }
            if window.starved > STARVED_PART_MAX {
                self.starved.note(1, window.starved);
            }
            if throttled {
                self.throttled.note(1, window.throttled_ns as f64);
            }
        }
        self.seconds += window.seconds();
        self.starved_seconds += window.starved * window.seconds();
        if self.open {
            self.compare(window, busiest);
        }
    }

    fn compare(&mut self, window: &Window, busiest: f64) {
        let next = &mut self.compared_next;
        next.windows += 1;
        next.busiest = next.busiest.max(busiest);
        next.starved |= window.starved > STARVED_PART_MAX;
        next.throttled |= window.throttled_ns > 0;
        next.no_worker |= window.no_worker > 0;
        let late = if next.windows == 1 && window.total.hits >= HITS_MIN {
            Lateness::of(&window.total)
        } else {
            next.total.merge(&window.total);
            if next.total.hits < HITS_MIN {
                return;
            }
            Lateness::of(&next.total)
        };
        let next = std::mem::take(&mut self.compared_next);
        self.compared += next.windows;
        let Some(late) = late else {
            return;
        };
        self.late.note(next.windows, late.part());
        if next.busiest > BUSY_PART_MAX {
            self.late_busy.note(next.windows, next.busiest);
        }
        self.late_starved += u64::from(next.starved);
        self.late_throttled += u64::from(next.throttled);
        self.late_no_worker += u64::from(next.no_worker);
    }

    /// Judges the run.
    pub fn verdict(
        &self,
        total: &LabelStatistics,
        totals: &Totals,
        written: &WriteSummary,
        stop: Stop,
    ) -> Verdict {
        let mut reasons = Vec::new();
        if self.open {
            self.judge_open(total, totals, &mut reasons);
        } else {
            self.judge_closed(&mut reasons);
        }
        if totals.dropped > 0 && stop == Stop::No {
            let why = match totals.no_worker {
                0 => "the generator was late",
                _ => {
                    "all connections were busy: allow more (--connections), or the target is too slow for this rate"
                }
            };
            let (dropped, was) = (counted(totals.dropped, "hit"), was(totals.dropped));
            reasons.push(format!("{dropped} {was} dropped: {why}"));
        }
        for (code, what) in OWN_FAILURES {
            if let Some(&count) = total.net_codes.get(&code) {
                let failed = counted(count, "hit");
                reasons.push(format!("{failed} failed on this machine: {what}"));
            }
        }
        if written.hits_lost > 0 {
            let (lost, was) = (counted(written.hits_lost, "hit"), was(written.hits_lost));
            reasons.push(format!("{lost} {was}n't recorded: the output is too slow"));
        }
        let beyond = self.beyond_calibration();
        if !reasons.is_empty() {
            reasons.extend(beyond);
            return Verdict {
                judgement: Judgement::Limited,
                reasons,
            };
        }
        let unknown = if total.hits == 0 {
            Some("no hit was made".to_owned())
        } else if total.failed == total.hits {
            Some("every hit failed: the figures don't describe a working target".to_owned())
        } else if total.hits < HITS_MIN {
            Some(format!("too few hits to say ({})", total.hits))
        } else {
            None
        };
        match unknown.or(beyond) {
            Some(reason) => Verdict {
                judgement: Judgement::Unknown,
                reasons: vec![reason],
            },
            None => Verdict::sound(),
        }
    }

    fn beyond_calibration(&self) -> Option<String> {
        let calibrated = self.calibrated?;
        (self.fastest > calibrated * CALIBRATED_PART_MAX).then(|| {
            format!(
                "this machine was calibrated to {calibrated:.0} hits/s of this kind, and there \
                 were up to {:.0}: figures beyond the calibrated rate may be wrong (encarno \
                 calibrate)",
                self.fastest
            )
        })
    }

    fn judge_open(&self, total: &LabelStatistics, totals: &Totals, reasons: &mut Vec<String>) {
        let whole = Lateness::of(total);
        if whole.is_none() && !is_often(self.late.windows, self.compared) {
            return;
        }
        let what = match whole {
            Some(late) => late.to_string(),
            None => format!(
                "lag makes up {:.0} % of the response time",
                self.late.worst * 100.0
            ),
        };
        let (late, compared) = (self.late.windows, self.compared);
        // If only the whole run shows the lateness, look for its cause in the whole run
        // too.
        let no_worker = match late {
            0 => totals.no_worker,
            _ => self.late_no_worker,
        };
        let cause = if self.late_throttled > 0 {
            self.quota_text()
        } else if self.late_busy.windows > 0 {
            let part = self.late_busy.worst * 100.0;
            format!("an event loop used {part:.0} % of its core: use more threads or machines")
        } else if no_worker > 0 {
            "hits waited for a free connection: allow more (--connections), or the target is too \
             slow for this rate"
                .to_owned()
        } else if self.late_starved > 0 {
            "hits waited for the input".to_owned()
        } else {
            "the machine is too busy, or other programs are in the way".to_owned()
        };
        let seconds = match late {
            0 => String::new(),
            _ => format!(" in {late} of {compared} s"),
        };
        reasons.push(format!("hits started late{seconds}: {what}; {cause}"));
    }

    fn judge_closed(&self, reasons: &mut Vec<String>) {
        let windows = self.windows;
        if is_often(self.throttled.windows, windows) {
            reasons.push(format!(
                "in {} of {windows} s {}",
                self.throttled.windows,
                self.quota_text()
            ));
        } else if is_often(self.busy.windows, windows) {
            reasons.push(format!(
                "an event loop used {:.0} % of its core (in {} of {windows} s): use more threads or machines",
                self.busy.worst * 100.0,
                self.busy.windows,
            ));
        }
        let starved = self.starved_seconds / self.seconds.max(1e-9);
        let is_starved = starved > STARVED_PART_MAX && self.seconds >= STARVED_SECONDS_MIN;
        if is_starved || is_often(self.starved.windows, windows) {
            reasons.push(format!(
                "workers waited for the input {:.0} % of the time: it is too slow",
                starved * 100.0
            ));
        }
    }

    fn quota_text(&self) -> String {
        let quota = match self.quota_cores {
            Some(cores) => format!("the CPU quota of the cgroup ({cores:.2} cores)"),
            None => "the CPU quota of a cgroup".to_owned(),
        };
        format!("{quota} held the generator up: raise it, or ask for less")
    }
}

fn is_often(windows: u64, of: u64) -> bool {
    windows > 0 && windows as f64 >= of as f64 * WINDOWS_PART_MIN
}

/// The quantile at which lag spoils the response time most.
struct Lateness {
    name: &'static str,
    lag_ns: u64,
    response_ns: u64,
}

impl Lateness {
    fn of(hits: &LabelStatistics) -> Option<Self> {
        let tells = |part: f64| hits.hits as f64 * (1.0 - part) >= HITS_BEYOND_MIN - 1e-6;
        QUANTILES
            .into_iter()
            .filter(|&(_, part)| tells(part))
            .map(|(name, part)| Self {
                name,
                lag_ns: hits.lag_ns.quantile(part),
                response_ns: hits.response_ns.quantile(part),
            })
            .filter(|late| late.lag_ns > LAG_NS_MIN && late.part() > LAG_PART_MAX)
            // Of equal quantiles, take the lowest, which concerns the most hits.
            .rev()
            .max_by(|one, other| one.part().total_cmp(&other.part()))
    }

    fn part(&self) -> f64 {
        (self.lag_ns as f64 / self.response_ns.max(1) as f64).min(1.0)
    }
}

impl std::fmt::Display for Lateness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "lag makes up {:.0} % of the response time at {} ({} of {})",
            self.part() * 100.0,
            self.name,
            time_text(self.lag_ns as f64),
            time_text(self.response_ns as f64),
        )
    }
}
