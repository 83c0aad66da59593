//! A bridge: IO threads, and the queue of what they completed.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::abi::system;
use crate::client::Client;
use crate::completion::Completions;
use crate::io_thread::IoThread;
use crate::link::{Link, SharedLinks};
use crate::lock;
use crate::options::Options;

pub(crate) struct Bridge {
    threads: Vec<Arc<IoThread>>,
    next: AtomicUsize,
    shared: Mutex<SharedLinks>,
    completions: Arc<Completions>,
}

impl Bridge {
    /// Starts the IO threads. The descriptor is an eventfd, readable when there
    /// are completions to fetch.
    pub(crate) fn open() -> io::Result<(Self, OwnedFd)> {
        let event = system::eventfd()?;
        let reader = event.try_clone()?;
        let completions = Arc::new(Completions::new(File::from(event)));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let mut bridge = Self {
            threads: Vec::new(),
            next: AtomicUsize::new(0),
            shared: Mutex::default(),
            completions,
        };
        for index in 0..(cores / 4).clamp(1, 8) {
            // Where one can't be started, dropping the bridge ends the others.
            bridge
                .threads
                .push(IoThread::start(index, &bridge.completions)?);
        }
        Ok((bridge, reader))
    }

    pub(crate) fn completions(&self) -> &Arc<Completions> {
        &self.completions
    }

    pub(crate) fn io_threads(&self) -> usize {
        self.threads.len()
    }

    /// A client with a link of its own on the next IO thread, or with one that it
    /// shares. It doesn't connect yet.
    pub(crate) fn client(&self, options: Options) -> Client {
        let (link, number) = match options.shared {
            Some(count) => lock(&self.shared).take(&options.transport, count.get()),
            None => {
                let link = Arc::new(Link::new(options.transport));
                (link, self.next.fetch_add(1, Ordering::Relaxed))
            }
        };
        let thread = &self.threads[number % self.threads.len()];
        Client::new(link, Arc::clone(thread))
    }
}

impl Drop for Bridge {
    /// Ends the IO threads and with them all calls in flight.
    fn drop(&mut self) {
        for thread in &self.threads {
            thread.stop();
        }
        self.completions.wake();
    }
}
