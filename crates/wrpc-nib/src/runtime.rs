//! Tokio on the thread of an event loop. The loop sleeps in here: until a call has ended,
//! its own epoll is ready, or an instant has come.

use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use encarno_nib::clock::monotonic_ns;
use encarno_nib::poll::Poller;
use encarno_wrpc::Outcome;
use encarno_wrpc_caller::{Link, Reply, Work};
use rustix::event::epoll::Event;
use rustix::fd::AsFd as _;
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::AbortHandle;

/// Host names are looked up on threads of their own, so many for each loop.
const RESOLVERS: usize = 2;

/// Connections get so many turns of the runtime to end.
const LAST_TURNS: usize = 8;

/// A timer that is set while nothing earlier is due makes tokio wake its own thread; each
/// call sets one.
const TICK: Duration = Duration::from_millis(50);

/// A runtime, and the calls that run in it: one of each worker at most.
pub(crate) struct Runtime {
    /// None only while it is dropped.
    tokio: Option<tokio::runtime::Runtime>,
    /// Made when the loop first waits.
    sleep: Option<Sleep>,
    starts: Vec<Start>,
    /// By the workers' numbers.
    calls: Vec<Running>,
    ended: Arc<Ended>,
}

/// A call that is to be started: tokio starts tasks cheaply from within only.
type Start = Box<dyn FnOnce(&mut Vec<Running>) + Send>;

/// The call of a worker.
#[derive(Default)]
struct Running {
    /// Tells this call from earlier ones of the worker.
    number: u64,
    is_running: bool,
    abort: Option<AbortHandle>,
}

/// A call that has ended.
pub(crate) struct Done {
    pub(crate) worker: u32,
    number: u64,
    pub(crate) outcome: Outcome<Reply>,
}

/// Calls that have ended, until the loop takes them.
#[derive(Default)]
struct Ended(Mutex<EndedState>);

#[derive(Default)]
struct EndedState {
    done: Vec<Done>,
    sleeper: Option<Waker>,
}

impl Ended {
    fn add(&self, done: Done) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.done.push(done);
        if let Some(sleeper) = state.sleeper.take() {
            sleeper.wake();
        }
    }

    fn take(&self, into: &mut Vec<Done>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        into.append(&mut state.done);
    }

    /// Whether there are any; else `sleeper` is woken by the next.
    fn poll(&self, sleeper: &Waker) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.done.is_empty() {
            return true;
        }
        match &mut state.sleeper {
            Some(known) => known.clone_from(sleeper),
            none => *none = Some(sleeper.clone()),
        }
        false
    }
}

impl Runtime {
    pub(crate) fn new() -> io::Result<Self> {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(RESOLVERS)
            .thread_name("encarno-resolve")
            .build()?;
        tokio.spawn(async {
            loop {
                tokio::time::sleep(TICK).await;
            }
        });
        Ok(Self {
            tokio: Some(tokio),
            sleep: None,
            starts: Vec::new(),
            calls: Vec::new(),
            ended: Arc::default(),
        })
    }

    /// Starts a call when the loop waits next.
    pub(crate) fn start(
        &mut self,
        worker: u32,
        link: Arc<Link>,
        work: impl Work,
        deadline: Instant,
    ) {
        let at = worker as usize;
        if self.calls.len() <= at {
            self.calls.resize_with(at + 1, Running::default);
        }
        let call = &mut self.calls[at];
        call.number += 1;
        call.is_running = true;
        call.abort = None;
        let number = call.number;
        let ended = Arc::clone(&self.ended);
        self.starts.push(Box::new(move |calls| {
            let call = &mut calls[at];
            if call.number != number || !call.is_running {
                return; // it was given up
            }
            let task = tokio::spawn(async move {
                let outcome = work.run(link, deadline).await;
                ended.add(Done {
                    worker,
                    number,
                    outcome,
                });
            });
            call.abort = Some(task.abort_handle());
        }));
    }

    /// Gives the worker's call up.
    pub(crate) fn abandon(&mut self, worker: u32) {
        if let Some(call) = self.calls.get_mut(worker as usize) {
            call.is_running = false;
            if let Some(abort) = call.abort.take() {
                abort.abort();
            }
        }
    }

    /// Takes the calls that have ended and weren't given up.
    pub(crate) fn take_ended(&mut self, into: &mut Vec<Done>) {
        self.ended.take(into);
        into.retain(|done| {
            let call = &mut self.calls[done.worker as usize];
            let is_wanted = call.is_running && call.number == done.number;
            if is_wanted {
                call.is_running = false;
                call.abort = None;
            }
            is_wanted
        });
    }

    /// Gives all calls up, and lets connections that nobody has any more say their last.
    pub(crate) fn close(&mut self) {
        self.starts.clear();
        for call in self.calls.drain(..) {
            if let Some(abort) = call.abort {
                abort.abort();
            }
        }
        if let Some(tokio) = &self.tokio {
            tokio.block_on(async {
                for _ in 0..LAST_TURNS {
                    tokio::task::yield_now().await;
                }
            });
        }
    }

