//! IO threads, and the clients that use them.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use encarno_wrpc::Counted;

use crate::client::Client;
use crate::completion::Sink;
use crate::in_flight::{CALLS_MAX, InFlight};
use crate::io_thread::IoThread;
use crate::link::Link;
use crate::lock;
use crate::options::Options;
use crate::shared_links::SharedLinks;
use crate::ticket::Completions;
use crate::waiting::Waiters;

/// The IO threads of a program, with the sink of their completions.
pub struct Caller {
    threads: Vec<Arc<IoThread>>,
    next: AtomicUsize,
    shared: Mutex<SharedLinks>,
}

impl Caller {
    /// Starts the IO threads. The calling thread starts them, so they inherit its signal
    /// mask.
    pub fn start(sink: Arc<dyn Sink>) -> io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let in_flight = Arc::new(InFlight::new(CALLS_MAX));
        let waiters = Arc::new(Waiters::default());
        let mut caller = Self {
            threads: Vec::new(),
            next: AtomicUsize::new(0),
            shared: Mutex::default(),
        };
        for index in 0..(cores / 4).clamp(1, 8) {
            let completions = Completions::new(
                Arc::clone(&sink),
                Arc::clone(&in_flight),
                Arc::clone(&waiters),
            );
            // If one can't be started, dropping the caller ends the others.
            caller.threads.push(IoThread::start(index, completions)?);
        }
        Ok(caller)
    }

    /// The number of IO threads.
    pub fn io_threads(&self) -> usize {
        self.threads.len()
    }

    /// A client with its own link on the next IO thread, or with a shared link. It
    /// doesn't connect yet.
    pub fn client(&self, options: Options) -> Arc<Client> {
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
        Arc::new(Client::new(link, Arc::clone(self.thread(number))))
    }

    /// The total counts of a transport.
    pub fn counted(&self, transport: usize) -> Counted {
        let mut all = Counted::default();
        for thread in &self.threads {
            all += thread.counters(transport).counted();
        }
        all
    }

    /// Takes the connect times of connections, each once, at most `max` of them.
    pub fn take_connect_times(&self, transport: usize, max: usize) -> Vec<Duration> {
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

impl Drop for Caller {
    /// Ends the IO threads, and with them all calls in flight.
    fn drop(&mut self) {
        for thread in &self.threads {
            thread.stop();
        }
    }
}
