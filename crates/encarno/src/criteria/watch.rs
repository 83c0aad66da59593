//! Checks each second of a run for conditions that end it.

use encarno_engine::meter::Window;
use encarno_record::statistics::time_text;

use super::stop::{StopRules, When};
use encarno_record::condition::Measured;

/// Windows begin and end with seconds of the wall clock, so several windows together may
/// be slightly shorter than their seconds.
const TOLERANCE_NS: u64 = 5_000_000;

/// The conditions, and how long each has held.
#[derive(Debug)]
pub struct Watch {
    rules: StopRules,
    held_ns: Vec<u64>,
    workers_max: u64,
}

impl Watch {
    /// A watch for a run with at most this many workers.
    pub fn new(rules: StopRules, workers_max: u64) -> Self {
        let held_ns = vec![0; rules.0.len()];
        Self {
            rules,
            held_ns,
            workers_max,
        }
    }

    /// Checks a window. If a condition has held for long enough, returns the condition
    /// and its value.
    pub fn take(&mut self, window: &Window) -> Option<String> {
        let span_ns = window.to_ns - window.from_ns;
        let sample = Measured {
            statistics: &window.statistics,
            total: &window.total,
            dropped: window.dropped,
            span_ns,
        };
        for (rule, held_ns) in self.rules.0.iter().zip(&mut self.held_ns) {
            let holds = match &rule.when {
                When::Holds(condition) => condition.holds(&sample),
                When::Instances(limit, false) => window.state.running as f64 > *limit,
                When::Instances(limit, true) => {
                    window.state.running as f64 > *limit * self.workers_max as f64
                }
                When::Elapsed(limit_ns) => window.to_ns >= *limit_ns,
            };
            *held_ns = if holds { *held_ns + span_ns } else { 0 };
            let is_elapsed = holds && matches!(rule.when, When::Elapsed(_));
            if !is_elapsed && (!holds || *held_ns + TOLERANCE_NS < rule.for_ns) {
                continue;
            }
            let shown = match &rule.when {
                When::Holds(condition) => condition.judge(&sample).shown,
                When::Instances(..) => format!("{} hits in flight", window.state.running),
                When::Elapsed(_) => time_text(window.to_ns as f64),
            };
            return Some(format!("{} (it is {shown})", rule.text));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use encarno_engine::meter::Window;
    use encarno_record::statistics::Statistics;
    use encarno_record::sums::{LoopState, OutcomeSums};
    use encarno_record::{Expected, Hit, Texts};

    use super::Watch;

    /// A second in which one of two hits has this status or net code, after 100 ms.
    fn window(number: u64, protocol_code: u16, net_code: u16) -> Window {
        let mut sums = OutcomeSums::default();
        for (protocol_code, net_code) in [(200, 0), (protocol_code, net_code)] {
            sums.record(&Hit {
                ended_ns: 100_000_000,
                protocol_code,
                net_code,
                ..Hit::default()
            });
        }
        let mut statistics = Statistics::default();
        statistics.add(&sums, &mut Texts::default(), 0, &Expected::default());
        Window {
            from_ns: number * 1_000_000_000,
            to_ns: (number + 1) * 1_000_000_000,
            total: statistics.total(),
            statistics,
            state: LoopState {
                running: 9,
                ..LoopState::default()
            },
            ..Window::default()
        }
    }

    /// The index of the second in which the run ends.
    fn ends(rules: &str, windows: &[Window]) -> Option<usize> {
        let mut watch = Watch::new(rules.parse().expect(rules), 10);
        windows
            .iter()
            .position(|window| watch.take(window).is_some())
    }

    #[test]
    fn a_rule_holds_for_as_long_as_it_says() {
        let good = |number| window(number, 200, 0);
        let bad = |number| window(number, 503, 0);
        let lost = |number| window(number, 0, 111);
        let late = [bad(0), good(1), bad(2), bad(3), bad(4)];
        assert_eq!(ends("http(5xx,50%,3s)", &late), Some(4));
        assert_eq!(ends("http(5xx,1,1s)", &late), Some(0));
        assert_eq!(ends("http(5xx,2,1s)", &late), None);
        assert_eq!(ends("http(404,1,1s)", &late), None);
        assert_eq!(ends("errors>=50% for 3s", &late), Some(4));
        assert_eq!(ends("net(xx,1,2)", &[good(0), lost(1), lost(2)]), Some(2));
        assert_eq!(ends("net(xx,1,2)", &late), None);
        assert_eq!(ends("time(99ms,2s)", &late), Some(1));
        assert_eq!(ends("time(110,2s)", &late), None);
        assert_eq!(ends("quantile(95,50,4s)", &late), Some(3));
        assert_eq!(ends("instances(80%,2s)", &late), Some(1));
        assert_eq!(ends("instances(9,2s)", &late), None);
        assert_eq!(ends("limit(3s)", &late), Some(2));
        // A second without hits interrupts a condition about times.
        let pause = Window {
            to_ns: 1_000_000_000,
            ..Window::default()
        };
        assert_eq!(ends("p50>1ms for 2s", &[good(0), pause, good(2)]), None);
    }
}
