//! One event loop: starts hits, moves them on, records them.
//!
//! - [`pace`]: when hits start; a type for each kind of workload
//! - [`crew`]: the workers, and their hits from start to end
//! - [`sleep`]: how long the loop sleeps, and how it wakes in time

mod crew;
mod pace;
mod sleep;

use std::num::NonZeroU64;
use std::sync::Arc;

use encarno_nib::clock::Clock;
use encarno_nib::poll::{Poller, WAKER_TOKEN, Waker, readiness};
use encarno_nib::{Fatal, LINK_BIT, Nib};
use encarno_record::{Expected, Strings};
use rustix::event::epoll::Event;
use rustix::io::Errno;

use super::control::{Control, Stop};
use super::counters::Counters;
use super::feed::Feed;
use super::share::Share;
use crate::output::Recorder;
use crate::script::ScriptContext;
use crew::Crew;
pub(crate) use crew::{Traced, has_fields};
pub(crate) use pace::{Closed, Open, Pace, Steered};
use sleep::Sleep;

/// The most events that are taken at once.
const EVENTS_MAX: usize = 256;
/// The longest time between two checks of stop and clock.
const TURN_NS_MAX: u64 = 50_000_000;

/// Why an event loop ended early.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    /// The limit of open files is reached.
    #[error(
        "no file descriptors left for connections: raise the limit (ulimit -n) or lower --connections"
    )]
    FileDescriptors,
    /// The protocol can't go on, for this reason.
    #[error("{0}")]
    Protocol(String),
    /// epoll failed.
    #[error("can't wait for connections: {0}")]
    Poll(#[source] Errno),
    /// A thread panicked, which is a bug in this program.
    #[error("an event loop failed; please report its message")]
    Panicked,
}

/// The parts of an event loop.
#[derive(Debug)]
pub(crate) struct EventLoop<N: Nib> {
    /// The protocol.
    pub nib: N,
    /// The source of records.
    pub feed: Feed,
    /// The destination of hits.
    pub recorder: Recorder,
    /// The counters that other threads read.
    pub counters: Arc<Counters>,
    /// The counters of all loops.
    pub all_counters: Vec<Arc<Counters>>,
    /// Stops the loop and changes the schedule.
    pub control: Arc<Control>,
    /// The run's clock.
    pub clock: Clock,
    /// Wakes the loop, for the control and the resolver.
    pub waker: Arc<Waker>,
    /// Texts of timeouts and cancellations.
    pub strings: Strings,
    /// The statuses that don't fail a hit.
    pub expected: Expected,
    /// The timeout of a hit.
    pub timeout_ns: u64,
    /// The time that running hits get after a stop or after the schedule's end.
    pub grace_ns: u64,
    /// The place of this loop among all loops.
    pub share: Share,
    /// The number of workers at the start.
    pub workers_start: usize,
    /// The most bytes of each answer that are kept for the trace.
    pub keep_answer_bytes_max: usize,
    /// The state for scripts; `None` if the input can't have any.
    pub script_context: Option<Box<ScriptContext>>,
    /// Chooses hits that begin a trace; none if none does.
    pub traced: Option<Box<Traced>>,
}

impl<N: Nib> EventLoop<N> {
    /// Runs to the end of the workload. The pace starts hits.
    pub(crate) fn run(self, pace: impl Pace) -> Result<(), LoopError> {
        // Without this, sleeps end up to 50 µs late. If it isn't allowed, they do.
        let _slack = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let poller = Poller::new().map_err(LoopError::Poll)?;
        poller
            .register_waker(&self.waker)
            .map_err(LoopError::Poll)?;
        let control = Arc::clone(&self.control);
        let grace_ns = self.grace_ns;
        let crew = Crew::new(self, poller);
        let mut running = Running {
            pace,
            crew,
            sleep: Sleep::default(),
            control,
            grace_ns,
            give_up_at_ns: u64::MAX,
        };
        let result = running.turn_until_done();
        running.crew.close(running.pace.users(running.crew.busy()));
        result
    }
}

