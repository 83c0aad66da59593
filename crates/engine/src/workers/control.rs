//! How a run is told to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use encarno_nib::poll::Waker;

/// Shared by all event loops; it changes once or twice a run.
#[derive(Debug)]
pub struct Control {
    stop: AtomicU8,
    wakers: Vec<Arc<Waker>>,
}

/// How far a stop has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    No,
    /// No new hits; running ones may end within the grace.
    Drain,
    /// Running hits are given up.
    Now,
}

impl Control {
    /// With the wakers of all event loops.
    pub fn new(wakers: Vec<Arc<Waker>>) -> Self {
        Self {
            stop: AtomicU8::new(0),
            wakers,
        }
    }

    /// Asks all loops to stop; a second time: at once.
    pub fn stop_harder(&self) -> Stop {
        let before = self
            .stop
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |stop| {
                Some((stop + 1).min(2))
            });
        self.wakers.iter().for_each(|waker| waker.wake());
        if before == Ok(0) {
            Stop::Drain
        } else {
            Stop::Now
        }
    }

    /// Asks all loops to stop, if they aren't asked already.
    pub fn drain(&self) {
        self.stop.fetch_max(1, Ordering::Relaxed);
        self.wakers.iter().for_each(|waker| waker.wake());
    }

    /// How far it has gone.
    #[inline]
    pub fn stop(&self) -> Stop {
        match self.stop.load(Ordering::Relaxed) {
            0 => Stop::No,
            1 => Stop::Drain,
            _ => Stop::Now,
        }
    }
}
