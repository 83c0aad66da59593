//! Lends the IO to the thread of a caller.
//!
//! A caller that is alone makes a call, waits for it, and makes the next one. It would
//! pay two wake-ups for each call: that of its IO thread, and then its own. So if a
//! caller has been alone for a while, the IO thread lends it the IO: the caller drives
//! the runtime itself until its call is done. The IO thread watches, and takes the IO
//! back as soon as the IO isn't used, another caller wants it too, or one call takes
//! longer than a moment.
//!
//! If both drive the runtime, nothing goes wrong: it makes one of them wait.

use std::time::Duration;

use tokio::sync::Notify;

use crate::lock;
use crate::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::sync::{Condvar, Instant, Mutex, PoisonError};

/// The IO is asked for after this many consecutive calls of a caller that is alone.
const CALLS_ALONE: u32 = 16;
/// How long to wait for the IO thread to lend. A busy IO thread doesn't lend at once, and
/// then it isn't worth waiting.
const ASK_MAX: Duration = Duration::from_millis(1);
/// How often the IO thread checks whether the lent IO is used. A call that takes longer
/// than twice this goes on without its caller driving.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

#[derive(Default)]
pub(crate) struct Lease {
    is_lent: AtomicBool,
    /// Counts the starts and ends of drives: odd while a caller drives.
    drives: AtomicU64,
    calls_alone: AtomicU32,
    is_stopping: AtomicBool,
    /// Tells the IO thread to lend the IO, or to stop.
    asked: Notify,
    wishes: Mutex<Wishes>,
    /// Notified when the wishes or `is_lent` have changed.
    changed: Condvar,
}

#[derive(Default)]
struct Wishes {
    is_asked: bool,
    is_wanted_back: bool,
}

impl Lease {
    /// Takes the IO for a caller that makes a call, if it may drive. Then call
    /// [`Lease::end_drive`]. The call must not be pushed before, because nobody would
    /// drive it while the IO is handed over.
    pub(crate) fn begin_drive(&self, is_alone: bool) -> bool {
        if !is_alone {
            self.calls_alone.store(0, Ordering::Relaxed);
            return false;
        }
        if !self.is_lent() {
            let calls_alone = self.calls_alone.fetch_add(1, Ordering::Relaxed);
            if calls_alone < CALLS_ALONE || !self.ask() {
                return false;
            }
        }
        let drives = self.drives.load(Ordering::Relaxed);
        drives.is_multiple_of(2)
            && self
                .drives
                .compare_exchange(drives, drives + 1, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
    }

    pub(crate) fn end_drive(&self) {
        self.drives.fetch_add(1, Ordering::AcqRel);
    }

    pub(crate) fn is_lent(&self) -> bool {
        self.is_lent.load(Ordering::SeqCst)
    }

    /// Takes the IO back, because there is work that may have no driver.
    pub(crate) fn take_back(&self) {
        if self.is_lent() {
            lock(&self.wishes).is_wanted_back = true;
            self.changed.notify_all();
        }
    }

    /// Ends the IO thread.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.asked.notify_one();
        lock(&self.wishes).is_wanted_back = true;
        self.changed.notify_all();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// On the IO thread: waits until it must lend or stop.
    pub(crate) async fn asked(&self) {
        self.asked.notified().await;
    }

    /// On the IO thread: lends the IO, if a caller still wants it, and returns when the
    /// thread must drive again. A caller may then still be driving; it stops when it
    /// checks [`Lease::is_lent`].
    pub(crate) fn lend(&self) {
        let mut wishes = lock(&self.wishes);
        if !std::mem::take(&mut wishes.is_asked) {
            return;
        }
        wishes.is_wanted_back = self.is_stopping();
        let mut seen = self.drives.load(Ordering::Acquire);
        self.is_lent.store(true, Ordering::SeqCst);
        self.changed.notify_all();
        while !wishes.is_wanted_back {
            let (next, timeout) = self
                .changed
                .wait_timeout(wishes, LOOK_INTERVAL)
                .unwrap_or_else(PoisonError::into_inner);
            wishes = next;
            if timeout.timed_out() {
                let drives = self.drives.load(Ordering::Acquire);
                // The same number means that nobody drives, or one drive takes long.
                if drives == seen {
                    break;
                }
                seen = drives;
            }
        }
        self.is_lent.store(false, Ordering::SeqCst);
        self.calls_alone.store(0, Ordering::Relaxed);
    }

    /// Asks the IO thread for the IO, and waits for it.
    fn ask(&self) -> bool {
        let deadline = Instant::now() + ASK_MAX;
        let mut wishes = lock(&self.wishes);
        wishes.is_asked = true;
        self.asked.notify_one();
        while !self.is_lent() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                wishes.is_asked = false;
                self.calls_alone.store(0, Ordering::Relaxed);
                return false;
            }
            wishes = self
                .changed
                .wait_timeout(wishes, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }
}
