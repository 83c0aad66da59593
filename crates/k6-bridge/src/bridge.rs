//! A bridge: the caller, and the queue of its completions.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use encarno_wrpc_caller::{Caller, Sink};

use crate::queue::CompletionQueue;
use crate::system;

pub(crate) struct Bridge {
    /// `None` only while the bridge is dropped.
    caller: Option<Caller>,
    queue: Arc<CompletionQueue>,
}

impl Bridge {
    /// Starts the IO threads. The descriptor is an eventfd, readable when there
    /// are completions to fetch.
    pub(crate) fn open() -> io::Result<(Self, OwnedFd)> {
        let event = system::eventfd()?;
        let reader = event.try_clone()?;
        let queue = Arc::new(CompletionQueue::new(File::from(event)));
        let sink = Arc::clone(&queue) as Arc<dyn Sink>;
        let caller = system::without_signals(|| Caller::start(sink))?;
        let bridge = Self {
            caller: Some(caller),
            queue,
        };
        Ok((bridge, reader))
    }

    pub(crate) fn caller(&self) -> &Caller {
        match &self.caller {
            Some(caller) => caller,
            None => unreachable!("the bridge isn't being dropped"),
        }
    }

    pub(crate) fn queue(&self) -> &CompletionQueue {
        &self.queue
    }
}

impl Drop for Bridge {
    /// Ends the IO threads, and with them all calls in flight; then wakes the reader.
    fn drop(&mut self) {
        self.caller = None;
        self.queue.wake();
    }
}
