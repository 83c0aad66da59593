//! An account of the memory that a receiver holds for calls.
//!
//! Before the receiver holds memory for a call, it takes a [`Reservation`], which it
//! gives back together with the memory. So all calls together never hold more than the
//! account allows. If nothing is left, parameters that are still arriving make room,
//! because their calls have not begun. For a small call, the account costs a few atomic
//! operations.

mod arrivals;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::Notify;

use self::arrivals::Arrivals;
pub(crate) use self::arrivals::{Arriving, Source};
use crate::{Error, ErrorCode};

/// An account. Clones are the same account.
#[derive(Clone)]
pub struct Memory(Arc<Account>);

struct Account {
    bytes_max: usize,
    reserved: AtomicUsize,
    /// How many tasks wait for memory.
    waiting: AtomicUsize,
    freed: Notify,
    arrivals: Arrivals,
}

/// A part of the account, until it is dropped.
pub struct Reservation {
    account: Arc<Account>,
    bytes: usize,
}

impl Memory {
    /// An account of `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self(Arc::new(Account {
            bytes_max,
            reserved: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            freed: Notify::new(),
            arrivals: Arrivals::default(),
        }))
    }

    /// An account that refuses nothing.
    pub fn unlimited() -> Self {
        Self::new(usize::MAX)
    }

    /// The most bytes that may be reserved.
    pub fn bytes_max(&self) -> usize {
        self.0.bytes_max
    }

    /// The bytes that are reserved now.
    pub fn reserved(&self) -> usize {
        self.0.reserved.load(Ordering::Relaxed)
    }

    /// Reserves this many bytes, if they are left.
    pub fn reserve(&self, bytes: usize) -> Option<Reservation> {
        self.0.take_or_make_room(bytes).then(|| Reservation {
            account: Arc::clone(&self.0),
            bytes,
        })
    }

    /// Reserves this many bytes as soon as they are left. If the account is smaller, this
    /// waits for ever.
    pub async fn reserve_when_free(&self, bytes: usize) -> Reservation {
        if let Some(reservation) = self.reserve(bytes) {
            return reservation;
        }
        let account = &*self.0;
        account.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = OnDrop(|| {
            account.waiting.fetch_sub(1, Ordering::SeqCst);
        });
        loop {
            // One task is woken at a time, and wakes the next if there is more.
            let freed = account.freed.notified();
            if let Some(reservation) = self.reserve(bytes) {
                account.freed.notify_one();
                return reservation;
            }
            freed.await;
        }
    }

    /// A reservation of nothing, to be resized later.
    pub fn nothing(&self) -> Reservation {
        Reservation {
            account: Arc::clone(&self.0),
            bytes: 0,
        }
    }

    /// The error for a call when no memory is left.
    pub fn used_up(&self) -> Error {
        let text = format!(
            "the {} MiB that all calls together may take are used up (--max-total-memory-mb)",
            self.0.bytes_max >> 20
        );
        Error::new(ErrorCode::ReceiverBusy, text)
    }

    pub(crate) fn arrivals(&self) -> &Arrivals {
        &self.0.arrivals
    }
}

impl Account {
    fn take(&self, bytes: usize) -> bool {
        if bytes == 0 {
            return true;
        }
        let add = |reserved: usize| {
            let sum = reserved.saturating_add(bytes);
            (sum <= self.bytes_max).then_some(sum)
        };
        let order = Ordering::SeqCst;
        self.reserved.fetch_update(order, order, add).is_ok()
    }

    fn take_or_make_room(&self, bytes: usize) -> bool {
        while !self.take(bytes) {
            if !self.arrivals.give_one_up(None) {
                return false;
            }
        }
        true
    }

    fn give_back(&self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.reserved.fetch_sub(bytes, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.freed.notify_one();
        }
    }
}

impl Reservation {
    /// The number of bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// A reservation of nothing in the same account.
    pub fn nothing(&self) -> Self {
        Memory(Arc::clone(&self.account)).nothing()
    }

    /// Resizes it. If not enough is left, it stays as it is, and the result is `false`.
    #[must_use]
    pub fn resize(&mut self, bytes: usize) -> bool {
        self.resize_by(bytes, Account::take_or_make_room)
    }

    /// Resizes it, without making others give up memory.
    pub(crate) fn try_resize(&mut self, bytes: usize) -> bool {
        self.resize_by(bytes, Account::take)
    }

    fn resize_by(&mut self, bytes: usize, take: impl Fn(&Account, usize) -> bool) -> bool {
        match bytes.checked_sub(self.bytes) {
            Some(more) if !take(&self.account, more) => return false,
            Some(_) => {}
            None => self.account.give_back(self.bytes - bytes),
        }
        self.bytes = bytes;
        true
    }

    /// Resizes it if it is smaller. See [`Reservation::resize`].
    #[must_use]
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        bytes <= self.bytes || self.resize(bytes)
    }

    /// The error for a call when no memory is left.
    pub fn used_up(&self) -> Error {
        Memory(Arc::clone(&self.account)).used_up()
    }

    /// Ties the reservation to these bytes: it lasts until their last part is dropped,
    /// wherever that waits.
    pub fn keep_for(mut self, bytes: Bytes) -> Bytes {
        if !self.resize(self.bytes.min(bytes.len())) || self.bytes == 0 {
            return bytes;
        }
        Bytes::from_owner(Held {
            bytes,
            _reservation: self,
        })
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.give_back(self.bytes);
    }
}

struct Held {
    bytes: Bytes,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use bytes::Bytes;

    use super::Memory;
    use crate::ErrorCode;

    #[test]
    fn what_is_reserved_is_given_back() {
        let memory = Memory::new(100);
        let mut first = memory.reserve(60).expect("60 of 100");
        assert!(memory.reserve(41).is_none());
        assert_eq!(memory.reserved(), 60, "a refusal takes nothing");
        assert!(first.resize(100));
        assert!(!first.resize(101));
        assert!(first.resize(10) && first.grow_to(5) && first.bytes() == 10);
        let second = memory.reserve(90).expect("90 of 100");
        drop((first, second));
        assert_eq!(memory.reserved(), 0);
        assert_eq!(memory.used_up().code, ErrorCode::ReceiverBusy);
    }

    #[test]
    fn bytes_keep_their_reservation_to_the_last_part() {
        let memory = Memory::new(100);
        let reservation = memory.reserve(80).expect("80 of 100");
        let mut bytes = reservation.keep_for(Bytes::from(vec![7; 50]));
        assert_eq!(memory.reserved(), 50, "no more than there are");
        let part = bytes.split_to(10);
        drop(bytes);
        assert_eq!(memory.reserved(), 50);
        drop(part);
        assert_eq!(memory.reserved(), 0);
    }

    /// Each of a hundred tasks wants more than half of the account.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn all_that_wait_have_their_turn() {
        let memory = Memory::new(100);
        let tasks: Vec<_> = (0..100)
            .map(|number| {
                let memory = memory.clone();
                tokio::spawn(async move {
                    let held = memory.reserve_when_free(60).await;
                    if number % 2 == 0 {
                        tokio::task::yield_now().await;
                    }
                    drop(held);
                })
            })
            .collect();
        let all = async {
            for task in tasks {
                task.await.expect("it doesn't panic");
            }
        };
        let all = tokio::time::timeout(Duration::from_secs(30), all).await;
        all.expect("nobody is forgotten");
        assert_eq!(memory.reserved(), 0);
        assert_eq!(Arc::strong_count(&memory.0), 1);
    }
}
