//! The lease of the IO and the places at which threads wait, with threads that run in
//! every order that a random scheduler finds, and time that passes whenever it may.
//! What an IO thread has beside them is made in small: a queue of jobs, done by whoever
//! drives.

// The sources are those of the library; not all of them is used here.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

#[path = "../src/lease.rs"]
mod lease;
#[path = "../src/waiting.rs"]
mod waiting;

mod completion {
    /// The number of a call.
    #[derive(Debug, PartialEq, Eq)]
    pub(crate) struct Completion(pub(crate) u64);
}

mod sync {
    use std::ops::Add;
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;
    use std::time::Duration;

    use atomic::{AtomicBool, Ordering};
    use shuttle::rand::Rng as _;
    pub(crate) use shuttle::sync::{Mutex, MutexGuard, atomic};
    pub(crate) use std::sync::PoisonError;

    /// Not one that the scheduler knows: time passes for itself.
    static NOW_NS: AtomicU64 = AtomicU64::new(0);

    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(crate) struct Instant(u64);

    impl Instant {
        pub(crate) fn now() -> Self {
            Self(NOW_NS.load(Ordering::SeqCst))
        }

        pub(crate) fn saturating_duration_since(self, earlier: Self) -> Duration {
            Duration::from_nanos(self.0.saturating_sub(earlier.0))
        }
    }

    impl Add<Duration> for Instant {
        type Output = Self;

        fn add(self, duration: Duration) -> Self {
            Self(self.0 + duration.as_nanos() as u64)
        }
    }

    /// One whose timeouts come at any moment, also before anything else has happened.
    #[derive(Default)]
    pub(crate) struct Condvar(Arc<shuttle::sync::Condvar>);

    pub(crate) struct TimedOut(bool);

    impl TimedOut {
        pub(crate) fn timed_out(&self) -> bool {
            self.0
        }
    }

    impl Condvar {
        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        #[expect(clippy::type_complexity)] // as the standard library's
        pub(crate) fn wait_timeout<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            timeout: Duration,
        ) -> Result<(MutexGuard<'a, T>, TimedOut), PoisonError<(MutexGuard<'a, T>, TimedOut)>>
        {
            let (is_late, is_over) = (
                Arc::new(AtomicBool::new(false)),
                Arc::new(AtomicBool::new(false)),
            );
            let clock = {
                let (condvar, is_late, is_over) = (
                    Arc::clone(&self.0),
                    Arc::clone(&is_late),
                    Arc::clone(&is_over),
                );
                move || {
                    let patience = shuttle::rand::thread_rng().gen_range(0..60);
                    (0..patience).for_each(|_| shuttle::thread::yield_now());
                    is_late.store(true, Ordering::SeqCst);
                    while !is_over.load(Ordering::SeqCst) {
                        condvar.notify_all();
                        shuttle::thread::yield_now();
                    }
                }
            };
            let clock = shuttle::thread::spawn(clock);
            let guard = self.0.wait(guard).unwrap();
            let timed_out = is_late.load(Ordering::SeqCst);
            is_over.store(true, Ordering::SeqCst);
            if timed_out {
                NOW_NS.fetch_add(timeout.as_nanos() as u64, Ordering::SeqCst);
            }
            drop(clock);
            Ok((guard, TimedOut(timed_out)))
        }
    }
}

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use completion::Completion;
use lease::Lease;
use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::sync::{Condvar, Mutex, MutexGuard};
use shuttle::thread;
use waiting::{Expected, Waiters};

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A call on its way: it is sent, or its answer has arrived.
enum Job {
    Send(u64, Option<Expected>),
    Answer(u64, Option<Expected>),
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    /// Somebody does what comes. Others who want to drive wait.
    is_driven: bool,
}

/// An IO thread in small.
#[derive(Default)]
struct Io {
    lease: Lease,
    waiters: Waiters,
    queue: Mutex<Queue>,
    changed: Condvar,
    /// Sent and not answered.
    network: Mutex<Vec<(u64, Option<Expected>)>>,
    in_flight: AtomicUsize,
    sink: Mutex<Vec<u64>>,
    driven: AtomicUsize,
}

/// A future of [`Io::block_on`] that is to be polled.
struct Woken {
    is_woken: AtomicBool,
    io: Arc<Io>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.is_woken.store(true, Ordering::SeqCst);
        // Whoever falls asleep just now has the lock.
        drop(lock(&self.io.queue));
        self.io.changed.notify_all();
    }
}

impl Io {
    fn change<T>(&self, change: impl FnOnce(&mut Queue) -> T) -> T {
        let changed = change(&mut lock(&self.queue));
        self.changed.notify_all();
        changed
    }

