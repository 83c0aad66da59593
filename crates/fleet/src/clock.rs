//! The offset of an agent's clock from its coordinator's. As in NTP, there are four
//! timestamps, and the exchange with the shortest round trip counts.

use std::time::{SystemTime, UNIX_EPOCH};

use encarno_record::notes::AgentClock;
use rustix::time::{ClockId, clock_gettime};

/// The present instant on CLOCK_MONOTONIC, which nobody sets.
pub(crate) fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn wall_ns() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_nanos() as u64
}

/// How often both clocks are read to know them of one instant.
const READINGS: usize = 16;

/// The monotonic and the wall clock at one instant. A thread may be held up between two
/// readings, so the pair that was read fastest counts.
fn both_ns() -> (u64, u64) {
    let read = |_| {
        let before_ns = monotonic_ns();
        let wall_ns = wall_ns();
        (monotonic_ns() - before_ns, before_ns, wall_ns)
    };
    let fastest = (0..READINGS).map(read).min();
    let (took_ns, before_ns, wall_ns) = fastest.unwrap_or_default();
    (before_ns + took_ns / 2, wall_ns)
}

/// The clock of a run: Unix time from the coordinator's wall clock at the start, and from
/// then on by the monotonic clock, so that it never jumps or goes back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    monotonic_ns: u64,
    unix_ns: u64,
}

impl Axis {
    pub(crate) fn start() -> Self {
        let (monotonic_ns, unix_ns) = both_ns();
        Self {
            monotonic_ns,
            unix_ns,
        }
    }

    pub(crate) fn now_unix_ns(&self) -> u64 {
        self.unix_ns + (monotonic_ns() - self.monotonic_ns)
    }
}

/// One exchange: asked and heard on the agent's clock, received and sent on the
/// coordinator's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exchange {
    pub(crate) asked_ns: u64,
    pub(crate) received_unix_ns: u64,
    pub(crate) sent_unix_ns: u64,
    pub(crate) heard_ns: u64,
}

impl Exchange {
    /// The coordinator's clock minus the agent's.
    fn offset_ns(&self) -> i128 {
        let [t1, t4] = [self.asked_ns, self.heard_ns].map(i128::from);
        let [t2, t3] = [self.received_unix_ns, self.sent_unix_ns].map(i128::from);
        ((t2 - t1) + (t3 - t4)) / 2
    }

    fn round_trip_ns(&self) -> u64 {
        let away_ns = self.sent_unix_ns.saturating_sub(self.received_unix_ns);
        self.heard_ns
            .saturating_sub(self.asked_ns)
            .saturating_sub(away_ns)
    }
}

/// The estimate from exchanges.
#[derive(Clone, Debug, Default)]
pub(crate) struct Estimate {
    /// The best exchange before the start, which determines the start.
    first: Option<Exchange>,
    /// The best exchange of the latest window, and the start of that window.
    latest: Option<Exchange>,
    started: bool,
}

/// The length of a window, in which the best exchange counts.
const WINDOW_NS: u64 = 10_000_000_000;
/// The shortest time over which a drift can be measured.
const DRIFT_NS_MIN: u64 = 10_000_000_000;

impl Estimate {
    pub(crate) fn add(&mut self, exchange: Exchange) {
        let better = |known: &Option<Exchange>| {
            known.is_none_or(|known| exchange.round_trip_ns() <= known.round_trip_ns())
        };
        if !self.started {
            if better(&self.first) {
                self.first = Some(exchange);
            }
            return;
        }
        let is_old = |known: Exchange| exchange.heard_ns > known.heard_ns.saturating_add(WINDOW_NS);
        if better(&self.latest) || self.latest.is_some_and(is_old) {
            self.latest = Some(exchange);
        }
    }

    /// Converts the start from the coordinator's clock to this machine's CLOCK_MONOTONIC.
    pub(crate) fn begin(&mut self, at_unix_ns: u64) -> Option<u64> {
        self.started = true;
        let offset_ns = self.first?.offset_ns();
        u64::try_from(i128::from(at_unix_ns) - offset_ns).ok()
    }

    /// The clock as it is reported.
    pub(crate) fn clock(&self, agent: &str) -> AgentClock {
        let Some(first) = self.first else {
            return AgentClock {
                agent: agent.to_owned(),
                uncertainty_ns: u64::MAX,
                ..AgentClock::default()
            };
        };
        let (monotonic_ns, wall_ns) = both_ns();
        let axis_now_ns = i128::from(monotonic_ns) + first.offset_ns();
        let offset_ns = i128::from(wall_ns) - axis_now_ns;
        let drift = self.latest.and_then(|latest| {
            let over_ns = latest.heard_ns.checked_sub(first.heard_ns)?;
            let moved_ns = first.offset_ns() - latest.offset_ns();
            (over_ns >= DRIFT_NS_MIN).then(|| moved_ns * 1_000_000_000 / i128::from(over_ns))
        });
        AgentClock {
            agent: agent.to_owned(),
            offset_ns: i64::try_from(offset_ns).unwrap_or_default(),
            uncertainty_ns: first.round_trip_ns().div_ceil(2),
            drift_ppb: i64::try_from(drift.unwrap_or_default()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Estimate, Exchange};

    /// The agent's clock is 5 s behind; the arguments are the times of both directions.
    fn exchange(at_ns: u64, there_ns: u64, back_ns: u64) -> Exchange {
        const AHEAD: u64 = 5_000_000_000;
        let received_unix_ns = at_ns + AHEAD + there_ns;
        Exchange {
            asked_ns: at_ns,
            received_unix_ns,
            sent_unix_ns: received_unix_ns + 1_000,
            heard_ns: at_ns + there_ns + 1_000 + back_ns,
        }
    }

    #[test]
    fn the_shortest_round_trip_counts() {
        let mut estimate = Estimate::default();
        estimate.add(exchange(1_000, 9_000_000, 1_000));
        estimate.add(exchange(20_000_000, 50_000, 50_000));
        estimate.add(exchange(30_000_000, 1_000, 7_000_000));
        assert_eq!(estimate.begin(6_000_000_000), Some(1_000_000_000));
        let clock = estimate.clock("a");
        assert_eq!((clock.uncertainty_ns, clock.drift_ppb), (50_000, 0));
    }

    #[test]
    fn a_clock_that_goes_wrong_is_told() {
        let mut estimate = Estimate::default();
        estimate.add(exchange(0, 10_000, 10_000));
        estimate.begin(6_000_000_000);
        // It gained 1 ms in 100 s: 10 parts in a million.
        let mut late = exchange(100_000_000_000, 10_000, 10_000);
        late.received_unix_ns -= 1_000_000;
        late.sent_unix_ns -= 1_000_000;
        estimate.add(late);
        assert!((9_999..=10_001).contains(&estimate.clock("a").drift_ppb));
        assert_eq!(Estimate::default().clock("a").uncertainty_ns, u64::MAX);
    }
}
