//! The workers of one event loop, and their hits from start to end.
//!
//! - [`timers`]: what happens to hits without an event
//! - [`scripted`]: what scripts do before a hit and after it
//! - [`traced`]: those that begin a trace
//! - [`ending`]: how hits end

mod deadlines;
mod ending;
mod scripted;
mod timers;
mod traced;

use std::sync::Arc;

use bytes::Bytes;
use encarno_nib::clock::{Clock, thread_cpu_ns};
use encarno_nib::poll::Poller;
use encarno_nib::{Fatal, Hits, Io, Keep, Nib, Readiness, Shot, Step};
use encarno_record::exemplar::TraceContext;
use encarno_record::sums::LoopState;
use encarno_record::{Expected, Hit, Payload, StringId, Strings};

use rustix::event::epoll::Event;
use rustix::io::Errno;

use super::EventLoop;
use crate::output::Recorder;
use crate::script::{Plan, Planned, ScriptContext, Session};
use crate::workers::Share;
use crate::workers::addresses::AddressCounts;
use crate::workers::counters::Counters;
use crate::workers::feed::{Feed, Next};
use timers::{Timers, Wake};
pub(crate) use traced::{Traced, has_fields};

/// The most bytes of one read. A larger answer takes another read.
const SCRATCH_BYTES: usize = 64 << 10;

/// The workers, and everything that a hit needs.
pub(crate) struct Crew<N: Nib> {
    nib: N,
    means: Means,
    workers: Vec<Worker<N::Connection>>,
    /// The free workers; the most recently used one is taken first.
    free: Vec<u32>,
    timers: Timers,
    account: Account,
    feed: Feed,
    script_context: Option<Box<ScriptContext>>,
    share: Share,
    keep_answer_bytes_max: usize,
    traced: Option<Box<Traced>>,
    /// Workers that the nib named; empty between uses.
    named: Vec<u32>,
}

/// What a nib may use.
struct Means {
    poller: Poller,
    clock: Clock,
    scratch: Vec<u8>,
}

/// Where ended hits are recorded.
struct Account {
    counters: Arc<Counters>,
    others: Vec<Arc<Counters>>,
    others_busy: u64,
    recorder: Recorder,
    expected: Expected,
    addresses: AddressCounts,
    cancelled: StringId,
    strings: Strings,
}

struct Worker<C> {
    connection: C,
    shot: Shot,
    running: bool,
    /// Distinguishes this use of a worker from earlier ones, in wakes.
    generation: u32,
    /// The plan of the running hit; most hits have none.
    plan: Option<Arc<Plan>>,
    session: Option<Box<Session>>,
    /// The trace that the running hit began.
    trace: Option<Box<TraceContext>>,
}

impl Means {
    #[inline]
    fn io(&mut self, worker: u32) -> Io<'_> {
        Io {
            poller: &self.poller,
            worker,
            clock: &self.clock,
            scratch: &mut self.scratch,
        }
    }
}

/// The workers, as a nib with shared links sees them.
struct Seats<'a, C> {
    workers: &'a mut [Worker<C>],
    ended: &'a mut Vec<u32>,
}

impl<C> Hits<C> for Seats<'_, C> {
    fn get(&mut self, worker: u32) -> Option<(&mut C, &mut Shot)> {
        let worker = self.workers.get_mut(worker as usize)?;
        worker
            .running
            .then_some((&mut worker.connection, &mut worker.shot))
    }

    fn end(&mut self, index: u32) {
        if let Some(worker) = self.workers.get_mut(index as usize)
            && std::mem::take(&mut worker.running)
        {
            self.ended.push(index);
        }
    }
}

impl<N: Nib> Crew<N> {
    /// A crew with the workers of the start.
    pub(super) fn new(parts: EventLoop<N>, poller: Poller) -> Self {
        let account = Account {
            cancelled: parts.strings.intern("cancelled"),
            strings: parts.strings,
            others: parts
                .all_counters
                .into_iter()
                .filter(|other| !Arc::ptr_eq(other, &parts.counters))
                .collect(),
            counters: parts.counters,
            others_busy: 0,
            recorder: parts.recorder,
            expected: parts.expected,
            addresses: AddressCounts::default(),
        };
        let mut crew = Self {
            nib: parts.nib,
            means: Means {
                poller,
                clock: parts.clock,
                scratch: vec![0; SCRATCH_BYTES],
            },
            workers: Vec::new(),
            free: Vec::new(),
            timers: Timers::new(parts.timeout_ns),
            account,
            feed: parts.feed,
            script_context: parts.script_context,
            share: parts.share,
            keep_answer_bytes_max: parts.keep_answer_bytes_max,
            traced: parts.traced,
            named: Vec::new(),
        };
        for _ in 0..parts.workers_start {
            crew.hire();
        }
        crew
    }

