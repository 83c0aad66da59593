//! The IO threads and their inboxes.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::Notify;

use crate::abi::system;
use crate::client::{Call, Client};
use crate::completion::{Completions, Outbox};
use crate::lock;
use crate::options::Options;

/// Host names are resolved on threads of their own, of which so many serve an
/// IO thread.
const RESOLVERS: usize = 2;

/// An IO thread wakes at least so often. A timer that is set while nothing earlier
/// is due makes tokio wake its own thread, by a write to an eventfd; each call
/// sets two, of a second and more.
const TICK: Duration = Duration::from_millis(50);

/// What an IO thread is asked to do.
pub(crate) enum Command {
    Call(Call),
    Cancel(Arc<Client>),
    Close(Arc<Client>),
    Stop,
}

/// IO threads, and the queue of what they completed.
pub(crate) struct Bridge {
    threads: Vec<IoThread>,
    next: AtomicUsize,
    completions: Arc<Completions>,
}

struct IoThread {
    inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Bridge {
    /// Starts the IO threads. The descriptor is an eventfd, readable when there
    /// are completions to fetch.
    pub(crate) fn open() -> io::Result<(Self, OwnedFd)> {
        let event = system::eventfd()?;
        let reader = event.try_clone()?;
        let completions = Arc::new(Completions::new(File::from(event)));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let bridge = Self {
            threads: (0..(cores / 4).clamp(1, 8))
                .map(|index| IoThread::start(index, &completions))
                .collect::<io::Result<_>>()?,
            next: AtomicUsize::new(0),
            completions,
        };
        Ok((bridge, reader))
    }

    pub(crate) fn completions(&self) -> &Arc<Completions> {
        &self.completions
    }

    pub(crate) fn io_threads(&self) -> usize {
        self.threads.len()
    }

    /// A client on the next IO thread. It doesn't connect yet.
    pub(crate) fn client(&self, options: Options) -> Client {
        let index = self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len();
        let thread = &self.threads[index];
        Client::new(options, Arc::clone(&thread.inbox), Arc::clone(&thread.outbox))
    }
}

impl Drop for Bridge {
    /// Ends the IO threads and with them all calls in flight.
    fn drop(&mut self) {
        for thread in &self.threads {
            thread.inbox.push(Command::Stop);
        }
        for thread in &self.threads {
            if let Some(handle) = lock(&thread.handle).take() {
                // It panicked, if at all, with a message of its own.
                let _ = handle.join();
            }
            thread.inbox.close();
        }
        self.completions.wake();
    }
}

impl IoThread {
    fn start(index: usize, completions: &Arc<Completions>) -> io::Result<Self> {
        let outbox = Arc::new(Outbox::new(Arc::clone(completions)));
        let inbox = Arc::new(Inbox {
            commands: Mutex::new(Some(Vec::new())),
            arrived: Notify::new(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(RESOLVERS)
            .thread_name("encarno-resolve")
            .build()?;
        let run = {
            let (inbox, outbox) = (Arc::clone(&inbox), Arc::clone(&outbox));
            move || {
                runtime.spawn(async move { outbox.forward().await });
                runtime.spawn(async {
                    loop {
                        tokio::time::sleep(TICK).await;
                    }
                });
                runtime.block_on(serve(&inbox));
                // A host name that is being resolved holds nobody up.
                runtime.shutdown_background();
            }
        };
        let handle = system::without_signals(|| {
            std::thread::Builder::new()
                .name(format!("encarno-io-{index}"))
                .spawn(run)
        })?;
        Ok(Self {
            inbox,
            outbox,
            handle: Mutex::new(Some(handle)),
        })
    }
}

async fn serve(inbox: &Inbox) {
    let mut commands = Vec::new();
    loop {
        inbox.take(&mut commands).await;
        for command in commands.drain(..) {
            match command {
                Command::Call(call) => call.start(),
                Command::Cancel(client) => client.cancel_now(),
                Command::Close(client) => client.close_now(),
                Command::Stop => return,
            }
        }
    }
}

/// Commands on their way to an IO thread. What is in it is bounded by the
/// number of calls and clients.
pub(crate) struct Inbox {
    /// `None` when the thread has ended.
    commands: Mutex<Option<Vec<Command>>>,
    arrived: Notify,
}

impl Inbox {
    /// A burst of commands costs one wake-up: that of the first. To a thread that
    /// has ended, a call is dropped, and so completed as cancelled.
    pub(crate) fn push(&self, command: Command) {
        let mut commands = lock(&self.commands);
        let Some(waiting) = &mut *commands else {
            drop(commands);
            return drop(command);
        };
        let was_empty = waiting.is_empty();
        waiting.push(command);
        drop(commands);
        if was_empty {
            self.arrived.notify_one();
        }
    }

    fn close(&self) {
        let left = lock(&self.commands).take();
        drop(left);
    }

    /// Waits for commands and moves them into the empty `taken`.
    async fn take(&self, taken: &mut Vec<Command>) {
        loop {
            if let Some(commands) = &mut *lock(&self.commands) {
                std::mem::swap(commands, taken);
            }
            if !taken.is_empty() {
                return;
            }
            self.arrived.notified().await;
        }
    }
}
