//! The workers of a closed workload: each starts again when it is free.

use std::time::Duration;

use encarno_nib::Nib;

use super::{Crew, Ended, HUNGER_NS, Pace, STARTS_MAX};
use crate::schedule::Schedule;
use crate::settings::ClosedSettings;
use crate::workers::feed::Next;
use crate::workers::{Control, Share};

#[derive(Debug)]
pub(crate) struct Closed {
    /// The number of workers over time, in all loops together.
    workers: Schedule,
    /// The number of schedule changes that were taken into account.
    changes: u64,
    /// The instant from which no hits start; `None` means the schedule's end.
    end_ns: Option<u64>,
    /// The end that the settings give, before pauses delay it.
    end_settings_ns: Option<u64>,
    share: Share,
    /// The number of workers of this loop that may run, and the instant up to which it
    /// holds.
    active: usize,
    active_until_ns: u64,
    /// Whether a worker was free and there was no record for it yet.
    hungry: bool,
    /// The number of workers whose own input has ended.
    workers_ended: usize,
    ended: Ended,
}

impl Closed {
    /// The closed part of a steered workload.
    pub(super) fn steered(share: Share) -> Self {
        Self::new(
            &ClosedSettings {
                workers: Schedule::default(),
                duration: Some(Duration::MAX),
                workers_max: 0,
            },
            share,
        )
    }

    pub(crate) fn new(settings: &ClosedSettings, share: Share) -> Self {
        Self {
            workers: settings.workers.clone(),
            changes: 0,
            end_ns: settings.end_ns(),
            end_settings_ns: settings.end_ns(),
            share,
            active: 0,
            active_until_ns: 0,
            hungry: false,
            workers_ended: 0,
            ended: Ended::No,
        }
    }

    fn end_ns(&self) -> u64 {
        self.end_ns.unwrap_or_else(|| self.workers.duration_ns())
    }

    fn follow(&mut self, control: &Control) {
        self.changes = control.changes();
        let schedules = control.schedules();
        let end_ns = self.end_settings_ns;
        self.end_ns = end_ns.map(|end_ns| end_ns.saturating_add(schedules.delay_ns));
        if let Some(schedule) = schedules.workers {
            self.workers = Schedule::clone(&schedule);
            self.active_until_ns = 0;
        }
    }
}

impl Pace for Closed {
    #[inline]
    fn start_due<N: Nib>(
        &mut self,
        crew: &mut Crew<N>,
        control: &Control,
        _grace_ns: u64,
        now_ns: &mut u64,
    ) -> bool {
        self.hungry = false;
        for _ in 0..STARTS_MAX {
            // The instant was read before the schedule, so a hit always sees the schedule
            // of its instant.
            if control.changes() != self.changes {
                self.follow(control);
            }
            if *now_ns >= self.end_ns() {
                self.ended = Ended::Time;
                return false;
            }
            if *now_ns >= self.active_until_ns {
                let (all, until_ns) = self.workers.workers_at(*now_ns);
                (self.active, self.active_until_ns) = (self.share.workers(all), until_ns);
                while crew.len() < self.active {
                    crew.hire();
                }
            }
            let Some(index) = crew.next_free() else {
                return false;
            };
            // A worker above the level waits until the level rises again.
            if index as usize >= self.active {
                if !crew.prefer_below(self.active) {
                    return false;
                }
                continue;
            }
            match crew.next_record(index) {
                Next::Record(record) => {
                    crew.take_free();
                    crew.counters().scheduled.add(1);
                    crew.start(index, *now_ns, *now_ns, record);
                    *now_ns = crew.now_ns();
                }
                Next::NotYet => {
                    self.hungry = true;
                    return false;
                }
                Next::End => {
                    crew.take_free();
                    self.workers_ended += 1;
                    if self.workers_ended >= crew.places().unwrap_or(0) {
                        self.ended = Ended::Input;
                        return false;
                    }
                }
            }
        }
        true
    }

    fn next_instant<N: Nib>(&self, _crew: &Crew<N>, now_ns: u64) -> u64 {
        let instant_ns = self.active_until_ns.min(self.end_ns());
        match self.hungry {
            true => instant_ns.min(now_ns + HUNGER_NS),
            false => instant_ns,
        }
    }

    #[inline]
    fn has_ended(&self) -> bool {
        self.ended != Ended::No
    }

    #[inline]
    fn is_over(&self) -> bool {
        self.ended == Ended::Time
    }

    fn stop(&mut self, _now_ns: u64) {
        self.ended = Ended::Time;
    }

    fn is_stopping(&self) -> bool {
        self.is_over()
    }

    fn abort<N: Nib>(&mut self, _crew: &Crew<N>) {
        self.ended = Ended::Time;
    }

    #[inline]
    fn is_hungry(&self) -> bool {
        self.hungry && !self.has_ended()
    }

    /// The workers that may run and have something to send, including pausing ones.
    fn users(&self, _busy: u64) -> u64 {
        self.active.saturating_sub(self.workers_ended) as u64
    }

    fn spins(&self) -> bool {
        false
    }
}
