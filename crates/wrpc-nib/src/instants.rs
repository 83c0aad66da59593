//! Tokio's instants by the run's clock: both are CLOCK_MONOTONIC.

use std::time::{Duration, Instant};

use encarno_nib::clock::Clock;

/// One instant by both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instants {
    instant: Instant,
    clock_ns: u64,
}

impl Instants {
    pub(crate) fn new(clock: &Clock) -> Self {
        Self {
            instant: Instant::now(),
            clock_ns: clock.now_ns(),
        }
    }

    /// An instant, in ns since the run's start.
    pub(crate) fn ns(&self, instant: Instant) -> u64 {
        match instant.checked_duration_since(self.instant) {
            Some(since) => self.clock_ns + since.as_nanos() as u64,
            None => {
                let before = self.instant.duration_since(instant).as_nanos() as u64;
                self.clock_ns.saturating_sub(before)
            }
        }
    }

    /// So long after that.
    pub(crate) fn after(&self, clock_ns: u64, long: Duration) -> Instant {
        let since = Duration::from_nanos(clock_ns.saturating_sub(self.clock_ns));
        self.instant + since + long
    }
}
