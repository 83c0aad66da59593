//! The clock of the log.

use rustix::time::{ClockId, clock_gettime};

/// The present instant on CLOCK_MONOTONIC, ns.
pub(super) fn monotonic_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
