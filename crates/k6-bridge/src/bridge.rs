//! A bridge: IO threads, and the queue of what they completed.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use encarno_wrpc::Counted;

use crate::abi::system;
use crate::client::Client;
use crate::completion::{CALLS_MAX, Completions};
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
        let completions = Arc::new(Completions::new(File::from(event), CALLS_MAX));
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
        let Options { transport, shared } = options;
        let counters = |number| Arc::clone(self.thread(number).counters(transport.number()));
        let (link, number) = match shared {
            Some(count) => lock(&self.shared).take(&transport, count.get(), counters),
            None => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let counters = counters(number);
                (Arc::new(Link::new(transport, counters)), number)
            }
        };
        Client::new(link, Arc::clone(self.thread(number)))
    }

    /// What a transport did, in all.
    pub(crate) fn counted(&self, transport: usize) -> Counted {
        let mut all = Counted::default();
        for thread in &self.threads {
            all += thread.counters(transport).counted();
        }
        all
    }

    /// How long connections took to make: at most so many, each once.
    pub(crate) fn take_connect_times(&self, transport: usize, max: usize) -> Vec<Duration> {
        let mut times = Vec::new();
        for thread in &self.threads {
            let left = max - times.len();
            times.extend(thread.counters(transport).take_connect_times(left));
        }
        times
    }

    fn thread(&self, number: usize) -> &Arc<IoThread> {
        &self.threads[number % self.threads.len()]
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
