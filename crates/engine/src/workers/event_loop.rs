//! One event loop: starts hits, moves them on, records them.

mod ending;
mod scripted;
mod starting;
mod waiting;

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::num::NonZeroU64;
use std::sync::Arc;

use encarno_nib::clock::{Clock, thread_cpu_ns};
use encarno_nib::poll::{Poller, WAKER_TOKEN, Waker, readiness};
use encarno_nib::{Io, Nib, Shot, Step};
use encarno_record::{StringId, Strings};
use rustix::event::epoll::Event;
use rustix::io::Errno;

use super::control::{Control, Stop};
use super::counters::Counters;
use super::deadlines::Deadlines;
use super::feed::Feed;
use super::pace::Pace;
use crate::output::Recorder;
use crate::script::{Desk, Plan, Planned, Session};

/// Events taken at once.
const EVENTS_MAX: usize = 256;
/// One read takes at most so much; more only means another read.
const SCRATCH_BYTES: usize = 64 << 10;
/// The loop looks at stop and time at least that often.
const TURN_NS_MAX: u64 = 50_000_000;

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
    /// So much of each answer is kept, for the trace.
    pub keep_answer_bytes_max: usize,
    /// What scripts need; none if the input can't have any.
    pub desk: Option<Box<Desk>>,
}

impl<N: Nib> EventLoop<N> {
    /// Runs to the end of the workload.
    pub fn run(self) -> Result<(), LoopError> {
        // Otherwise sleeps end up to 50 µs late. Where it isn't allowed they do.
        let _slack = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let poller = Poller::new().map_err(LoopError::Poll)?;
        poller
            .register_waker(&self.waker)
            .map_err(LoopError::Poll)?;
        let texts = Texts {
            timeout: self.strings.intern("timeout"),
            cancelled: self.strings.intern("cancelled"),
        };
        let mut running = Running {
            means: Means {
                poller,
                clock: self.clock,
                scratch: vec![0; SCRATCH_BYTES],
            },
            texts,
            workers: Vec::new(),
            free: Vec::new(),
            workers_ended: 0,
            deadlines: Deadlines::new(),
            own_deadlines: BTreeSet::new(),
            wakes: BinaryHeap::new(),
            active: 0,
            active_until_ns: 0,
            head: None,
            input_ended: false,
            ended: false,
            hungry: false,
            others_running: 0,
            early_ns: 0,
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
    /// What is done about the running hit beside sending it; most have none.
    plan: Option<Arc<Plan>>,
    session: Option<Box<Session>>,
}

/// What a nib may use.
struct Means {
    poller: Poller,
    clock: Clock,
    scratch: Vec<u8>,
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

/// What happens at an instant without an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    /// The nib asked for it.
    Nib,
    /// The worker's pause is over.
    Rested,
}

struct Texts {
    timeout: StringId,
    cancelled: StringId,
}

struct Running<N: Nib> {
    engine: EventLoop<N>,
    means: Means,
    texts: Texts,
    workers: Vec<Worker<N::Connection>>,
    /// Workers without a hit; the one that was used last is taken first.
    free: Vec<u32>,
    /// Workers whose own input has ended.
    workers_ended: usize,
    deadlines: Deadlines,
    /// When and where hits time out that have a timeout of their own.
    own_deadlines: BTreeSet<(u64, u32)>,
    /// Instant, worker, generation, and what for.
    wakes: BinaryHeap<Reverse<(u64, u32, u32, Wake)>>,
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
    /// None = the worker that takes it has its own.
    record: Option<Planned>,
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
            let wake_at_ns = if more {
                now_ns
            } else {
                self.next_instant(now_ns).min(give_up_at_ns)
            };
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
                let Some(worker) = self.workers.get_mut(index as usize) else {
                    continue;
                };
                let mut io = self.means.io(index);
                let shot = if worker.running {
                    Some(&mut worker.shot)
                } else {
                    None
                };
                let step = self
                    .engine
                    .nib
                    .ready(&mut worker.connection, shot, ready, &mut io);
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

    fn wake(&mut self, index: u32) {
        let Some(worker) = self.workers.get_mut(index as usize) else {
            return;
        };
        if !worker.running {
            return;
        }
        let mut io = self.means.io(index);
        let step = self
            .engine
            .nib
            .wake(&mut worker.connection, &mut worker.shot, &mut io);
        self.take_step(index, step);
    }

    /// True if the hit has ended.
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
        self.wakes
            .push(Reverse((instant_ns, index, generation, wake)));
    }

    fn look_at_others(&mut self) {
        let own = Arc::as_ptr(&self.engine.counters);
        let others = self
            .engine
            .all_counters
            .iter()
            .filter(|other| Arc::as_ptr(other) != own);
        self.others_running = others.map(|other| other.running.get()).sum();
    }
}
