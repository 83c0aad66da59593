//! Places at which a thread waits for its call, for a moment.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::completion::Completion;
use crate::lock;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Instant, Mutex, MutexGuard};

/// The most threads that may wait at once.
const PLACES: usize = 2;
/// How long they wait. Most calls on a local network are done by then; for longer ones,
/// the wake-up of the sink's reader doesn't matter.
const WAIT_MAX: Duration = Duration::from_millis(1);

#[derive(Default)]
pub(crate) struct Waiters {
    places: [WaitPlace; PLACES],
}

#[derive(Default)]
struct WaitPlace {
    taken: AtomicBool,
    state: Mutex<WaitState>,
    arrived: Condvar,
}

#[derive(Default)]
struct WaitState {
    /// The number of calls that were awaited here, which shows that a completion is late
    /// and goes to the sink.
    awaited: u64,
    waiting: bool,
    completion: Option<Completion>,
    /// The waker of a thread that drives the IO itself while it waits.
    waker: Option<Waker>,
}

/// A place at which a thread expects its call. Give it back with [`Waiters::leave`].
#[derive(Clone, Copy)]
pub(crate) struct Expected {
    place: usize,
    awaited: u64,
}

impl Waiters {
    /// A place to wait at, if one is free.
    pub(crate) fn enter(&self) -> Option<Expected> {
        let place = self.places.iter().position(|place| {
            place
                .taken
                .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
                .is_ok()
        })?;
        let mut state = lock(&self.places[place].state);
        state.awaited += 1;
        state.waiting = true;
        Some(Expected {
            place,
            awaited: state.awaited,
        })
    }

    /// Gives the place back. Returns the completion if it has arrived; otherwise it will
    /// go to the sink.
    pub(crate) fn leave(&self, expected: Expected) -> Option<Completion> {
        let place = &self.places[expected.place];
        let mut state = lock(&place.state);
        state.waiting = false;
        state.waker = None;
        let completion = state.completion.take();
        drop(state);
        place.taken.store(false, Ordering::Release);
        completion
    }

    /// Blocks until the call is complete or the time is over.
    pub(crate) fn wait(&self, expected: Expected) {
        let place = &self.places[expected.place];
        let deadline = Instant::now() + WAIT_MAX;
        let mut state = lock(&place.state);
        while state.completion.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = match place.arrived.wait_timeout(state, left) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Ready when the call is complete.
    pub(crate) fn poll(&self, expected: Expected, context: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.places[expected.place].state);
        if state.completion.is_some() {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Gives the completion to the thread that waits for it; returns the completion if no
    /// thread does.
    pub(crate) fn answer(&self, expected: Expected, completion: Completion) -> Option<Completion> {
        let place = &self.places[expected.place];
        let mut state = lock(&place.state);
        if !state.waiting || state.awaited != expected.awaited {
            return Some(completion);
        }
        state.completion = Some(completion);
        place.wake(state);
        None
    }

    /// Makes all who poll check again.
    pub(crate) fn wake_all(&self) {
        for place in &self.places {
            place.wake(lock(&place.state));
        }
    }
}

impl WaitPlace {
    fn wake(&self, mut state: MutexGuard<'_, WaitState>) {
        let waker = state.waker.take();
        drop(state);
        match waker {
            Some(waker) => waker.wake(),
            None => self.arrived.notify_one(),
        }
    }
}