    /// Sleeps until the poller is ready, a call has ended, or so long; events of the poller
    /// are put into `events`. True if it was neither of the first and the last.
    pub(crate) fn wait(
        &mut self,
        poller: &Poller,
        events: &mut Vec<Event>,
        timeout_ns: u64,
    ) -> Result<bool, Errno> {
        events.clear();
        let Some(tokio) = &self.tokio else {
            return Err(Errno::INVAL);
        };
        let sleep = match &mut self.sleep {
            Some(sleep) => sleep,
            none => {
                let _within = tokio.enter();
                none.insert(Sleep::new(poller)?)
            }
        };
        let is_whole = sleep.set(timeout_ns)?;
        let (starts, calls, ended) = (&mut self.starts, &mut self.calls, &self.ended);
        let mut turn = std::pin::pin!(tokio::task::yield_now());
        let why = tokio.block_on(poll_fn(|context| {
            for start in starts.drain(..) {
                start(calls);
            }
            if sleep.is_poller_ready(context) {
                return Poll::Ready(Why::Poller);
            }
            if ended.poll(context.waker()) {
                return Poll::Ready(Why::Ended);
            }
            match timeout_ns {
                // One turn of the runtime.
                0 => turn.as_mut().poll(context).map(|()| Why::Instant),
                _ if sleep.is_due(context) => Poll::Ready(Why::Instant),
                _ => Poll::Pending,
            }
        }));
        if why == Why::Poller || sleep.has_more {
            poller.wait(events, 0)?;
            sleep.has_more = events.len() == events.capacity();
        }
        Ok(match why {
            Why::Poller => false,
            Why::Ended => true,
            // A timer of an earlier wait ends this one too early.
            Why::Instant => !is_whole,
        })
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(tokio) = self.tokio.take() {
            {
                let _within = tokio.enter();
                self.sleep = None;
            }
            // A host name that is being looked up holds nobody up.
            tokio.shutdown_background();
        }
    }
}

/// Why a sleep ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    Poller,
    Ended,
    Instant,
}

/// What a loop sleeps by.
struct Sleep {
    poller: AsyncFd<OwnedFd>,
    /// More events may wait than fitted the last time.
    has_more: bool,
    timer: AsyncFd<OwnedFd>,
    /// The instant for which the timer is set.
    set_ns: u64,
}

impl Sleep {
    fn new(poller: &Poller) -> Result<Self, Errno> {
        let failed = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL);
        let poller = poller.as_fd().try_clone_to_owned().map_err(failed)?;
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        // Sound for a descriptor that is owned; what took its place is `unsafe`.
        #[expect(deprecated)]
        let watched = |fd| AsyncFd::with_interest(fd, Interest::READABLE).map_err(failed);
        Ok(Self {
            poller: watched(poller)?,
            has_more: false,
            timer: watched(timer)?,
            set_ns: 0,
        })
    }

    /// Sets the timer, unless it goes off earlier anyhow; false in that case.
    fn set(&mut self, timeout_ns: u64) -> Result<bool, Errno> {
        if timeout_ns == 0 {
            return Ok(true);
        }
        let now_ns = monotonic_ns();
        let until_ns = now_ns.saturating_add(timeout_ns);
        if self.set_ns > now_ns && self.set_ns <= until_ns {
            return Ok(self.set_ns == until_ns);
        }
        let value = Itimerspec {
            it_interval: timespec(0),
            it_value: timespec(until_ns),
        };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::ABSTIME, &value)?;
        self.set_ns = until_ns;
        Ok(true)
    }

    fn is_poller_ready(&mut self, context: &mut std::task::Context<'_>) -> bool {
        is_ready(&self.poller, context)
    }

    fn is_due(&mut self, context: &mut std::task::Context<'_>) -> bool {
        // Of an instant that was given up, the descriptor may still tell.
        is_ready(&self.timer, context) && {
            let is_due = monotonic_ns() >= self.set_ns;
            if !is_due {
                context.waker().wake_by_ref();
            }
            is_due
        }
    }
}

/// Each edge counts once.
fn is_ready(watched: &AsyncFd<OwnedFd>, context: &mut std::task::Context<'_>) -> bool {
    match watched.poll_read_ready(context) {
        Poll::Ready(Ok(mut guard)) => {
            guard.clear_ready();
            true
        }
        // The runtime goes away: the loop finds out by itself.
        Poll::Ready(Err(_)) => true,
        Poll::Pending => false,
    }
}

fn timespec(ns: u64) -> Timespec {
    Timespec {
        tv_sec: (ns / 1_000_000_000) as i64,
        tv_nsec: (ns % 1_000_000_000) as _,
    }
}
