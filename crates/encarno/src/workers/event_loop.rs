//! One event loop: starts hits, moves them on, records them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU64;
use std::sync::Arc;

use rustix::event::epoll::Event;
use rustix::io::Errno;

use super::control::{Control, Stop};
use super::counters::Counters;
use super::deadlines::Deadlines;
use super::feed::{Feed, Next};
use super::pace::{OpenPace, Pace};
use crate::clock::{Clock, thread_cpu_ns};
use crate::hit::{Hit, Payload, Record};
use crate::nib::poll::{Poller, WAKER_TOKEN, Waker, readiness};
use crate::nib::{Io, Nib, Shot, Step, code};
use crate::output::Recorder;
use crate::strings::{StringId, Strings};

/// Events taken at once.
const EVENTS_MAX: usize = 256;
/// One read takes at most so much; more only means another read.
const SCRATCH_BYTES: usize = 64 << 10;
/// Hits started in one go before sockets are looked at again.
const STARTS_MAX: usize = 64;
/// The loop looks at stop and time at least that often.
const TURN_NS_MAX: u64 = 50_000_000;
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

/// Why an event loop can't go on.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    /// The limit of open files is reached.
    #[error(
        "no file descriptors left for connections: raise the limit (ulimit -n) or lower --connections"
    )]
    FileDescriptors,
    /// epoll itself failed.
    #[error("can't wait for connections: {0}")]
    Poll(#[source] Errno),
    /// A thread ended by a panic: an error in this program.
    #[error("an event loop broke down; please report what it said")]
    Panicked,
}

/// What an event loop is made of.
#[derive(Debug)]
pub struct EventLoop<N: Nib> {
    /// The protocol.
    pub nib: N,
    /// When hits start.
    pub pace: Pace,
    /// What they send.
    pub feed: Feed,
    /// Where they go.
    pub recorder: Recorder,
    /// What others may know.
    pub counters: Arc<Counters>,
    /// The counters of all loops.
    pub all_counters: Vec<Arc<Counters>>,
    /// When to stop.
    pub control: Arc<Control>,
    /// The run's clock.
    pub clock: Clock,
    /// Wakes the loop; it is the control's and the resolver's.
    pub waker: Arc<Waker>,
    /// Texts of timeouts and cancellations.
    pub strings: Strings,
    /// A hit fails after that.
    pub timeout_ns: u64,
    /// Running hits get so long after a stop.
    pub grace_ns: u64,
    /// This loop's number, and how many there are.
    pub share: (usize, usize),
    /// Workers that are there from the start.
    pub workers_start: usize,
}

impl<N: Nib> EventLoop<N> {
    /// Runs to the end of the workload.
    pub fn run(self) -> Result<(), LoopError> {
        // Otherwise sleeps end up to 50 µs late. Where it isn't allowed they do.
        let _slack = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let poller = Poller::new().map_err(LoopError::Poll)?;
        poller.register_waker(&self.waker).map_err(LoopError::Poll)?;
        let texts = Texts { timeout: self.strings.intern("timeout"), cancelled: self.strings.intern("cancelled") };
        let mut running = Running {
            poller,
            texts,
            workers: Vec::new(),
            free: Vec::new(),
            deadlines: Deadlines::new(),
            wakes: BinaryHeap::new(),
            scratch: vec![0; SCRATCH_BYTES],
            active: 0,
            active_until_ns: 0,
            head: None,
            input_ended: false,
            ended: false,
            hungry: false,
            others_running: 0,
            early_ns: EARLY_NS_MAX / 2,
            credit_ns: 0,
            waited_ns: 0,
            engine: self,
        };
        let result = running.turn_until_done();
        running.engine.recorder.flush();
        let counters = &running.engine.counters;
        counters.cpu_ns.set(thread_cpu_ns());
        counters.ended_ns.set(running.engine.clock.now_ns());
        result
    }
}

struct Worker<C> {
    connection: C,
    shot: Shot,
    running: bool,
    /// Tells this use of a worker from earlier ones, in wakes.
    generation: u32,
}

