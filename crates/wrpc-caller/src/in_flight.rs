//! Counts the calls whose completions weren't taken yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most calls of a [`Caller`](crate::Caller) in flight. It bounds every queue behind
/// it.
pub const CALLS_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct InFlight {
    calls: AtomicUsize,
    calls_max: usize,
}

/// Counts one call as in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<InFlight>);

impl InFlight {
    /// The bound is [`CALLS_MAX`], except in tests.
    pub(crate) fn new(calls_max: usize) -> Self {
        Self {
            calls: AtomicUsize::new(0),
            calls_max,
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Counts one more call; `None` if there are too many.
    pub(crate) fn permit(self: &Arc<Self>) -> Option<Permit> {
        if self.calls.fetch_add(1, Ordering::Relaxed) >= self.calls_max {
            self.calls.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}
