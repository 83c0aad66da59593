//! The figures of a run, second by second, as data. The meter prints nothing.
//!
//! Each event loop hands over its sums once a second (see [`crate::output`]). When all
//! loops have done so for a second, the meter makes a [`Window`] of them. The console and
//! the verdict read windows; the [`Summary`] at the end is their sum.

mod quota;
mod summary;
mod totals;
mod verdict;
mod window;

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, unbounded};
use encarno_nib::clock::Clock;
use encarno_record::seconds::{Second, Seconds};
use encarno_record::statistics::Statistics;
use encarno_record::sums::LoopSums;
use encarno_record::{Expected, Strings, Texts};

pub use quota::Quota;
pub use summary::{Ending, Summary, notes};
pub use totals::Totals;
pub use verdict::{BUSY_PART_MAX, Judge, LAG_NS_MIN, LAG_PART_MAX, STARVED_PART_MAX, own_failure};
pub use window::Window;

use crate::schedule::{Level, Schedule};
use crate::settings::{RunSettings, Workload};

/// Makes windows from the sums of event loops.
#[derive(Debug)]
pub struct Meter {
    sums: Receiver<Arc<LoopSums>>,
    started_unix_ns: u64,
    expected: Expected,
    texts: Texts,
    open: bool,
    asked: Option<Arc<Schedule>>,
    /// The number of processes that make the run together.
    parts: usize,
    seconds: Seconds,
    quota: Quota,
    throttled_ns: u64,
    judge: Judge,
    whole: Statistics,
}

impl Meter {
    /// The meter of a run that starts now, and the channel to which its recorders send
    /// their sums.
    pub fn new(
        settings: &RunSettings,
        loops: usize,
        strings: &Strings,
        clock: Clock,
    ) -> (Self, Sender<Arc<LoopSums>>) {
        let (sender, sums) = unbounded();
        let (asked, open) = match &settings.workload {
            Workload::Open(open) => (open.schedule().cloned().map(Arc::new), true),
            Workload::Closed(_) | Workload::Steered(_) => (None, false),
        };
        let started_unix_ns = clock.started_unix_ns();
        let quota = Quota::of_this_process();
        let mut seconds = Seconds::new(started_unix_ns);
        seconds.add_loops(loops);
        let meter = Self {
            sums,
            started_unix_ns,
            expected: settings.expected,
            texts: Texts::of_run(strings.clone()),
            open,
            asked,
            parts: settings.part.count,
            seconds,
            throttled_ns: quota.throttled_ns(),
            judge: Judge::new(open, quota.cores()).calibrated_to(settings.calibrated_rate),
            quota,
            whole: Statistics::default(),
        };
        (meter, sender)
    }

    /// Follows the schedule of an open run, which may grow, to report the present rate.
    pub fn follow(&mut self, schedule: Option<Arc<Schedule>>) {
        if self.open {
            self.asked = schedule;
        }
    }

    /// Observes the windows that are complete by now.
    pub fn look(&mut self, observe: &mut dyn FnMut(&Window)) {
        while let Ok(sums) = self.sums.try_recv() {
            self.take(&sums);
        }
        while let Some(second) = self.seconds.next_whole() {
            self.close(second, observe);
        }
    }

    /// Observes the remaining windows. All loops have ended, the last one at that
    /// instant.
    pub fn end(mut self, elapsed_ns: u64, observe: &mut dyn FnMut(&Window)) -> Metered {
        self.look(observe);
        loop {
            let (second, is_last) = self.seconds.next_of_ended(elapsed_ns);
            self.close(second, observe);
            if is_last {
                break;
            }
        }
        Metered {
            statistics: self.whole,
            judge: self.judge,
        }
    }

    fn take(&mut self, sums: &LoopSums) {
        for (second, outcomes) in &sums.seconds {
            self.seconds.statistics_of(*second).add(
                outcomes,
                &mut self.texts,
                self.started_unix_ns,
                &self.expected,
            );
        }
        self.seconds
            .reach(sums.number as usize, sums.until_ns, sums.state);
    }

    /// Makes a window of a second that is over.
    fn close(&mut self, second: Second, observe: &mut dyn FnMut(&Window)) {
        let mut window = Window::of(second);
        window.asked = self.asked.as_ref().map(|schedule| {
            schedule.level_at(window.to_ns.saturating_sub(1)).0 as f64
                / Level::ONE.0 as f64
                / self.parts as f64
        });
        let throttled_ns = self.quota.throttled_ns();
        window.throttled_ns = throttled_ns.saturating_sub(self.throttled_ns);
        self.throttled_ns = throttled_ns;
        self.whole.merge(&window.statistics);
        self.judge.take(&window);
        observe(&window);
    }
}

