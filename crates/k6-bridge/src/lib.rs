//! The C ABI through which k6 makes wRPC calls.
//!
//! A call never holds a thread of its caller: it is submitted, and its completion is
//! fetched later, together with others. Calls themselves are made by
//! `encarno-wrpc-caller`; the modules here in the order in which a call meets them:
//!
//! - [`abi`]: what C sees: the exports, their structs, and the panic boundary
//! - `handles`: opaque numbers for bridges and clients, and what they stand for
//! - `bridge`: the caller, and the queue of what it completed
//! - `queue`: completions on their way to the reader of an eventfd
//! - `record`: result files that k6's samples are written to
//! - `system`: what is wanted of the operating system

pub mod abi;
mod bridge;
mod handles;
mod queue;
mod record;
mod system;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The data behind our locks is whole at every point at which code could panic.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
