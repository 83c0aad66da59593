//! The instants of an open workload, at which hits start independent of the answers.

use encarno_nib::Nib;

use super::{Crew, Ended, HUNGER_NS, Pace, STARTS_MAX};
use crate::schedule::{HitInstants, Level, Randomness, Schedule};
use crate::script::Planned;
use crate::settings::{Arrivals, OpenSettings, SteeredSettings};
use crate::workers::feed::Next;
use crate::workers::{Control, Share};

/// The time that a slow input gets at the schedule's end, unless the grace period is
/// shorter.
const BEHIND_NS_MAX: u64 = 1_000_000_000;

#[derive(Debug)]
pub(crate) struct Open {
    /// The instants; `None` means that the records have them.
    instants: Option<HitInstants>,
    /// The number of schedule changes that were taken into account.
    changes: u64,
    /// The instant from which no hits start, whatever the schedule says.
    end_ns: u64,
    /// The end that the settings give, before pauses delay it.
    end_settings_ns: u64,
    /// Hits that are later than this are dropped.
    late_limit_ns: u64,
    /// When this instant has come, hits that were due before it are dropped.
    void_before_ns: u64,
    /// The most workers of this loop.
    workers_max: usize,
    /// The most workers that are busy at a time.
    busy_max: u64,
    spin: bool,
    keep_backlog: bool,
    /// The record of the next hit; also `None` if each worker has its own records.
    record: Option<Planned>,
    /// The next hit, whose instant may not have come yet.
    head: Option<Head>,
    /// Whether due hits are dropped, because the schedule has ended and no worker was
    /// free.
    dropping: bool,
    /// Whether the run was stopped before the end of its schedule.
    stopped: bool,
    /// Whether there was no record yet for a hit.
    hungry: bool,
    /// The number of workers whose own input has ended.
    workers_ended: usize,
    ended: Ended,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    instant_ns: u64,
    /// Whether the hit was counted as scheduled already.
    due: bool,
}

impl Open {
    pub(crate) fn new(settings: &OpenSettings, share: Share) -> Self {
        let (number, count) = (share.number as u64, share.count as u64);
        Self {
            instants: match &settings.arrivals {
                Arrivals::Uniform(schedule) => {
                    Some(HitInstants::new(schedule, Randomness::None, number, count))
                }
                Arrivals::Poisson { schedule, seed } => {
                    let randomness = Randomness::Poisson { seed: *seed };
                    Some(HitInstants::new(schedule, randomness, number, count))
                }
                Arrivals::Recorded => None,
            },
            changes: 0,
            end_ns: settings.end_ns(),
            end_settings_ns: settings.end_ns(),
            late_limit_ns: settings
                .late_limit
                .map_or(u64::MAX, crate::settings::nanoseconds),
            void_before_ns: 0,
            workers_max: share.workers(settings.workers_max),
            busy_max: u64::MAX,
            spin: settings.spin,
            keep_backlog: settings.keep_backlog,
            record: None,
            head: None,
            dropping: false,
            stopped: false,
            hungry: false,
            workers_ended: 0,
            ended: Ended::No,
        }
    }

    /// The open part of a steered workload.
    pub(super) fn steered(settings: &SteeredSettings, share: Share) -> Self {
        let schedule = Schedule::constant(Level::default(), u64::MAX);
        let busy_max = share.workers(settings.in_flight_max) as u64;
        let open = Self::new(
            &OpenSettings {
                arrivals: Arrivals::Poisson {
                    schedule,
                    seed: settings.seed,
                },
                workers_start: 0,
                workers_max: settings.in_flight_max,
                late_limit: Some(settings.late_limit),
                duration_max: None,
                spin: settings.spin,
                keep_backlog: false,
            },
            share,
        );
        Self { busy_max, ..open }
    }

    /// The next hit; `None` if there is none yet, or no more.
    fn head<N: Nib>(&mut self, crew: &mut Crew<N>) -> Option<&mut Head> {
        if self.head.is_none() {
            // If each worker has its own records, the hit gets the record of its worker.
            if self.record.is_none() && crew.places().is_none() {
                match crew.next_shared_record() {
                    Next::Record(record) => self.record = Some(record),
                    Next::NotYet => {
                        self.hungry = true;
                        return None;
                    }
                    Next::End => {
                        self.ended = Ended::Input;
                        return None;
                    }
                }
            }
            let instant_ns = match &mut self.instants {
                Some(instants) => instants.peek()?,
                None => {
                    let record = self.record.as_ref();
                    let recorded_ns = record.and_then(|record| record.record.scheduled_ns);
                    recorded_ns.unwrap_or(0)
                }
            };
            if instant_ns >= self.end_ns {
                return None;
            }
            self.head = Some(Head {
                instant_ns,
                due: false,
            });
        }
        self.head.as_mut()
    }

    /// Removes the head, because it has started or is dropped.
    fn pass_head(&mut self) {
        self.head = None;
        if let Some(instants) = &mut self.instants {
            instants.next();
        }
    }

    fn drop_head<N: Nib>(&mut self, crew: &Crew<N>) {
        crew.counters().dropped.add(1);
        self.record = None;
        self.pass_head();
    }

    /// The schedule's end. Recorded instants end with the input.
    fn schedule_end_ns(&self) -> u64 {
        match &self.instants {
            Some(instants) => instants.end_ns().min(self.end_ns),
            None => self.end_ns,
        }
    }

