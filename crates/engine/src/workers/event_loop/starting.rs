//! How hits start: at their instants, or when a worker is free.

use bytes::Bytes;
use encarno_nib::{Nib, Shot};
use encarno_record::{Hit, Payload, StringId};

use super::{Head, Running, Worker};
use crate::script::Planned;
use crate::workers::feed::Next;
use crate::workers::pace::{OpenPace, Pace};

/// Hits started in one go before sockets are looked at again.
const STARTS_MAX: usize = 64;

impl<N: Nib> Running<N> {
    /// Starts what is due; true if there may be more at once.
    pub(super) fn start_due(&mut self, now_ns: &mut u64) -> bool {
        if self.ended {
            return false;
        }
        self.hungry = false;
        match self.engine.pace {
            Pace::Open(_) => self.start_due_open(now_ns),
            Pace::Closed(_) => self.start_due_closed(now_ns),
        }
    }

    fn start_due_closed(&mut self, now_ns: &mut u64) -> bool {
        let Pace::Closed(pace) = &self.engine.pace else {
            return false;
        };
        if *now_ns >= pace.end_ns || self.input_ended {
            self.ended = true;
            return false;
        }
        if *now_ns >= self.active_until_ns {
            (self.active, self.active_until_ns) = pace.workers_at(*now_ns);
            while self.workers.len() < self.active {
                self.new_worker();
            }
        }
        for _ in 0..STARTS_MAX {
            let Some(&index) = self.free.last() else {
                return false;
            };
            // A worker above the level rests until the level rises again.
            if index as usize >= self.active {
                let Some(position) = self
                    .free
                    .iter()
                    .rposition(|&index| (index as usize) < self.active)
                else {
                    return false;
                };
                let last = self.free.len() - 1;
                self.free.swap(position, last);
                continue;
            }
            match self.next_record(index) {
                Next::Record(record) => {
                    self.free.pop();
                    self.engine.counters.scheduled.add(1);
                    self.start(index, *now_ns, *now_ns, record);
                    *now_ns = self.engine.clock.now_ns();
                }
                Next::NotYet => {
                    self.hungry = true;
                    self.engine.counters.no_record.add(1);
                    return false;
                }
                Next::End => {
                    if self.end_worker() {
                        continue;
                    }
                    self.input_ended = true;
                    self.ended = true;
                    return false;
                }
            }
        }
        true
    }

    fn start_due_open(&mut self, now_ns: &mut u64) -> bool {
        for _ in 0..STARTS_MAX {
            if self.head.is_none() && !self.fetch_head() {
                return false;
            }
            let Pace::Open(OpenPace {
                late_limit_ns,
                workers_max,
                ..
            }) = self.engine.pace
            else {
                return false;
            };
            let Some(head) = &mut self.head else {
                return false;
            };
            if head.instant_ns > *now_ns {
                return false;
            }
            let counters = &self.engine.counters;
            if !head.due {
                head.due = true;
                counters.scheduled.add(1);
            }
            if *now_ns - head.instant_ns > late_limit_ns {
                counters.dropped.add(1);
                self.head = None;
                continue;
            }
            if self.free.is_empty() {
                if self.workers.len() >= workers_max {
                    self.engine.counters.no_worker.add(1);
                    return false;
                }
                self.new_worker();
            }
            let Some(&index) = self.free.last() else {
                return false;
            };
            let record = match self.head.as_mut().and_then(|head| head.record.take()) {
                Some(record) => record,
                None => match self.next_record(index) {
                    Next::Record(record) => record,
                    Next::NotYet => {
                        self.hungry = true;
                        self.engine.counters.no_record.add(1);
                        return false;
                    }
                    Next::End if self.end_worker() => continue,
                    Next::End => {
                        // There is nothing for this instant, so there was no hit to schedule.
                        self.head = None;
                        let scheduled = &self.engine.counters.scheduled;
                        scheduled.set(scheduled.get() - 1);
                        return false;
                    }
                },
            };
            self.free.pop();
            if let Some(head) = self.head.take() {
                self.start(index, head.instant_ns, *now_ns, record);
                *now_ns = self.engine.clock.now_ns();
            }
        }
        true
    }

