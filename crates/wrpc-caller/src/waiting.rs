//! Places at which a thread waits for its call, for a moment.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::completion::Completion;
use crate::lock;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{Condvar, Instant, Mutex, MutexGuard};

/// So many threads may wait at once.
const PLACES: usize = 2;
/// For so long. Most calls on a local network are done by then; the others are
/// long enough for the wake-up of who reads the sink not to matter.
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
    /// Counts the calls that were awaited here: a late one goes to the sink.
    awaited: u64,
    waiting: bool,
    completion: Option<Completion>,
    /// Of a thread that drives the IO itself while it waits.
    waker: Option<Waker>,
}

/// Where a thread expects its call. It goes by [`Waiters::leave`].
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

    /// Gives the place up. What arrived is returned; what didn't will come to the
    /// sink.
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

    /// Blocks until the call is there or the moment is over.
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

    /// Ready when the call is there.
    pub(crate) fn poll(&self, expected: Expected, context: &Context<'_>) -> Poll<()> {
        let mut state = lock(&self.places[expected.place].state);
        if state.completion.is_some() {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// Gives the completion to the thread that waits for it, or back.
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

    /// Makes those who poll look again.
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
