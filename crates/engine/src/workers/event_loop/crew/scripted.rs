//! Calls scripts before a hit starts and after it has ended.

use encarno_nib::Nib;
use encarno_record::{Record, code};

use super::{Crew, Wake};
use crate::scenario::Answer;
use crate::script::{Admission, Ended, Plan};
use crate::workers::feed::{Feed, Next};

/// What follows a hit that has ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Afterwards {
    /// How long the worker pauses.
    pub(super) rest_ns: u64,
    /// Whether the hit was removed from the deadlines.
    pub(super) had_own_timeout: bool,
}

impl<N: Nib> Crew<N> {
    /// The next record for a worker, as its earlier hits allow.
    #[inline]
    pub(in super::super) fn next_record(&mut self, index: u32) -> Next {
        let next = self.feed.next(index);
        match &next {
            Next::Record(record) if record.plan.is_some() => self.next_admitted(index, next),
            _ => next,
        }
    }

    // The code for scripted hits is out of line, so that other hits don't pay for it.
    #[inline(never)]
    fn next_admitted(&mut self, index: u32, mut next: Next) -> Next {
        loop {
            let Next::Record(record) = &next else {
                return next;
            };
            let admission = match &record.plan {
                Some(plan) => self.admit(index, &record.record, plan),
                None => Admission::Go,
            };
            match admission {
                Admission::Go => return next,
                Admission::Skip => next = self.feed.next(index),
                Admission::Back(records) => {
                    if !self.feed.go_back(index, records) {
                        return Next::End;
                    }
                    next = self.feed.next(index);
                }
                Admission::End => return Next::End,
            }
        }
    }

    fn admit(&mut self, index: u32, record: &Record, plan: &Plan) -> Admission {
        let worker = &mut self.workers[index as usize];
        match &mut self.script_context {
            Some(script_context) => {
                worker
                    .session
                    .get_or_insert_default()
                    .admit(record, plan, script_context)
            }
            None => Admission::Go,
        }
    }

    /// Prepares the shot; false if this ended it.
    #[inline(never)]
    pub(super) fn prepare(&mut self, index: u32, plan: &Plan) -> bool {
        let worker = &mut self.workers[index as usize];
        if let Some(timeout_ns) = plan.timeout_ns {
            let due_ns = worker.shot.hit.started_ns.saturating_add(timeout_ns);
            self.timers.start_own(index, due_ns);
        }
        let Some(script_context) = &mut self.script_context else {
            // A user sees of an answer what it wants to see.
            worker.shot.keep = worker.shot.keep.or(plan.keep());
            return true;
        };
        let session = worker.session.get_or_insert_default();
        let result = session.prepare(plan, &mut worker.shot, script_context);
        if let Err((code, text)) = result {
            let hit = &mut worker.shot.hit;
            hit.net_code = code;
            hit.error = text;
            hit.ended_ns = self.means.clock.now_ns();
        }
        result.is_ok()
    }

    /// Concludes a hit; `None` if it goes on.
    #[inline(never)]
    pub(super) fn conclude(&mut self, index: u32) -> Option<Afterwards> {
        if let Feed::Users(_) = self.feed {
            return Some(self.see(index));
        }
        let worker = &mut self.workers[index as usize];
        let (Some(plan), Some(script_context)) = (&worker.plan, &mut self.script_context) else {
            return Some(Afterwards::default());
        };
        let response = self.nib.response(&worker.connection);
        let session = worker.session.get_or_insert_default();
        let had_error = worker.shot.hit.error.0 != 0;
        match session.conclude(plan, &mut worker.shot, response, script_context) {
            Ended::Done { rest_ns, close } => {
                let hit = &worker.shot.hit;
                if hit.error.0 != 0 && hit.net_code == 0 && !had_error {
                    self.account.counters.unmet.add(1);
                }
                if close {
                    self.nib.abandon(&mut worker.connection);
                }
                if let Some(timeout_ns) = plan.timeout_ns {
                    let due_ns = hit.started_ns.saturating_add(timeout_ns);
                    self.timers.end_own(index, due_ns);
                }
                Some(Afterwards {
                    rest_ns,
                    had_own_timeout: plan.timeout_ns.is_some(),
                })
            }
            Ended::Follow => {
                worker.running = true;
                self.account.counters.redirects.add(1);
                self.account.addresses.count(worker.shot.address);
                let mut io = self.means.io(index);
                let step = self
                    .nib
                    .start(&mut worker.connection, &mut worker.shot, &mut io);
                self.take_step(index, step);
                None
            }
        }
    }

    /// Lets a user see how its hit ended, and decide what it does next.
    fn see(&mut self, index: u32) -> Afterwards {
        let number = self.number(index);
        let worker = &mut self.workers[index as usize];
        let hit = &worker.shot.hit;
        // The run is over, so that nothing comes of it.
        if let Feed::Users(crowd) = &mut self.feed
            && hit.net_code != code::CANCELLED
        {
            let error = match hit.error.0 {
                0 => None,
                _ => self.account.strings.get(hit.error),
            };
            let answer = Answer {
                hit,
                failed: hit.failed(&self.account.expected),
                error: error.as_deref().unwrap_or_default(),
                response: self.nib.response(&worker.connection),
            };
            return Afterwards {
                rest_ns: crowd.act(index, number, Some(&answer)),
                had_own_timeout: false,
            };
        }
        Afterwards::default()
    }

    /// A worker is there: how long it rests before its first hit.
    pub(super) fn arrive(&mut self, index: u32) -> u64 {
        let number = self.number(index);
        match &mut self.feed {
            Feed::Users(crowd) => crowd.act(index, number, None),
            _ => 0,
        }
    }

    /// Makes a worker pause; it has no hit and takes none.
    #[inline(never)]
    pub(super) fn rest(&mut self, index: u32, rest_ns: u64) {
        let until_ns = self.means.clock.now_ns().saturating_add(rest_ns);
        self.wake_at(index, until_ns, Wake::Rested);
        let sleeping = &self.account.counters.sleeping;
        sleeping.set(sleeping.get() + 1);
    }

    pub(super) fn rested(&mut self, index: u32) {
        let sleeping = &self.account.counters.sleeping;
        sleeping.set(sleeping.get() - 1);
        self.free.push(index);
    }
}
