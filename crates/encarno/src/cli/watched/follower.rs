//! A thread that reads a result file on while a run writes it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use encarno_export::steps::{Step, Steps};

use super::super::Failure;

/// Follows a file, and gives what it made of it at the end.
pub(super) struct Follower<T> {
    thread: JoinHandle<T>,
    over: Arc<AtomicBool>,
}

impl<T: Send + 'static> Follower<T> {
    /// Hands each step to `take`, with whether the run is over. The file is looked at that
    /// often.
    pub(super) fn start(
        name: &str,
        look: Duration,
        mut steps: Steps,
        mut taker: T,
        mut take: impl FnMut(&mut T, &Step, bool) + Send + 'static,
    ) -> Result<Self, Failure> {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let body = move || {
            loop {
                let was_over = is_over.load(Ordering::Acquire);
                // A file that can't be read any more is told by the run itself.
                while let Ok(Some(step)) = match was_over {
                    true => steps.next_step(),
                    false => steps.next_whole(),
                } {
                    take(&mut taker, &step, is_over.load(Ordering::Acquire));
                }
                if was_over {
                    return taker;
                }
                thread::park_timeout(look);
            }
        };
        let thread = thread::Builder::new().name(name.to_owned());
        Ok(Self {
            thread: thread.spawn(body).map_err(Failure::setup)?,
            over,
        })
    }

    /// The run is over: the rest of the file is read at once.
    pub(super) fn tell(&self) {
        self.over.store(true, Ordering::Release);
        self.thread.thread().unpark();
    }

    /// Whether all was read.
    pub(super) fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until all was read.
    pub(super) fn join(self) -> T {
        match self.thread.join() {
            Ok(taker) => taker,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