    /// Checks for the end when there is nothing to start.
    fn end_in_time<N: Nib>(&mut self, crew: &Crew<N>, grace_ns: u64, now_ns: u64) {
        let end_ns = self.schedule_end_ns();
        if now_ns < end_ns || self.ended != Ended::No {
            return;
        }
        if !self.hungry {
            self.ended = Ended::Time;
        } else if !self.keep_backlog && now_ns - end_ns >= grace_ns.min(BEHIND_NS_MAX) {
            self.drop_rest(crew);
            self.ended = Ended::Time;
        }
    }

    /// Drops the hits that were due, because the input was too slow at the end.
    fn drop_rest<N: Nib>(&mut self, crew: &Crew<N>) {
        let counters = crew.counters();
        if self.head.is_some_and(|head| head.due) {
            self.drop_head(crew);
            counters.dropped_at_end.add(1);
        }
        let Some(instants) = &mut self.instants else {
            return;
        };
        let end_ns = self.end_ns;
        let rest = instants
            .take_while(|&instant_ns| instant_ns < end_ns)
            .count() as u64;
        counters.scheduled.add(rest);
        counters.dropped.add(rest);
        counters.dropped_at_end.add(rest);
    }

    /// Handles the end of the input of the next worker; true if others go on.
    fn end_worker<N: Nib>(&mut self, crew: &mut Crew<N>) -> bool {
        crew.take_free();
        self.workers_ended += 1;
        if self.workers_ended >= crew.places().unwrap_or(0) {
            self.ended = Ended::Input;
        }
        self.ended == Ended::No
    }

    fn follow(&mut self, control: &Control) {
        self.changes = control.changes();
        let schedules = control.schedules();
        self.void_before_ns = schedules.void_before_ns;
        if !self.stopped {
            self.end_ns = self.end_settings_ns.saturating_add(schedules.delay_ns);
        }
        if let (Some(schedule), Some(instants)) = (schedules.rate, &mut self.instants) {
            instants.follow(&schedule);
            // The instant of the head may have changed; the hit stays the same.
            if self.head.is_some_and(|head| !head.due) {
                self.head = None;
            }
        }
    }
}

impl Pace for Open {
    #[inline]
    fn start_due<N: Nib>(
        &mut self,
        crew: &mut Crew<N>,
        control: &Control,
        grace_ns: u64,
        now_ns: &mut u64,
    ) -> bool {
        self.hungry = false;
        for _ in 0..STARTS_MAX {
            // The instant was read before the schedule, so a hit always sees the schedule
            // of its instant.
            if control.changes() != self.changes {
                self.follow(control);
            }
            let Some(head) = self.head(crew) else {
                self.end_in_time(crew, grace_ns, *now_ns);
                return false;
            };
            if head.instant_ns > *now_ns {
                return false;
            }
            if !head.due {
                head.due = true;
                crew.counters().scheduled.add(1);
            }
            let instant_ns = head.instant_ns;
            let void = instant_ns < self.void_before_ns && *now_ns >= self.void_before_ns;
            if void || *now_ns - instant_ns > self.late_limit_ns {
                self.drop_head(crew);
                continue;
            }
            if self.dropping {
                self.drop_head(crew);
                crew.counters().dropped_at_end.add(1);
                continue;
            }
            let may_start = crew.busy() < self.busy_max;
            let index = match crew.next_free().filter(|_| may_start) {
                Some(index) => index,
                None if may_start && crew.len() < self.workers_max => {
                    crew.hire();
                    continue;
                }
                None => {
                    crew.counters().no_worker.add(1);
                    if *now_ns < self.schedule_end_ns() || self.keep_backlog {
                        return false;
                    }
                    self.dropping = true;
                    continue;
                }
            };
            let record = match self.record.take() {
                Some(record) => record,
                None => match crew.next_record(index) {
                    Next::Record(record) => record,
                    Next::NotYet => {
                        self.hungry = true;
                        self.end_in_time(crew, grace_ns, *now_ns);
                        return false;
                    }
                    Next::End => {
                        if self.end_worker(crew) {
                            continue;
                        }
                        // There is no record for this instant, so no hit was scheduled.
                        self.head = None;
                        let scheduled = &crew.counters().scheduled;
                        scheduled.set(scheduled.get() - 1);
                        return false;
                    }
                },
            };
            crew.take_free();
            self.pass_head();
            crew.start(index, instant_ns, *now_ns, record);
            *now_ns = crew.now_ns();
        }
        true
    }

    fn next_instant<N: Nib>(&self, crew: &Crew<N>, now_ns: u64) -> u64 {
        if self.hungry {
            return now_ns + HUNGER_NS;
        }
        let end_ns = self.schedule_end_ns();
        let free = (crew.next_free().is_some() || crew.len() < self.workers_max)
            && crew.busy() < self.busy_max;
        let instant_ns = match &self.head {
            Some(head) if free => return head.instant_ns,
            Some(head) => head
                .instant_ns
                .saturating_add(self.late_limit_ns)
                .min(end_ns),
            None => end_ns,
        };
        // The hit is due and no worker is free; an event will report a free one.
        if instant_ns > now_ns {
            instant_ns
        } else {
            u64::MAX
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

    fn stop(&mut self, now_ns: u64) {
        self.stopped = true;
        self.dropping = true;
        self.end_ns = self.end_ns.min(now_ns);
        if self.head.is_some_and(|head| !head.due) {
            self.head = None;
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopped || self.is_over()
    }

    /// Drops a hit that was due.
    fn abort<N: Nib>(&mut self, crew: &Crew<N>) {
        if self.head.is_some_and(|head| head.due) {
            self.drop_head(crew);
        }
        self.ended = Ended::Time;
    }

    #[inline]
    fn is_hungry(&self) -> bool {
        self.hungry && !self.has_ended()
    }

    fn users(&self, busy: u64) -> u64 {
        busy
    }

    fn spins(&self) -> bool {
        self.spin
    }
}
