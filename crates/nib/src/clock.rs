//! The run's clock: ns from its start on CLOCK_MONOTONIC.

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// The clock of a run. It is monotonic, so no instant goes back. The wall clock is read
/// once.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin_ns: u64,
    started_unix_ns: u64,
}

impl Clock {
    /// A clock of a run that starts now.
    pub fn start() -> Self {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            origin_ns: read_ns(ClockId::Monotonic),
            started_unix_ns: unix.as_nanos() as u64,
        }
    }

    /// A clock of a run that starts at this instant of CLOCK_MONOTONIC. `started_unix_ns`
    /// is the same instant on the wall clock of the machine that sets the start.
    pub fn started_at(origin_ns: u64, started_unix_ns: u64) -> Self {
        Self {
            origin_ns,
            started_unix_ns,
        }
    }

    /// The present instant of the run.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        read_ns(ClockId::Monotonic) - self.origin_ns
    }

    /// The run's start on CLOCK_MONOTONIC, to compare with other programs on this machine.
    pub fn origin_ns(&self) -> u64 {
        self.origin_ns
    }

    /// The run's start by the wall clock.
    pub fn started_unix_ns(&self) -> u64 {
        self.started_unix_ns
    }
}

/// The present instant on CLOCK_MONOTONIC.
pub fn monotonic_ns() -> u64 {
    read_ns(ClockId::Monotonic)
}

/// The CPU time that the calling thread has used.
pub fn thread_cpu_ns() -> u64 {
    read_ns(ClockId::ThreadCPUTime)
}

fn read_ns(id: ClockId) -> u64 {
    let time = clock_gettime(id);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
