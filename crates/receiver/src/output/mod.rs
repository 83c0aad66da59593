//! The output on stderr: lines of the log, and the output of guests.
//!
//! Both go through one bounded queue to a thread that writes. The threads that run guests
//! and those that own the connections never write to stderr themselves, because a write
//! blocks if nobody reads. What doesn't fit into the queue is dropped and counted.
//!
//! - [`log`]: the lines of the log, limited by kind
//! - [`guest`]: the output of guests, limited by a rate

pub(crate) mod guest;
pub(crate) mod log;

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use self::guest::Rate;
use self::log::Kinds;

/// The most bytes in the queue. Guests may use half of it.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// How often dropped output is reported.
const ROUND: Duration = Duration::from_secs(1);

/// How long the end of the process waits for the queue.
const FINISH_TIMEOUT: Duration = Duration::from_millis(500);

static OUTPUT: Output = Output {
    state: Mutex::new(State::new()),
    changed: Condvar::new(),
};

struct Output {
    state: Mutex<State>,
    /// Notified when there is more to write, or nothing is left.
    changed: Condvar,
}

struct State {
    queue: Vec<u8>,
    /// Whether the thread is writing what it has taken.
    is_writing: bool,
    lines_left_out: u64,
    guest_bytes_left_out: u64,
    rate: Rate,
    kinds: Kinds,
    said_at: Option<Instant>,
}

/// Starts the thread that writes. From now on, panics are lines of the log.
pub(crate) fn start() {
    let started = std::thread::Builder::new()
        .name("stderr".into())
        .spawn(write_all);
    if let Err(error) = started {
        eprintln!("warning: cannot start the thread of the log, which is lost: {error}");
    }
    std::panic::set_hook(Box::new(|info| tracing::error!("{info}")));
}

/// Writes a line that doesn't belong to the log.
pub(crate) fn say(line: &str) {
    let mut state = lock();
    state.queue.extend_from_slice(line.as_bytes());
    state.queue.push(b'\n');
    OUTPUT.changed.notify_all();
}

/// Waits until everything has been written, for a limited time.
pub(crate) fn finish() {
    let mut state = lock();
    state.say_what_was_left_out(None);
    OUTPUT.changed.notify_all();
    let is_left = |state: &mut State| state.is_writing || !state.queue.is_empty();
    let _ = OUTPUT
        .changed
        .wait_timeout_while(state, FINISH_TIMEOUT, is_left);
}

fn lock() -> MutexGuard<'static, State> {
    OUTPUT.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the thread that writes.
fn write_all() {
    let mut taken = Vec::new();
    loop {
        let mut state = lock();
        state.is_writing = false;
        loop {
            state.say_what_was_left_out(Some(Instant::now()));
            if !state.queue.is_empty() {
                break;
            }
            OUTPUT.changed.notify_all();
            let waited = OUTPUT.changed.wait_timeout(state, ROUND);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut state.queue, &mut taken);
        state.is_writing = true;
        drop(state);
        // If stderr can't be written to, the output is lost.
        let _ = std::io::stderr().write_all(&taken);
        taken.clear();
    }
}

impl State {
    const fn new() -> Self {
        Self {
            queue: Vec::new(),
            is_writing: false,
            lines_left_out: 0,
            guest_bytes_left_out: 0,
            rate: Rate::new(),
            kinds: Kinds::new(),
            said_at: None,
        }
    }

    fn push_line(&mut self, line: &[u8]) {
        if self.queue.len() + line.len() > QUEUE_BYTES_MAX {
            self.lines_left_out += 1;
            return;
        }
        self.queue.extend_from_slice(line);
        OUTPUT.changed.notify_all();
    }

    fn push_of_guest(&mut self, bytes: &[u8], now: Instant) {
        let fits = self.queue.len() + bytes.len() <= QUEUE_BYTES_MAX / 2;
        if !fits || !self.rate.take(bytes.len(), now) {
            self.guest_bytes_left_out += bytes.len() as u64;
            return;
        }
        self.queue.extend_from_slice(bytes);
        OUTPUT.changed.notify_all();
    }

    /// Reports dropped output once in a [`ROUND`], or at the end.
    fn say_what_was_left_out(&mut self, now: Option<Instant>) {
        if let (Some(now), Some(said_at)) = (now, self.said_at)
            && now.duration_since(said_at) < ROUND
        {
            return;
        }
        self.said_at = now;
        let mut text = String::new();
        match std::mem::take(&mut self.lines_left_out) {
            0 => {}
            lines => {
                let _ = writeln!(
                    text,
                    "warning: {lines} lines of the log were left out: stderr is read too slowly"
                );
            }
        }
        match std::mem::take(&mut self.guest_bytes_left_out) {
            0 => {}
            bytes => {
                let _ = writeln!(
                    text,
                    "warning: {bytes} bytes that guests wrote were left out: more than {} KiB a \
                     second, or stderr is read too slowly",
                    guest::BYTES_PER_SECOND >> 10
                );
            }
        }
        self.kinds.say_what_was_left_out(now, &mut text);
        // There are few such lines, so they always fit.
        self.queue.extend_from_slice(text.as_bytes());
    }
}
