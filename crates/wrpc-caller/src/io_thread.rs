//! An IO thread: a runtime, its jobs, and its completions.

use std::future::poll_fn;
use std::io;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use encarno_wrpc::Counters;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::lease::Lease;
use crate::link::Transport;
use crate::lock;
use crate::ticket::Completions;
use crate::waiting::Expected;

/// The number of threads that resolve host names for an IO thread.
const RESOLVERS: usize = 2;

/// How often an IO thread wakes at least. If a timer is set while no earlier one is due,
/// tokio wakes its own thread by writing to an eventfd; and each call sets two timers, of
/// a second and more.
const TICK: Duration = Duration::from_millis(50);

/// With more calls in flight than this, an IO thread yields to other threads before it
/// sleeps. Calls that they submit, and data that arrive meanwhile, then need no wake-up.
/// If no other thread waits for the processor, the yield returns at once.
const CROWD: usize = 8;

/// A job for an IO thread, which runs within its runtime. It must not block.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

pub(crate) struct IoThread {
    jobs: Jobs,
    completions: Arc<Completions>,
    lease: Lease,
    /// The counters of each transport on this thread; no other thread adds to them.
    counters: [Arc<Counters>; Transport::NAMES.len()],
    /// `None` when the thread has ended.
    runtime: Mutex<Option<Arc<Runtime>>>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl IoThread {
    pub(crate) fn start(index: usize, completions: Arc<Completions>) -> io::Result<Arc<Self>> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(RESOLVERS)
            .thread_name("encarno-resolve")
            .on_thread_park({
                let completions = Arc::clone(&completions);
                move || {
                    if completions.in_flight() > CROWD {
                        std::thread::yield_now();
                    }
                }
            })
            .build()?;
        let runtime = Arc::new(runtime);
        let thread = Arc::new(Self {
            jobs: Jobs::new(),
            completions,
            lease: Lease::default(),
            counters: Default::default(),
            runtime: Mutex::new(Some(Arc::clone(&runtime))),
            handle: Mutex::default(),
        });
        let run = {
            let thread = Arc::clone(&thread);
            move || thread.run(runtime)
        };
        let handle = std::thread::Builder::new()
            .name(format!("encarno-io-{index}"))
            .spawn(run)?;
        *lock(&thread.handle) = Some(handle);
        Ok(thread)
    }

    pub(crate) fn counters(&self, transport: usize) -> &Arc<Counters> {
        &self.counters[transport]
    }

    pub(crate) fn completions(&self) -> &Arc<Completions> {
        &self.completions
    }

    /// Ends the thread, and cancels all calls in flight.
    pub(crate) fn stop(&self) {
        self.lease.stop();
        if let Some(handle) = lock(&self.handle).take() {
            // If the thread panicked, it has printed a message.
            let _ = handle.join();
        }
        self.jobs.close();
    }

    pub(crate) fn push(&self, job: Job) {
        self.jobs.push(job);
        self.lease.take_back();
    }

    /// Pushes the job of a call and waits for the call for a moment. The completion
    /// arrives at `expected` or at the sink.
    pub(crate) fn push_and_wait(&self, job: Job, expected: Expected) {
        let completions = &self.completions;
        let is_alone = completions.in_flight() <= 1;
        if self.lease.begin_drive(is_alone) {
            let runtime = lock(&self.runtime).clone();
            match runtime {
                Some(runtime) => {
                    self.drive(&runtime, job, expected);
                    release(runtime);
                }
                None => self.jobs.push(job),
            }
            self.lease.end_drive();
            if completions.in_flight() > 1 {
                self.lease.take_back();
            }
            return;
        }
        self.push(job);
        completions.waiters().wait(expected);
    }

    fn drive(&self, runtime: &Runtime, job: Job, expected: Expected) {
        let mut job = Some(job);
        runtime.block_on(poll_fn(|context| {
            if let Some(job) = job.take() {
                // From within the runtime, this needs no wake-up.
                self.jobs.push(job);
            }
            // Keep this order, so that a wake-up after the first poll isn't missed.
            let waited = self.completions.waiters().poll(expected, context);
            if waited.is_ready() || !self.lease.is_lent() {
                return Poll::Ready(());
            }
            Poll::Pending
        }));
    }

    fn run(self: Arc<Self>, runtime: Arc<Runtime>) {
        runtime.spawn({
            let thread = Arc::clone(&self);
            async move { thread.jobs.serve().await }
        });
        runtime.spawn({
            let completions = Arc::clone(&self.completions);
            async move { completions.forward().await }
        });
        runtime.spawn(async {
            loop {
                tokio::time::sleep(TICK).await;
            }
        });
        loop {
            runtime.block_on(self.lease.asked());
            if self.lease.is_stopping() {
                break;
            }
            self.lease.lend();
            self.completions.waiters().wake_all();
        }
        lock(&self.runtime).take();
        release(runtime);
    }
}

/// The last owner of the runtime ends it: here, or in a caller that still drives it.
fn release(runtime: Arc<Runtime>) {
    if let Some(runtime) = Arc::into_inner(runtime) {
        // Don't wait for host names that are being resolved.
        runtime.shutdown_background();
    }
}

/// Jobs on their way to an IO thread. The numbers of calls and clients bound them.
struct Jobs {
    /// `None` when the thread has ended.
    waiting: Mutex<Option<Vec<Job>>>,
    arrived: Notify,
}

impl Jobs {
    fn new() -> Self {
        Self {
            waiting: Mutex::new(Some(Vec::new())),
            arrived: Notify::new(),
        }
    }

    /// Pushes a job. A burst of jobs costs one wake-up, for the first. If the thread has
    /// ended, the job is dropped, which completes its call as cancelled.
    fn push(&self, job: Job) {
        let mut jobs = lock(&self.waiting);
        let Some(waiting) = &mut *jobs else {
            drop(jobs);
            return drop(job);
        };
        let was_empty = waiting.is_empty();
        waiting.push(job);
        drop(jobs);
        if was_empty {
            self.arrived.notify_one();
        }
    }

    fn close(&self) {
        let left = lock(&self.waiting).take();
        drop(left);
    }

    /// Runs jobs, for ever.
    async fn serve(&self) {
        let mut jobs = Vec::new();
        loop {
            self.arrived.notified().await;
            if let Some(arrived) = &mut *lock(&self.waiting) {
                std::mem::swap(arrived, &mut jobs);
            }
            for job in jobs.drain(..) {
                job();
            }
        }
    }
}
