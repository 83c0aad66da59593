//! Counters of what transports do.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::{ErrorCode, Traffic};

/// A number above the largest one of an [`ErrorCode`].
pub const ERRORS: usize = 32;
const _: () = assert!(ErrorCode::ALL.len() < ERRORS);

/// The most connect times that wait to be taken; further ones are dropped.
const CONNECT_TIMES_MAX: usize = 1 << 16;

/// Declares [`Counters`], to which many threads may add, and [`Counted`], their values.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counts of all connections that share them.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($name: AtomicU64,)*
            calls_in_flight: AtomicU64,
            errors: [AtomicU64; ERRORS],
            connect_times: Mutex<Vec<Duration>>,
        }

        /// The values of [`Counters`] at an instant, counted from the start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counted {
            $($(#[$doc])* pub $name: u64,)*
            /// Calls that have begun and not ended. This is the only count that also
            /// decreases.
            pub calls_in_flight: u64,
            /// Calls that failed, by the number of their [`ErrorCode`].
            pub errors: [u64; ERRORS],
        }

        impl Counters {
            /// The present values.
            pub fn counted(&self) -> Counted {
                let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
                Counted {
                    $($name: value(&self.$name),)*
                    calls_in_flight: value(&self.calls_in_flight),
                    errors: self.errors.each_ref().map(value),
                }
            }
        }

        impl std::ops::AddAssign for Counted {
            fn add_assign(&mut self, other: Self) {
                $(self.$name += other.$name;)*
                self.calls_in_flight += other.calls_in_flight;
                for (error, other) in self.errors.iter_mut().zip(other.errors) {
                    *error += other;
                }
            }
        }
    };
}

counters! {
    /// Connections made.
    connects,
    /// Connections that were lost and came back.
    reconnects,
    /// Attempts to connect that failed; not those to come back.
    connect_failures,
    /// Connections that were lost.
    losses,
    /// Bytes of payloads and subjects that were sent.
    bytes_sent,
    /// Attempts to connect that failed, without attempts to reconnect.
    bytes_received,
    /// Messages sent.
    messages_sent,
    /// Messages that arrived.
    messages_received,
    /// Messages that arrived and were dropped, because they were invalid or were read too
    /// slowly.
    messages_dropped,
}

impl Counters {
    pub(crate) fn connected(&self, took: Duration) {
        add(&self.connects, 1);
        let mut times = self.lock();
        if times.len() < CONNECT_TIMES_MAX {
            times.push(took);
        }
    }

    pub(crate) fn not_connected(&self) {
        add(&self.connect_failures, 1);
    }

    pub(crate) fn lost(&self) {
        add(&self.losses, 1);
    }

    pub(crate) fn reconnected(&self) {
        add(&self.reconnects, 1);
    }

    pub(crate) fn sent(&self, bytes: usize) {
        add(&self.messages_sent, 1);
        add(&self.bytes_sent, bytes as u64);
    }

    pub(crate) fn received(&self, bytes: usize) {
        add(&self.messages_received, 1);
        add(&self.bytes_received, bytes as u64);
    }

    pub(crate) fn dropped(&self, count: u64) {
        add(&self.messages_dropped, count);
    }

    pub(crate) fn messages_sent(&self, count: u64) {
        add(&self.messages_sent, count);
    }

    pub(crate) fn message_received(&self) {
        add(&self.messages_received, 1);
    }

    /// Counts the bytes of a call whose messages are counted separately.
    pub(crate) fn carried(&self, traffic: Traffic) {
        add(&self.bytes_sent, traffic.bytes_sent);
        add(&self.bytes_received, traffic.bytes_received);
    }

    /// Counts a call as in flight until the result is dropped.
    pub fn call(&self) -> CallInFlight<'_> {
        add(&self.calls_in_flight, 1);
        CallInFlight(self)
    }

    /// Counts a call that failed.
    pub fn failed(&self, code: ErrorCode) {
        add(&self.errors[code as usize], 1);
    }

    /// Takes the connect times of connections that weren't taken yet, at most `max` of
    /// them.
    pub fn take_connect_times(&self, max: usize) -> Vec<Duration> {
        let mut times = self.lock();
        let count = times.len().min(max);
        times.drain(..count).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Duration>> {
        // A panic can't leave a vector incomplete.
        self.connect_times
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that counts as in flight until this is dropped.
pub struct CallInFlight<'a>(&'a Counters);

impl Drop for CallInFlight<'_> {
    fn drop(&mut self) {
        self.0.calls_in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn add(counter: &AtomicU64, number: u64) {
    counter.fetch_add(number, Ordering::Relaxed);
}
