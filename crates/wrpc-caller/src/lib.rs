//! wRPC calls from threads that are not tokio's.
//!
//! A program has one [`Caller`]: threads for its IO, and a [`Sink`] that takes what
//! they complete. A [`Client`] of it has the way to a receiver, over one of the
//! transports, and makes [`Work`] over it: a [`Call`] of any function, or an
//! [`HttpCall`]. A call never holds the thread that submits it.
//!
//! The modules in the order in which a call meets them:
//!
//! - `options`: the options of a client, from JSON to validated
//! - `caller`: IO threads, and the clients that use them
//! - `client`: a link, and the calls in flight over it
//! - `call`, `http`: what a client may be asked to do
//! - `io_thread`: a runtime, and what it is asked to do
//! - `lease`: lending the IO to the thread of a caller that is alone
//! - `shared_links`: links that clients of equal options share
//! - `link`: the way to a receiver over one of the transports, connected at its first call
//! - `ticket`: the right and the duty to complete one call
//! - `waiting`: the way back to a thread that waits for a moment
//! - `completion`: what became of a call, and who takes it
//! - `in_flight`: how many calls there are

mod call;
mod caller;
mod client;
mod completion;
mod http;
mod in_flight;
mod io_thread;
mod lease;
mod link;
mod options;
mod shared_links;
mod ticket;
mod waiting;

pub use call::{Call, Work};
pub use caller::Caller;
pub use client::{Client, TooManyCalls};
pub use completion::{Completion, HttpReply, Reply, Sink};
pub use http::{HttpCall, Reading};
pub use in_flight::CALLS_MAX;
pub use link::{Function, Link, Transport};
pub use options::Options;

/// What threads share. `tests/interleavings.rs` has others of the same names, which run
/// threads in every order.
mod sync {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, atomic};
    pub(crate) use std::time::Instant;
}

use sync::{Mutex, MutexGuard, PoisonError};

/// The data behind our locks is whole at every point at which code could panic.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
