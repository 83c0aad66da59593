//! The way back of a call: by the outbox of its IO thread into the queue, from
//! which one reader fetches many completions at once, or straight to a caller
//! that waits for a moment.
//!
//! Every call that was accepted for submission has exactly one completion,
//! whatever becomes of it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use encarno_wrpc::nats::Outcome;
use encarno_wrpc::{Error, ErrorCode};
use tokio::sync::Notify;

use crate::lock;

/// Calls of a bridge whose completions haven't been fetched. It bounds every
/// queue of the bridge.
pub(crate) const CALLS_MAX: usize = 1 << 20;

/// With more calls in flight than this a wake-up serves several of them, and
/// the queue is the cheaper way.
const WAIT_CALLS_MAX: usize = 2;
/// So many threads may wait at once.
const WAITERS: usize = 2;
/// For so long. Most calls on a local network are done by then; the others are
/// long enough for the queue's wake-up not to matter.
const WAIT_MAX: Duration = Duration::from_millis(1);

/// What became of a call, and when.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) tag: u64,
    pub(crate) error: Option<Error>,
    /// From the submission to each moment. What didn't happen is `None`.
    pub(crate) sent: Option<Duration>,
    pub(crate) accepted: Option<Duration>,
    pub(crate) finished: Duration,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
}

pub(crate) struct Completions {
    queue: Mutex<VecDeque<Completion>>,
    /// An eventfd, written when the queue was empty and no longer is.
    event: File,
    in_flight: AtomicUsize,
    waiters: [Waiter; WAITERS],
}

/// A place for one thread that waits for its call.
#[derive(Default)]
struct Waiter {
    taken: AtomicBool,
    state: Mutex<WaiterState>,
    arrived: Condvar,
}

#[derive(Default)]
struct WaiterState {
    /// Counts the calls that were awaited here: a late one goes to the queue.
    awaited: u64,
    waiting: bool,
    completion: Option<Completion>,
}

/// Where a waiting thread expects its call.
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    waiter: usize,
    awaited: u64,
}

impl Completions {
    pub(crate) fn new(event: File) -> Self {
        Self {
            queue: Mutex::default(),
            event,
            in_flight: AtomicUsize::new(0),
            waiters: Default::default(),
        }
    }

    /// Hands completions to `give`, the oldest first, as long as there are any and
    /// it takes them. Returns how many.
    pub(crate) fn take(&self, max: usize, mut give: impl FnMut(usize, Completion)) -> usize {
        let mut queue = lock(&self.queue);
        let count = queue.len().min(max);
        for (index, completion) in queue.drain(..count).enumerate() {
            give(index, completion);
        }
        self.in_flight.fetch_sub(count, Ordering::Relaxed);
        count
    }

    /// Wakes the reader of the eventfd, though there may be nothing to fetch.
    pub(crate) fn wake(&self) {
        // Fails only if the counter is full: then the reader is awake as it is.
        let _ = (&self.event).write(&1u64.to_ne_bytes());
    }

    /// A place to wait at, where few calls are in flight and it is free.
    pub(crate) fn expect(&self) -> Option<Expected> {
        if self.in_flight.load(Ordering::Relaxed) >= WAIT_CALLS_MAX {
            return None;
        }
        let waiter = self.waiters.iter().position(|waiter| {
            waiter
                .taken
                .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        })?;
        let mut state = lock(&self.waiters[waiter].state);
        state.awaited += 1;
        state.waiting = true;
        Some(Expected {
            waiter,
            awaited: state.awaited,
        })
    }