/// The result of all windows.
#[derive(Debug)]
pub struct Metered {
    /// The sum of all windows.
    pub statistics: Statistics,
    /// The judge, which has seen all windows.
    pub judge: Judge,
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::Sender;
    use std::num::NonZeroUsize;
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;
    use encarno_nib::clock::Clock;
    use encarno_record::sums::{LoopState, LoopSums, Summing};
    use encarno_record::{Expected, Hit, Strings};

    use super::{Meter, Seconds, Window};
    use crate::settings::{
        Arrivals, OpenSettings, OutputSettings, Part, RunSettings, ScriptSettings, Source, Workload,
    };

    const MS: u64 = 1_000_000;

    fn meter(strings: &Strings) -> (Meter, Sender<Arc<LoopSums>>) {
        let settings = RunSettings {
            source: Source::Request {
                payload: Bytes::new(),
                label: String::new(),
                hits_max: None,
            },
            workload: Workload::Open(OpenSettings {
                arrivals: Arrivals::Uniform("const(100,10s)".parse().expect("a schedule")),
                workers_start: 0,
                workers_max: 1,
                late_limit: None,
                duration_max: None,
                spin: false,
                keep_backlog: false,
            }),
            script: ScriptSettings::default(),
            output: OutputSettings::default(),
            expected: Expected::default(),
            threads: NonZeroUsize::new(2),
            grace: Duration::ZERO,
            part: Part::default(),
            calibrated_rate: None,
        };
        let (mut meter, sender) = Meter::new(&settings, 2, strings, Clock::start());
        // 300 ms of the first second are gone when the run starts.
        meter.started_unix_ns = 1_700_000_000_300_000_000;
        meter.seconds = Seconds::new(meter.started_unix_ns);
        meter.seconds.add_loops(2);
        (meter, sender)
    }

    fn said(
        number: u32,
        until_ns: u64,
        ended_ms: &[u64],
        scheduled: u64,
        strings: &Strings,
    ) -> Arc<LoopSums> {
        let mut summing = Summing::new(1_700_000_000_300_000_000);
        for &ended_ms in ended_ms {
            summing.record(&Hit {
                ended_ns: ended_ms * MS,
                label: strings.intern(if number == 0 { "one" } else { "two" }),
                protocol_code: 200,
                ..Hit::default()
            });
        }
        Arc::new(LoopSums {
            number,
            until_ns,
            state: LoopState {
                scheduled,
                users: 3,
                cpu_ns: scheduled * 100 * MS,
                ..LoopState::default()
            },
            seconds: summing.take(),
            ..LoopSums::default()
        })
    }

    #[test]
    fn a_second_is_a_window_when_all_loops_are_past_it() {
        let strings = Strings::default();
        let (mut meter, sender) = meter(&strings);
        let mut windows: Vec<Window> = Vec::new();
        let mut observe = |window: &Window| windows.push(window.clone());
        let send = |sums| sender.send(sums).expect("the meter is there");
        send(said(0, 701 * MS, &[100, 699, 700], 3, &strings));
        meter.look(&mut observe);
        send(said(1, 710 * MS, &[5], 1, &strings));
        meter.look(&mut observe);
        // A delayed loop reports two seconds at once; one hit arrives after its window.
        send(said(0, 2750 * MS, &[1000, 650, 2749], 7, &strings));
        send(said(1, 1702 * MS, &[], 1, &strings));
        meter.look(&mut observe);
        // The last report of a loop counts from the first second that the loop hasn't
        // reported.
        send(said(0, u64::MAX, &[2900], 8, &strings));
        send(said(1, u64::MAX, &[2800, 2810], 3, &strings));
        let metered = meter.end(2950 * MS, &mut observe);
        let seen: Vec<_> = windows
            .iter()
            .map(|window| {
                (
                    window.second % 100,
                    window.from_ns / MS,
                    window.to_ns / MS,
                    window.total.hits,
                    window.scheduled,
                )
            })
            .collect();
        assert_eq!(
            seen,
            [
                (0, 0, 700, 3, 4),
                (1, 700, 1700, 3, 4),
                (2, 1700, 2700, 0, 2),
                (3, 2700, 2950, 4, 1)
            ]
        );
        assert_eq!(windows[0].state.users, 6);
        assert_eq!(windows[0].asked, Some(100.0));
        let busy: Vec<f64> = windows[0].busy.clone();
        assert!((busy[0] - 3.0 / 7.0).abs() < 1e-9, "{busy:?}");
        let labels: Vec<_> = windows[0]
            .statistics
            .labels()
            .map(|(label, sums)| (label, sums.hits))
            .collect();
        assert_eq!(labels, [("one", 2), ("two", 1)]);
        assert_eq!(metered.statistics.total().hits, 10);
    }
}