    /// Drives until the future is ready, as a runtime does: one drives, others wait for
    /// their own future, or until nobody drives.
    fn block_on<T>(self: &Arc<Self>, future: impl Future<Output = T>) -> T {
        let woken = Arc::new(Woken {
            is_woken: AtomicBool::new(true),
            io: Arc::clone(self),
        });
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        let mut drives = false;
        loop {
            if woken.is_woken.swap(false, Ordering::SeqCst)
                && let Poll::Ready(ready) = future.as_mut().poll(&mut context)
            {
                if drives {
                    self.change(|queue| queue.is_driven = false);
                }
                return ready;
            }
            let mut queue = lock(&self.queue);
            if !drives && !queue.is_driven {
                (drives, queue.is_driven) = (true, true);
            }
            if drives && !queue.jobs.is_empty() {
                let jobs = std::mem::take(&mut queue.jobs);
                drop(queue);
                jobs.into_iter().for_each(|job| self.run(job));
                continue;
            }
            let has_something = |queue: &Queue| match drives {
                true => !queue.jobs.is_empty(),
                false => !queue.is_driven,
            };
            while !woken.is_woken.load(Ordering::SeqCst) && !has_something(&queue) {
                queue = self.changed.wait(queue).unwrap();
            }
        }
    }

    fn run(&self, job: Job) {
        match job {
            // Some are answered at once, others when the network has done its part.
            Job::Send(call, expected) if call % 2 == 0 => self.complete(call, expected),
            Job::Send(call, expected) => lock(&self.network).push((call, expected)),
            Job::Answer(call, expected) => self.complete(call, expected),
        }
    }

    fn complete(&self, call: u64, expected: Option<Expected>) {
        let back = match expected {
            Some(expected) => self.waiters.answer(expected, Completion(call)),
            None => Some(Completion(call)),
        };
        if let Some(Completion(call)) = back {
            lock(&self.sink).push(call);
            self.in_flight.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn push(&self, job: Job) {
        self.change(|queue| queue.jobs.push(job));
        self.lease.take_back();
    }

    /// As `IoThread::push_and_wait`.
    fn push_and_wait(self: &Arc<Self>, call: u64, expected: Expected) {
        let job = Job::Send(call, Some(expected));
        if self
            .lease
            .begin_drive(self.in_flight.load(Ordering::SeqCst) <= 1)
        {
            let mut job = Some(job);
            self.block_on(std::future::poll_fn(|context| {
                if let Some(job) = job.take() {
                    self.change(|queue| queue.jobs.push(job));
                }
                let waited = self.waiters.poll(expected, context);
                match waited.is_ready() || !self.lease.is_lent() {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            }));
            self.driven.fetch_add(1, Ordering::SeqCst);
            self.lease.end_drive();
            if self.in_flight.load(Ordering::SeqCst) > 1 {
                self.lease.take_back();
            }
            return;
        }
        self.push(job);
        self.waiters.wait(expected);
    }

    /// A call and its wait; its number, if it came back here.
    fn call(self: &Arc<Self>, call: u64) -> Option<u64> {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let Some(expected) = self.waiters.enter() else {
            self.push(Job::Send(call, None));
            return None;
        };
        self.push_and_wait(call, expected);
        let Completion(answered) = self.waiters.leave(expected)?;
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        assert_eq!(answered, call, "the answer to another call");
        Some(answered)
    }

    fn thread(self: Arc<Self>) {
        loop {
            self.block_on(self.lease.asked());
            if self.lease.is_stopping() {
                break;
            }
            self.lease.lend();
            self.waiters.wake_all();
        }
    }

    /// Answers what was sent, and gives what came to the sink.
    fn answer(&self) -> Vec<u64> {
        let sent = std::mem::take(&mut *lock(&self.network));
        for (call, expected) in sent {
            self.change(|queue| queue.jobs.push(Job::Answer(call, expected)));
        }
        std::mem::take(&mut *lock(&self.sink))
    }
}

/// Callers who make so many calls each, one after the other.
fn run(callers: u64, calls: u64) {
    let io = Arc::new(Io::default());
    let ended = Arc::new(Mutex::new(Vec::new()));
    let io_thread = thread::spawn({
        let io = Arc::clone(&io);
        move || io.thread()
    });
    let callers: Vec<_> = (0..callers)
        .map(|caller| {
            let (io, ended) = (Arc::clone(&io), Arc::clone(&ended));
            thread::spawn(move || {
                for call in caller * calls..(caller + 1) * calls {
                    if let Some(call) = io.call(call) {
                        lock(&ended).push(call);
                    }
                }
            })
        })
        .collect();
    let total = callers.len() * calls as usize;
    // Were a call lost, this would go on for ever, and the scheduler says so.
    while lock(&ended).len() < total {
        lock(&ended).extend(io.answer());
        thread::yield_now();
    }
    callers
        .into_iter()
        .for_each(|caller| caller.join().unwrap());
    io.lease.stop();
    io_thread.join().unwrap();
    let mut ended = std::mem::take(&mut *lock(&ended));
    ended.sort_unstable();
    assert_eq!(ended, (0..total as u64).collect::<Vec<_>>());
    DRIVEN.fetch_add(
        io.driven.load(Ordering::SeqCst),
        std::sync::atomic::Ordering::SeqCst,
    );
}

/// How many calls drove the IO themselves, in all runs: without any, they would show
/// nothing of the lease.
static DRIVEN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

#[test]
fn every_call_ends_once_whoever_drives() {
    shuttle::check_random(|| run(1, 40), 150);
    shuttle::check_random(|| run(2, 40), 150);
    shuttle::check_pct(|| run(3, 8), 150, 3);
    let driven = DRIVEN.load(std::sync::atomic::Ordering::SeqCst);
    assert!(driven > 100, "{driven} calls drove");
}