/// A running event loop. The pace decides what starts, and the crew does it.
struct Running<N: Nib, P> {
    pace: P,
    crew: Crew<N>,
    sleep: Sleep,
    control: Arc<Control>,
    grace_ns: u64,
    /// The instant at which hits that still run are cancelled.
    give_up_at_ns: u64,
}

impl<N: Nib, P: Pace> Running<N, P> {
    fn turn_until_done(&mut self) -> Result<(), LoopError> {
        let mut events: Vec<Event> = Vec::with_capacity(EVENTS_MAX);
        loop {
            let mut now_ns = self.crew.now_ns();
            let turn_ns = now_ns;
            if self.crew.is_report_due(now_ns) {
                self.crew.report(self.pace.users(self.crew.busy()), now_ns);
            }
            self.heed_stop(now_ns);
            let mut more = self.start_due(&mut now_ns);
            if N::SHARED {
                more |= self.crew.flush();
            }
            if let Some(fatal) = self.crew.fatal() {
                self.pace.abort(&self.crew);
                self.crew.cancel_all(now_ns);
                return Err(match fatal {
                    Fatal::Descriptors(_) => LoopError::FileDescriptors,
                    Fatal::Text(text) => LoopError::Protocol(text),
                });
            }
            if now_ns >= self.give_up_at_ns {
                self.crew.cancel_all(now_ns);
            }
            if self.pace.has_ended() && self.crew.running() == 0 {
                return Ok(());
            }
            let wake_at_ns = if more {
                now_ns
            } else {
                self.next_instant(now_ns)
            };
            let spin = self.pace.spins();
            self.sleep
                .wait(&mut self.crew, &mut events, now_ns, wake_at_ns, spin)?;
            self.crew.look_at_others();
            for event in events.drain(..) {
                self.take(&event);
            }
            let now_ns = self.crew.now_ns();
            if self.pace.is_hungry() {
                self.crew.counters().starved_ns.add(now_ns - turn_ns);
            }
            self.crew.wake_due(now_ns);
            self.crew.time_out(now_ns);
        }
    }

    fn take(&mut self, event: &Event) {
        let (token, ready) = readiness(event);
        if token == WAKER_TOKEN {
            self.crew.wake_named();
            return;
        }
        let index = token as u32;
        let ended_ns = if N::SHARED && index & LINK_BIT != 0 {
            self.crew.link_ready(index & !LINK_BIT, ready)
        } else {
            self.crew.ready(index, ready)
        };
        // A worker whose hit has ended may start again at once.
        if let Some(mut now_ns) = ended_ns {
            self.start_due(&mut now_ns);
            if N::SHARED {
                self.crew.flush();
            }
        }
    }

    /// Starts what is due; true if there may be more at once.
    #[inline]
    fn start_due(&mut self, now_ns: &mut u64) -> bool {
        if self.pace.has_ended() {
            return false;
        }
        let more = self
            .pace
            .start_due(&mut self.crew, &self.control, self.grace_ns, now_ns);
        // If the time is over, and not only the input, running hits get the grace period.
        if self.pace.is_over() && self.give_up_at_ns == u64::MAX {
            self.give_up_at_ns = now_ns.saturating_add(self.grace_ns);
        }
        more
    }

    fn heed_stop(&mut self, now_ns: u64) {
        match self.control.stop() {
            Stop::No => {}
            Stop::Drain if self.pace.is_stopping() => {}
            Stop::Drain => {
                self.pace.stop(now_ns);
                let give_up_at_ns = now_ns.saturating_add(self.grace_ns);
                self.give_up_at_ns = self.give_up_at_ns.min(give_up_at_ns);
            }
            Stop::Now => {
                self.pace.abort(&self.crew);
                self.give_up_at_ns = now_ns;
            }
        }
    }

    /// The next instant at which something must be done without an event.
    fn next_instant(&self, now_ns: u64) -> u64 {
        let mut instant_ns = (now_ns + TURN_NS_MAX)
            .min(self.crew.next_instant())
            .min(self.give_up_at_ns);
        if !self.pace.has_ended() {
            instant_ns = instant_ns.min(self.pace.next_instant(&self.crew, now_ns));
        }
        instant_ns
    }
}