struct Texts {
    timeout: StringId,
    cancelled: StringId,
}

struct Running<N: Nib> {
    engine: EventLoop<N>,
    poller: Poller,
    texts: Texts,
    workers: Vec<Worker<N::Connection>>,
    /// Workers without a hit; the one that was used last is taken first.
    free: Vec<u32>,
    deadlines: Deadlines,
    wakes: BinaryHeap<Reverse<(u64, u32, u32)>>,
    scratch: Vec<u8>,
    /// Closed: how many workers may run, and until when that holds.
    active: usize,
    active_until_ns: u64,
    /// Open: the next hit, whose instant may not have come.
    head: Option<Head>,
    input_ended: bool,
    /// No hit will start any more.
    ended: bool,
    hungry: bool,
    others_running: u64,
    /// How late a sleep usually ends.
    early_ns: u64,
    /// How long the loop may still turn instead of sleeping.
    credit_ns: u64,
    /// When it last began to wait.
    waited_ns: u64,
}

struct Head {
    instant_ns: u64,
    record: Record,
    /// It is counted as scheduled already.
    due: bool,
}

impl<N: Nib> Running<N> {
    fn turn_until_done(&mut self) -> Result<(), LoopError> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        let mut woken = Vec::new();
        let mut give_up_at_ns = u64::MAX;
        let mut next_cpu_ns = 0;
        for _ in 0..self.engine.workers_start {
            self.new_worker();
        }
        loop {
            let mut now_ns = self.engine.clock.now_ns();
            match self.engine.control.stop() {
                Stop::No => {}
                Stop::Drain if !self.ended || give_up_at_ns == u64::MAX => {
                    self.end_starts();
                    give_up_at_ns = now_ns.saturating_add(self.engine.grace_ns);
                }
                Stop::Drain => {}
                Stop::Now => {
                    self.end_starts();
                    give_up_at_ns = now_ns;
                }
            }
            let more = self.start_due(&mut now_ns);
            if let Some(_errno) = self.engine.nib.fatal() {
                self.cancel_all(now_ns);
                return Err(LoopError::FileDescriptors);
            }
            if now_ns >= give_up_at_ns {
                self.cancel_all(now_ns);
            }
            if self.ended && self.engine.counters.running.get() == 0 {
                return Ok(());
            }
            if now_ns >= next_cpu_ns {
                next_cpu_ns = now_ns + 10 * TURN_NS_MAX;
                self.engine.counters.cpu_ns.set(thread_cpu_ns());
            }
            let wake_at_ns = if more { now_ns } else { self.next_instant(now_ns).min(give_up_at_ns) };
            self.wait(&mut events, now_ns, wake_at_ns)?;
            self.look_at_others();
            for event in events.drain(..) {
                let (token, ready) = readiness(&event);
                if token == WAKER_TOKEN {
                    self.engine.nib.woken(&mut woken);
                    for worker in woken.drain(..) {
                        self.wake(worker);
                    }
                    continue;
                }
                let index = token as u32;
                let Some(worker) = self.workers.get_mut(index as usize) else { continue };
                let mut io = Io {
                    poller: &self.poller,
                    worker: index,
                    clock: &self.engine.clock,
                    scratch: &mut self.scratch,
                };
                let shot = if worker.running { Some(&mut worker.shot) } else { None };
                let step = self.engine.nib.ready(&mut worker.connection, shot, ready, &mut io);
                if self.take_step(index, step) {
                    let mut now_ns = self.workers[index as usize].shot.hit.ended_ns;
                    self.start_due(&mut now_ns);
                }
            }
            let now_ns = self.engine.clock.now_ns();
            self.wake_due(now_ns);
            self.time_out(now_ns);
        }
    }

    /// Starts what is due; true if there may be more at once.
    fn start_due(&mut self, now_ns: &mut u64) -> bool {
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
        let Pace::Closed(pace) = &self.engine.pace else { return false };
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
            let Some(&index) = self.free.last() else { return false };
            // A worker above the level rests until the level rises again.
            if index as usize >= self.active {
                let Some(position) = self.free.iter().rposition(|&index| (index as usize) < self.active) else {
                    return false;
                };
                let last = self.free.len() - 1;
                self.free.swap(position, last);
                continue;
            }
            match self.engine.feed.next(index) {
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
                    // With a queue of its own each worker ends for itself.
                    if matches!(self.engine.feed, Feed::PerWorker(_)) {
                        self.free.pop();
                        self.input_ended = self.free.is_empty() && self.engine.counters.running.get() == 0;
                        self.ended = self.input_ended;
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
            let Pace::Open(OpenPace { late_limit_ns, workers_max, .. }) = self.engine.pace else { return false };
            let Some(head) = &mut self.head else { return false };
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
                    counters.no_worker.add(1);
                    return false;
                }
                self.new_worker();
            }
            if let (Some(index), Some(head)) = (self.free.pop(), self.head.take()) {
                self.start(index, head.instant_ns, *now_ns, head.record);
                *now_ns = self.engine.clock.now_ns();
            }
        }
        true
    }

    /// Gets the next hit ready; false if there is none (yet).
    fn fetch_head(&mut self) -> bool {
        let Pace::Open(pace) = &mut self.engine.pace else { return false };
        // An instant without a record must not be lost: the record comes first.
        let record = match self.engine.feed.next(0) {
            Next::Record(record) => record,
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
            None => Some(record.scheduled_ns.unwrap_or(0)),
        };
        match instant_ns.filter(|&instant_ns| instant_ns < pace.end_ns) {
            Some(instant_ns) => {
                self.head = Some(Head { instant_ns, record, due: false });
                true
            }
            None => {
                self.ended = true;
                false
            }
        }
    }

    #[inline]
    fn start(&mut self, index: u32, scheduled_ns: u64, started_ns: u64, record: Record) {
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
        };
        self.deadlines.push(index);
        let mut io = Io {
            poller: &self.poller,
            worker: index,
            clock: &self.engine.clock,
            scratch: &mut self.scratch,
        };
        let step = self.engine.nib.start(&mut worker.connection, &mut worker.shot, &mut io);
        self.take_step(index, step);
    }

    fn wake(&mut self, index: u32) {
        let Some(worker) = self.workers.get_mut(index as usize) else { return };
        if !worker.running {
            return;
        }
        let mut io = Io {
            poller: &self.poller,
            worker: index,
            clock: &self.engine.clock,
            scratch: &mut self.scratch,
        };
        let step = self.engine.nib.wake(&mut worker.connection, &mut worker.shot, &mut io);
        self.take_step(index, step);
    }

    /// True if the hit has ended.
    #[inline]
    fn take_step(&mut self, index: u32, step: Step) -> bool {
        match step {
            Step::Running => false,
            Step::WakeAt(instant_ns) => {
                let generation = self.workers[index as usize].generation;
                self.wakes.push(Reverse((instant_ns, index, generation)));
                false
            }
            Step::Done => {
                self.finish(index);
                true
            }
        }
    }

    #[inline]
    fn finish(&mut self, index: u32) {
        let worker = &mut self.workers[index as usize];
        worker.running = false;
        let hit = &worker.shot.hit;
        let counters = &self.engine.counters;
        counters.running.set(counters.running.get() - 1);
        if hit.net_code == 0 {
            counters.done.add(1);
            if hit.protocol_code >= 400 {
                counters.refused.add(1);
            }
        } else {
            counters.failed.add(1);
            counters.count_failure(hit.net_code, hit.error);
            if hit.net_code == code::STALE {
                counters.stale.add(1);
            }
        }
        counters.sent_bytes.add(hit.sent_bytes);
        counters.received_bytes.add(hit.received_bytes);
        counters.service.record(hit.service_ns());
        counters.response.record(hit.response_ns());
        self.engine.recorder.record(hit);
        if self.engine.recorder.has_trace() && self.engine.recorder.traces(hit) {
            let request: &[u8] = match &worker.shot.payload {
                Payload::Memory(bytes) => bytes,
                Payload::File { .. } => b"(sent from the file)",
            };
            self.engine.recorder.trace(hit, request, self.engine.nib.answer(&worker.connection));
        }
        self.deadlines.remove(index);
        self.free.push(index);
    }

    fn wake_due(&mut self, now_ns: u64) {
        while let Some(&Reverse((instant_ns, index, generation))) = self.wakes.peek() {
            if instant_ns > now_ns {
                return;
            }
            self.wakes.pop();
            if self.workers[index as usize].generation == generation {
                self.wake(index);
            }
        }
    }

    fn time_out(&mut self, now_ns: u64) {
        while let Some(index) = self.deadlines.oldest() {
            let started_ns = self.workers[index as usize].shot.hit.started_ns;
            if now_ns.saturating_sub(started_ns) < self.engine.timeout_ns {
                return;
            }
            self.give_up(index, code::TIMEOUT, self.texts.timeout, now_ns);
        }
    }

    fn cancel_all(&mut self, now_ns: u64) {
        while let Some(index) = self.deadlines.oldest() {
            self.give_up(index, code::CANCELLED, self.texts.cancelled, now_ns);
        }
    }

    fn give_up(&mut self, index: u32, code: u16, text: StringId, now_ns: u64) {
        let worker = &mut self.workers[index as usize];
        self.engine.nib.abandon(&mut worker.connection);
        let hit = &mut worker.shot.hit;
        hit.net_code = code;
        hit.error = text;
        hit.ended_ns = now_ns.max(hit.started_ns);
        self.finish(index);
    }

    /// No hit starts any more; one whose instant had come is dropped.
    fn end_starts(&mut self) {
        self.ended = true;
        if self.head.take().is_some_and(|head| head.due) {
            self.engine.counters.dropped.add(1);
        }
    }

    fn new_worker(&mut self) {
        let index = self.workers.len() as u32;
        let shot = Shot { hit: Hit::default(), payload: Payload::Memory(bytes::Bytes::new()), address: StringId(0) };
        let connection = self.engine.nib.connection();
        self.workers.push(Worker { connection, shot, running: false, generation: 0 });
        self.free.push(index);
        self.engine.counters.workers.set(self.workers.len() as u64);
    }

    /// The next instant at which something is to be done without an event.
    fn next_instant(&self, now_ns: u64) -> u64 {
        let mut instant_ns = now_ns + TURN_NS_MAX;
        if let Some(&Reverse((wake_ns, ..))) = self.wakes.peek() {
            instant_ns = instant_ns.min(wake_ns);
        }
        if let Some(index) = self.deadlines.oldest() {
            let started_ns = self.workers[index as usize].shot.hit.started_ns;
            instant_ns = instant_ns.min(started_ns.saturating_add(self.engine.timeout_ns));
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
                    let due_ns = if free { head.instant_ns } else { head.instant_ns.saturating_add(pace.late_limit_ns) };
                    // Due and no worker: an event will tell.
                    if free || due_ns > now_ns {
                        instant_ns = instant_ns.min(due_ns);
                    }
                }
            }
            Pace::Closed(pace) => instant_ns = instant_ns.min(self.active_until_ns).min(pace.end_ns),
        }
        instant_ns
    }

    /// Sleeps until an event comes, or shortly before that instant: the rest
    /// is waited for by turning, since a timer is late by tens of µs.
    fn wait(&mut self, events: &mut Vec<Event>, now_ns: u64, wake_at_ns: u64) -> Result<(), LoopError> {
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
        self.poller.wait(events, sleep_ns).map_err(LoopError::Poll)?;
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

    fn look_at_others(&mut self) {
        let own = Arc::as_ptr(&self.engine.counters);
        let others = self.engine.all_counters.iter().filter(|other| Arc::as_ptr(other) != own);
        self.others_running = others.map(|other| other.running.get()).sum();
    }
}