    /// Closes the crew after the last hit. `users` is the number of workers of the
    /// workload.
    pub(super) fn close(&mut self, users: u64) {
        let state = self.state(users);
        self.account.recorder.measured(self.nib.take_measured());
        self.account.recorder.end(state);
        let counters = &self.account.counters;
        counters.set_addresses(self.account.addresses.take());
        counters.set_transport(self.nib.transport());
    }

    /// Whether something must be handed over.
    #[inline]
    pub(super) fn is_report_due(&self, now_ns: u64) -> bool {
        self.account.recorder.is_due(now_ns)
    }

    /// Hands over what is due. Every hit that ends later has a later instant.
    #[cold]
    pub(super) fn report(&mut self, users: u64, now_ns: u64) {
        let state = self.state(users);
        self.account.recorder.measured(self.nib.take_measured());
        self.account.recorder.look(now_ns, state);
    }

    fn state(&self, users: u64) -> LoopState {
        let counters = &self.account.counters;
        LoopState {
            users,
            running: counters.running.get(),
            workers: counters.workers.get(),
            sleeping: counters.sleeping.get(),
            scheduled: counters.scheduled.get(),
            started: counters.started.get(),
            dropped: counters.dropped.get(),
            cpu_ns: thread_cpu_ns(),
            no_worker: counters.no_worker.get(),
            starved_ns: counters.starved_ns.get(),
        }
    }

    /// Waits for events, or so long; true if the wait ended for another reason.
    #[inline]
    pub(super) fn wait(&mut self, events: &mut Vec<Event>, timeout_ns: u64) -> Result<bool, Errno> {
        self.nib.wait(&self.means.poller, events, timeout_ns)
    }

    #[inline]
    pub(super) fn now_ns(&self) -> u64 {
        self.means.clock.now_ns()
    }

    #[inline]
    pub(super) fn counters(&self) -> &Counters {
        &self.account.counters
    }

    /// The number of running hits.
    pub(super) fn running(&self) -> u64 {
        self.account.counters.running.get()
    }

    /// The number of workers that have a hit, or pause after one.
    #[inline]
    pub(super) fn busy(&self) -> u64 {
        self.account.counters.running.get() + self.account.counters.sleeping.get()
    }

