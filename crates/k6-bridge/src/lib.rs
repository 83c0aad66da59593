//! The C ABI through which k6 makes wRPC calls.
//!
//! A call never holds a thread of its caller: it is submitted, and its completion is
//! fetched later, together with others. The crate `encarno-wrpc-caller` makes the calls
//! themselves. The modules in the order in which a call meets them:
//!
//! - [`abi`]: the C ABI: the exports, their structs, and the panic boundary
//! - `handles`: opaque numbers for bridges and clients
//! - `bridge`: the caller, and the queue of its completions
//! - `queue`: completions on their way to the reader of an eventfd
//! - `record`: result files for k6's samples
//! - `system`: calls to the operating system

pub mod abi;
mod bridge;
mod handles;
mod queue;
mod record;
mod system;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex, even if it is poisoned: the data behind our locks are consistent at
/// every point at which code could panic.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
