//! wRPC calls from threads that are not tokio's.
//!
//! A program has one [`Caller`]: threads for its IO, and a [`Sink`] that takes their
//! completions. Each [`Client`] of it has a link to a receiver, over one of the
//! transports, and does [`Work`] over it: a [`Call`] of any function, or an [`HttpCall`].
//! A call never holds the thread that submits it.
//!
//! The modules in the order in which a call meets them:
//!
//! - `options`: parses and validates the options of a client
//! - `caller`: IO threads, and the clients that use them
//! - `client`: a link, and the calls in flight over it
//! - `call`, `http`: the work that a client does
//! - `io_thread`: a runtime, and its jobs
//! - `lease`: lends the IO to the thread of a caller that is alone
//! - `shared_links`: links that clients of equal options share
//! - `link`: connects to a receiver over one of the transports, at its first call
//! - `ticket`: the right and the duty to complete one call
//! - `waiting`: the places at which threads wait for a moment
//! - `completion`: the completion of a call, and the sink that takes it
//! - `in_flight`: the number of calls in flight

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

/// The synchronisation types. `tests/interleavings.rs` replaces them by others with the
/// same names, which run threads in every order.
mod sync {
    pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, atomic};
    pub(crate) use std::time::Instant;
}

use sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, even if it is poisoned: the data behind our locks are consistent at
/// every point at which code could panic.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