    /// The number of workers.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.workers.len()
    }

    /// Why the loop can't go on, if it can't.
    #[inline]
    pub(super) fn fatal(&self) -> Option<Fatal> {
        let broken = || self.feed.broken().map(Fatal::Text);
        self.nib.fatal().or_else(broken)
    }

    pub(super) fn look_at_others(&mut self) {
        let others = self.account.others.iter();
        self.account.others_busy = others
            .map(|other| other.running.get() + other.sleeping.get())
            .sum();
    }

    // The pace chooses among free workers.

    /// The next free worker.
    #[inline]
    pub(super) fn next_free(&self) -> Option<u32> {
        self.free.last().copied()
    }

    /// Removes the next free worker from the list, because it starts or its input has
    /// ended.
    #[inline]
    pub(super) fn take_free(&mut self) {
        self.free.pop();
    }

    /// Moves a free worker below this number to the front; false if there is none.
    pub(super) fn prefer_below(&mut self, number: usize) -> bool {
        let below = |&index: &u32| (index as usize) < number;
        match self.free.iter().rposition(below) {
            Some(position) => {
                let last = self.free.len() - 1;
                self.free.swap(position, last);
                true
            }
            None => false,
        }
    }

    /// Adds a worker, which is free.
    pub(super) fn hire(&mut self) {
        let index = self.workers.len() as u32;
        let shot = Shot {
            hit: Hit::default(),
            payload: Payload::Memory(Bytes::new()),
            address: StringId(0),
            keep: Keep::default(),
        };
        let connection = self.nib.connection();
        self.workers.push(Worker {
            connection,
            shot,
            running: false,
            generation: 0,
            plan: None,
            session: None,
            trace: None,
        });
        self.account.counters.workers.set(self.workers.len() as u64);
        match self.arrive(index) {
            0 => self.free.push(index),
            rest_ns => self.rest(index, rest_ns),
        }
    }

    /// The number of a worker among all workers.
    #[inline]
    fn number(&self, index: u32) -> u32 {
        match N::SHARED {
            true => self.share.number_of(index),
            false => index * self.share.count as u32 + self.share.number as u32,
        }
    }

    /// The next record of those that all workers share.
    pub(super) fn next_shared_record(&mut self) -> Next {
        self.feed.next(0)
    }

    /// The number of workers that have their own records; `None` if all share them.
    #[inline]
    pub(super) fn places(&self) -> Option<usize> {
        self.feed.places()
    }

    #[inline]
    pub(super) fn start(
        &mut self,
        index: u32,
        scheduled_ns: u64,
        started_ns: u64,
        planned: Planned,
    ) {
        let Planned { record, plan } = planned;
        let counters = &self.account.counters;
        let running = counters.running.get() + 1;
        counters.running.set(running);
        let pausing = counters.sleeping.get();
        counters.started.add(1);
        let number = self.number(index);
        let worker = &mut self.workers[index as usize];
        worker.running = true;
        worker.generation = worker.generation.wrapping_add(1);
        worker.shot = Shot {
            hit: Hit {
                scheduled_ns,
                started_ns,
                label: record.label,
                concurrency: (running + pausing + self.account.others_busy) as u32,
                worker: number,
                ..Hit::default()
            },
            payload: record.payload,
            address: record.address,
            keep: Keep {
                wire_bytes_max: self.keep_answer_bytes_max,
                ..Keep::default()
            },
        };
        worker.plan = None;
        self.timers.start(index);
        if let Some(plan) = plan {
            let ready = self.prepare(index, &plan);
            self.workers[index as usize].plan = Some(plan);
            if !ready {
                self.finish(index);
                return;
            }
        }
        let worker = &mut self.workers[index as usize];
        if let Some(traced) = &mut self.traced {
            worker.trace = traced.begin(&mut worker.shot).map(Box::new);
        }
        self.account.addresses.count(worker.shot.address);
        let mut io = self.means.io(index);
        let step = self
            .nib
            .start(&mut worker.connection, &mut worker.shot, &mut io);
        self.take_step(index, step);
    }

    /// Handles a ready connection of a worker. Returns when its hit ended, if it did.
    #[inline]
    pub(super) fn ready(&mut self, index: u32, ready: Readiness) -> Option<u64> {
        let worker = self.workers.get_mut(index as usize)?;
        let mut io = self.means.io(index);
        let shot = if worker.running {
            Some(&mut worker.shot)
        } else {
            None
        };
        let step = self.nib.ready(&mut worker.connection, shot, ready, &mut io);
        self.take_step(index, step)
            .then(|| self.workers[index as usize].shot.hit.ended_ns)
    }

    /// Handles a ready link. Returns when the last hit on it ended, if any did.
    pub(super) fn link_ready(&mut self, link: u32, ready: Readiness) -> Option<u64> {
        self.with_hits(|nib, hits, io| nib.ready_shared(link, ready, hits, io))
    }

    /// Lets the nib send what is left to send; true if this ended hits.
    pub(super) fn flush(&mut self) -> bool {
        self.with_hits(|nib, hits, io| nib.flush(hits, io))
            .is_some()
    }

    fn with_hits(
        &mut self,
        call: impl FnOnce(&mut N, &mut dyn Hits<N::Connection>, &mut Io<'_>),
    ) -> Option<u64> {
        let mut ended = std::mem::take(&mut self.named);
        let mut seats = Seats {
            workers: &mut self.workers,
            ended: &mut ended,
        };
        // Use no worker: a link registers its socket under its own number.
        let mut io = self.means.io(u32::MAX);
        call(&mut self.nib, &mut seats, &mut io);
        let mut ended_ns = None;
        for index in ended.drain(..) {
            if self.finish(index) {
                ended_ns = ended_ns.max(Some(self.workers[index as usize].shot.hit.ended_ns));
            }
        }
        self.named = ended;
        ended_ns
    }

    /// Continues workers whose wait was ended by something outside the loop.
    pub(super) fn wake_named(&mut self) {
        let mut named = std::mem::take(&mut self.named);
        self.nib.woken(&mut named);
        for index in named.drain(..) {
            self.wake(index);
        }
        self.named = named;
    }

    fn wake(&mut self, index: u32) {
        let Some(worker) = self.workers.get_mut(index as usize) else {
            return;
        };
        if !worker.running {
            return;
        }
        let mut io = self.means.io(index);
        let step = self
            .nib
            .wake(&mut worker.connection, &mut worker.shot, &mut io);
        self.take_step(index, step);
    }

    /// Takes a step; true if the hit has ended.
    #[inline]
    fn take_step(&mut self, index: u32, step: Step) -> bool {
        match step {
            Step::Running => false,
            Step::WakeAt(instant_ns) => {
                self.wake_at(index, instant_ns, Wake::Nib);
                false
            }
            Step::Done => self.finish(index),
        }
    }

    fn wake_at(&mut self, index: u32, instant_ns: u64, wake: Wake) {
        let generation = self.workers[index as usize].generation;
        self.timers.wake_at(instant_ns, index, generation, wake);
    }
}
