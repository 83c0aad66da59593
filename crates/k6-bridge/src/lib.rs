//! The C ABI through which k6 makes wRPC calls.
//!
//! A call never holds a thread of its caller: it is submitted, and its
//! completion is fetched later, together with others. The modules in the order
//! in which a call meets them:
//!
//! - [`abi`]: what C sees: the exports, their structs, and the panic boundary
//! - `options`: the options of a client, from JSON to validated
//! - `handles`: opaque numbers for bridges and clients
//! - `bridge`: IO threads, and the queue of what they completed
//! - `link`: the way to a receiver over one of the transports, connected at its first call
//! - `client`: a link, and the calls in flight over it
//! - `http`: HTTP requests, from what a script wrote to a response
//! - `io_thread`: a runtime, what it is asked to do, and what it has done
//! - `lease`: lending the IO to the thread of a caller that is alone
//! - `completion`: the way back, by a queue and an eventfd
//! - `waiting`: the other way back, to a thread that waits for a moment

pub mod abi;
mod bridge;
mod client;
mod completion;
mod handles;
mod http;
mod io_thread;
mod lease;
mod link;
mod options;
mod waiting;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The data behind our locks is whole at every point at which code could panic.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
