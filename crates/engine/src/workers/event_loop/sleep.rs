//! How long an event loop sleeps, and how it wakes in time.

use encarno_nib::Nib;
use rustix::event::epoll::Event;

use super::LoopError;
use super::crew::Crew;

/// The longest stretch before an instant that is spent spinning instead of sleeping. It
/// covers the measured lateness of the timer.
const EARLY_NS_MAX: u64 = 60_000;
/// With `--spin`, how long before the instant a sleep ends.
const SPIN_NS: u64 = 120_000;
/// Without `--spin`, spinning may use this part of the time, so that a high rate doesn't
/// take the core from other programs …
const TURNING_PART: u64 = 4;
/// … and this much of that time can be saved up.
const TURNING_CREDIT_NS_MAX: u64 = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Sleep {
    /// The usual lateness of a sleep.
    early_ns: u64,
    /// The time for which the loop may still spin instead of sleeping.
    credit_ns: u64,
    /// The last instant at which it began to wait.
    waited_ns: u64,
}

impl Sleep {
    /// Sleeps until an event comes, or until shortly before an instant. The rest is spent
    /// spinning, because a timer is late by tens of µs.
    pub(super) fn wait<N: Nib>(
        &mut self,
        crew: &mut Crew<N>,
        events: &mut Vec<Event>,
        now_ns: u64,
        wake_at_ns: u64,
        spin: bool,
    ) -> Result<(), LoopError> {
        let earned_ns = (now_ns - self.waited_ns) / TURNING_PART;
        self.credit_ns = (self.credit_ns + earned_ns).min(TURNING_CREDIT_NS_MAX);
        self.waited_ns = now_ns;
        let rest_ns = wake_at_ns.saturating_sub(now_ns);
        let early_ns = match spin {
            true => SPIN_NS,
            false => self.early_ns.min(self.credit_ns),
        };
        let sleep_ns = rest_ns.saturating_sub(early_ns);
        let woken = crew.wait(events, sleep_ns).map_err(LoopError::Poll)?;
        if woken || !events.is_empty() || rest_ns == 0 {
            return Ok(());
        }
        let slept_ns = crew.now_ns() - now_ns;
        if sleep_ns == 0 {
            self.credit_ns = self.credit_ns.saturating_sub(slept_ns);
        } else {
            // A running mean. A single long oversleep counts at most as twice the bound.
            let late_ns = slept_ns.saturating_sub(sleep_ns).min(2 * EARLY_NS_MAX);
            self.early_ns = ((7 * self.early_ns + late_ns) / 8).min(EARLY_NS_MAX);
        }
        Ok(())
    }
}
