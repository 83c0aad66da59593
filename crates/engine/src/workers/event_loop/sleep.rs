//! How long an event loop sleeps, and how it wakes in time.

use encarno_nib::Nib;
use rustix::event::epoll::Event;

use super::LoopError;
use super::crew::Crew;

/// The last stretch before an instant isn't slept: the timer's own lateness,
/// as it is measured, up to here.
const EARLY_NS_MAX: u64 = 60_000;
/// With `--spin` a sleep ends that early.
const SPIN_NS: u64 = 120_000;
/// Without `--spin`, turning may use a part of the time like that, so that a
/// high rate doesn't take the core from whoever else needs it …
const TURNING_PART: u64 = 4;
/// … with so much saved up at most.
const TURNING_CREDIT_NS_MAX: u64 = 1_000_000;

#[derive(Debug, Default)]
pub(super) struct Sleep {
    /// How late a sleep usually ends.
    early_ns: u64,
    /// How long the loop may still turn instead of sleeping.
    credit_ns: u64,
    /// When it last began to wait.
    waited_ns: u64,
}

impl Sleep {
    /// Sleeps until an event comes, or shortly before that instant: the rest
    /// is waited for by turning, since a timer is late by tens of µs.
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
            // A running mean; one bad oversleep counts no more than twice the bound.
            let late_ns = slept_ns.saturating_sub(sleep_ns).min(2 * EARLY_NS_MAX);
            self.early_ns = ((7 * self.early_ns + late_ns) / 8).min(EARLY_NS_MAX);
        }
        Ok(())
    }
}