    /// The input of the worker that would be next has ended. True if others go on.
    fn end_worker(&mut self) -> bool {
        self.free.pop();
        self.workers_ended += 1;
        let all = self.engine.feed.places().unwrap_or(0);
        self.input_ended = self.workers_ended >= all;
        self.ended = self.input_ended;
        !self.ended
    }

    /// Gets the next hit ready; false if there is none (yet).
    fn fetch_head(&mut self) -> bool {
        let Pace::Open(pace) = &mut self.engine.pace else {
            return false;
        };
        // An instant without a record must not be lost: the record comes first,
        // unless each worker has its own.
        let own = self.engine.feed.places().is_some();
        let next = if own {
            Next::End
        } else {
            self.engine.feed.next(0)
        };
        let record = match next {
            Next::Record(record) => Some(record),
            Next::End if own => None,
            Next::NotYet => {
                self.hungry = true;
                self.engine.counters.no_record.add(1);
                return false;
            }
            Next::End => {
                self.input_ended = true;
                self.ended = true;
                return false;
            }
        };
        let instant_ns = match &mut pace.instants {
            Some(instants) => instants.next(),
            None => Some(
                record
                    .as_ref()
                    .and_then(|record| record.record.scheduled_ns)
                    .unwrap_or(0),
            ),
        };
        match instant_ns.filter(|&instant_ns| instant_ns < pace.end_ns) {
            Some(instant_ns) => {
                self.head = Some(Head {
                    instant_ns,
                    record,
                    due: false,
                });
                true
            }
            None => {
                self.ended = true;
                false
            }
        }
    }

    #[inline]
    fn start(&mut self, index: u32, scheduled_ns: u64, started_ns: u64, planned: Planned) {
        let Planned { record, plan } = planned;
        let counters = &self.engine.counters;
        let running = counters.running.get() + 1;
        counters.running.set(running);
        counters.started.add(1);
        let lag_ns = started_ns.saturating_sub(scheduled_ns);
        counters.lag_sum_ns.add(lag_ns);
        counters.lag.record(lag_ns);
        let (number, count) = self.engine.share;
        let worker = &mut self.workers[index as usize];
        worker.running = true;
        worker.generation = worker.generation.wrapping_add(1);
        worker.shot = Shot {
            hit: Hit {
                scheduled_ns,
                started_ns,
                label: record.label,
                concurrency: (running + self.others_running) as u32,
                worker: index * count as u32 + number as u32,
                ..Hit::default()
            },
            payload: record.payload,
            address: record.address,
            keep_bytes_max: self.engine.keep_answer_bytes_max,
        };
        worker.plan = None;
        self.deadlines.push(index);
        if let Some(plan) = plan {
            let ready = self.prepare(index, &plan);
            self.workers[index as usize].plan = Some(plan);
            if !ready {
                self.finish(index);
                return;
            }
        }
        let worker = &mut self.workers[index as usize];
        let mut io = self.means.io(index);
        let step = self
            .engine
            .nib
            .start(&mut worker.connection, &mut worker.shot, &mut io);
        self.take_step(index, step);
    }

    pub(super) fn new_worker(&mut self) {
        let index = self.workers.len() as u32;
        let shot = Shot {
            hit: Hit::default(),
            payload: Payload::Memory(Bytes::new()),
            address: StringId(0),
            keep_bytes_max: 0,
        };
        let connection = self.engine.nib.connection();
        self.workers.push(Worker {
            connection,
            shot,
            running: false,
            generation: 0,
            plan: None,
            session: None,
        });
        self.free.push(index);
        self.engine.counters.workers.set(self.workers.len() as u64);
    }

    /// No hit starts any more; one whose instant had come is dropped.
    pub(super) fn end_starts(&mut self) {
        self.ended = true;
        if self.head.take().is_some_and(|head| head.due) {
            self.engine.counters.dropped.add(1);
        }
    }
}
