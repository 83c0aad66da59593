//! wRPC 0.0.1, the protocol by which wasm components call one another over a
//! network: its values, and calls over NATS and TCP from both ends.
//!
//! The modules in the order in which a call meets them:
//!
//! - [`value`]: the encoding of component-model values, as primitives
//! - [`blaster`]: the packet of `xk6:wrpc/blaster`, the call this project makes most
//! - [`http`]: requests and responses of `wrpc:http`
//! - `call`: the outcome of a call
//! - `on_demand`: a connection that is made when it is first needed
//! - [`serve`]: a call to serve
//! - [`nats`]: a connection, calls made over it, and calls served over it
//! - [`tcp`]: the same without a broker, with many calls on one connection
//! - [`core_nats`]: a client of NATS
//! - `outbox`, `socket`: bytes on their way to a socket, and the socket, encrypted or not
//! - [`tls`]: TLS as either end
//! - `streams`: the body of a request or response, in pieces, both ways
//! - `pending_call`: a call in flight, and its results so far
//! - [`memory`]: an account of memory for calls, which also decides which arriving
//!   parameters are given up when memory is short
//! - `chunks`, `pending_params`: data that arrive in pieces
//! - `location`: URLs and addresses as users write them
//! - `task`: tasks that end with their owner
//! - `counters`: counts of what transports do
//! - `error`: the closed list of errors

pub mod blaster;
mod call;
mod chunks;
pub mod core_nats;
mod counters;
mod error;
pub mod http;
mod location;
pub mod memory;
pub mod nats;
mod on_demand;
mod outbox;
mod pending_call;
mod pending_params;
pub mod serve;
mod socket;
mod streams;
mod task;
pub mod tcp;
pub mod tls;
pub mod value;

pub use call::{Headers, Outcome, Timing, Traffic};
pub use counters::{Counted, Counters, ERRORS};
pub use encarno_secret::{FileOrText, Secret};
pub use error::{Error, ErrorCode};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, even if it is poisoned: the data behind our locks are consistent at
/// every point at which code could panic.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