    /// Waits for what is expected, for a moment. `None`: it will come by the queue.
    pub(crate) fn wait(&self, expected: Expected) -> Option<Completion> {
        let waiter = &self.waiters[expected.waiter];
        let deadline = Instant::now() + WAIT_MAX;
        let mut state = lock(&waiter.state);
        let completion = loop {
            if let Some(completion) = state.completion.take() {
                break Some(completion);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break None;
            }
            state = match waiter.arrived.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        };
        state.waiting = false;
        drop(state);
        waiter.taken.store(false, Ordering::Release);
        if completion.is_some() {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
        completion
    }

    /// Gives up a place at which nothing will arrive.
    pub(crate) fn unexpect(&self, expected: Expected) {
        let waiter = &self.waiters[expected.waiter];
        lock(&waiter.state).waiting = false;
        waiter.taken.store(false, Ordering::Release);
    }

    /// Gives the completion to the thread that waits for it, or back.
    fn answer(&self, expected: Expected, completion: Completion) -> Option<Completion> {
        let waiter = &self.waiters[expected.waiter];
        let mut state = lock(&waiter.state);
        if !state.waiting || state.awaited != expected.awaited {
            return Some(completion);
        }
        state.completion = Some(completion);
        drop(state);
        waiter.arrived.notify_one();
        None
    }

    fn append(&self, completed: &mut Vec<Completion>) {
        if completed.is_empty() {
            return;
        }
        let mut queue = lock(&self.queue);
        let was_empty = queue.is_empty();
        queue.extend(completed.drain(..));
        drop(queue);
        if was_empty {
            self.wake();
        }
    }
}

/// What an IO thread completed and didn't hand over yet: all that one round of
/// its tasks completes costs one wake-up of the reader.
pub(crate) struct Outbox {
    completions: Arc<Completions>,
    completed: Mutex<Vec<Completion>>,
    arrived: Notify,
}

impl Outbox {
    pub(crate) fn new(completions: Arc<Completions>) -> Self {
        Self {
            completions,
            completed: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    pub(crate) fn completions(&self) -> &Arc<Completions> {
        &self.completions
    }

    /// A ticket for one more call, unless there are too many.
    pub(crate) fn admit(self: &Arc<Self>, tag: u64, expected: Option<Expected>) -> Option<Ticket> {
        let in_flight = &self.completions.in_flight;
        if in_flight.fetch_add(1, Ordering::Relaxed) >= CALLS_MAX {
            in_flight.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Ticket {
            outbox: Arc::clone(self),
            tag,
            expected,
            submitted: Instant::now(),
            is_finished: false,
        })
    }

    /// Hands over what is completed, for ever. This task is woken by the first
    /// completion of a round, and so runs after the tasks that were ready with it.
    pub(crate) async fn forward(&self) {
        let mut completed = Vec::new();
        loop {
            self.arrived.notified().await;
            std::mem::swap(&mut *lock(&self.completed), &mut completed);
            self.completions.append(&mut completed);
        }
    }

    fn deliver(&self, expected: Option<Expected>, mut completion: Completion) {
        if let Some(expected) = expected {
            match self.completions.answer(expected, completion) {
                Some(back) => completion = back,
                None => return,
            }
        }
        let mut completed = lock(&self.completed);
        completed.push(completion);
        let is_first = completed.len() == 1;
        drop(completed);
        if is_first {
            self.arrived.notify_one();
        }
    }
}

/// The right and the duty to complete one call. Dropped, it completes the call
/// as cancelled: its client was closed, or its loop has ended.
pub(crate) struct Ticket {
    outbox: Arc<Outbox>,
    tag: u64,
    expected: Option<Expected>,
    pub(crate) submitted: Instant,
    is_finished: bool,
}

impl Ticket {
    pub(crate) fn finish(mut self, outcome: Outcome) {
        let since = |moment: Instant| moment.saturating_duration_since(self.submitted);
        let completion = Completion {
            tag: self.tag,
            error: outcome.result.err(),
            sent: outcome.timing.sent.map(since),
            accepted: outcome.timing.accepted.map(since),
            finished: since(outcome.timing.finished.unwrap_or_else(Instant::now)),
            bytes_sent: outcome.traffic.bytes_sent,
            bytes_received: outcome.traffic.bytes_received,
        };
        self.is_finished = true;
        self.outbox.deliver(self.expected, completion);
    }

    /// Completes a call that was never sent.
    pub(crate) fn fail(mut self, error: Error) {
        self.complete_with(error);
    }

    fn complete_with(&mut self, error: Error) {
        self.is_finished = true;
        let completion = Completion {
            tag: self.tag,
            error: Some(error),
            sent: None,
            accepted: None,
            finished: self.submitted.elapsed(),
            bytes_sent: 0,
            bytes_received: 0,
        };
        self.outbox.deliver(self.expected, completion);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        self.complete_with(if std::thread::panicking() {
            Error::new(ErrorCode::Internal, "a fault of the bridge ended the call")
        } else {
            Error::new(ErrorCode::Cancelled, "the call was cancelled")
        });
    }
}
