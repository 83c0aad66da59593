//! How long an event loop sleeps, and how it wakes in time.

use std::cmp::Reverse;

use encarno_nib::Nib;
use rustix::event::epoll::Event;

use super::{LoopError, Running, TURN_NS_MAX};
use crate::workers::pace::Pace;

/// Without a record: the reader is asked again after that.
const HUNGER_NS: u64 = 200_000;
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

impl<N: Nib> Running<N> {
    /// The next instant at which something is to be done without an event.
    pub(super) fn next_instant(&self, now_ns: u64) -> u64 {
        let mut instant_ns = now_ns + TURN_NS_MAX;
        if let Some(&Reverse((wake_ns, ..))) = self.wakes.peek() {
            instant_ns = instant_ns.min(wake_ns);
        }
        if let Some(index) = self.deadlines.oldest() {
            let started_ns = self.workers[index as usize].shot.hit.started_ns;
            instant_ns = instant_ns.min(started_ns.saturating_add(self.engine.timeout_ns));
        }
        if let Some(&(due_ns, _)) = self.own_deadlines.first() {
            instant_ns = instant_ns.min(due_ns);
        }
        if self.ended {
            return instant_ns;
        }
        if self.hungry {
            instant_ns = instant_ns.min(now_ns + HUNGER_NS);
        }
        match &self.engine.pace {
            Pace::Open(pace) => {
                if let Some(head) = &self.head {
                    let free = !self.free.is_empty() || self.workers.len() < pace.workers_max;
                    let due_ns = if free {
                        head.instant_ns
                    } else {
                        head.instant_ns.saturating_add(pace.late_limit_ns)
                    };
                    // Due and no worker: an event will tell.
                    if free || due_ns > now_ns {
                        instant_ns = instant_ns.min(due_ns);
                    }
                }
            }
            Pace::Closed(pace) => {
                instant_ns = instant_ns.min(self.active_until_ns).min(pace.end_ns)
            }
        }
        instant_ns
    }

    /// Sleeps until an event comes, or shortly before that instant: the rest
    /// is waited for by turning, since a timer is late by tens of µs.
    pub(super) fn wait(
        &mut self,
        events: &mut Vec<Event>,
        now_ns: u64,
        wake_at_ns: u64,
    ) -> Result<(), LoopError> {
        let spin = matches!(&self.engine.pace, Pace::Open(pace) if pace.spin);
        let earned_ns = (now_ns - self.waited_ns) / TURNING_PART;
        self.credit_ns = (self.credit_ns + earned_ns).min(TURNING_CREDIT_NS_MAX);
        self.waited_ns = now_ns;
        let rest_ns = wake_at_ns.saturating_sub(now_ns);
        let early_ns = match spin {
            true => SPIN_NS,
            false => self.early_ns.min(self.credit_ns),
        };
        let sleep_ns = rest_ns.saturating_sub(early_ns);
        self.means
            .poller
            .wait(events, sleep_ns)
            .map_err(LoopError::Poll)?;
        if !events.is_empty() || rest_ns == 0 {
            return Ok(());
        }
        let slept_ns = self.engine.clock.now_ns() - now_ns;
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
