//! The running hits of an event loop, for nibs whose workers share links.

use crate::Shot;

/// The bit in the lower half of a token that marks a link instead of a worker.
pub const LINK_BIT: u32 = 1 << 31;

/// The hits of all workers of one event loop. An event on a link may move many of them
/// on, or end them.
pub trait Hits<C> {
    /// The worker's place and its running hit; `None` if it has no hit.
    fn get(&mut self, worker: u32) -> Option<(&mut C, &mut Shot)>;

    /// Ends the worker's hit, in which everything is set. The worker may start another
    /// hit as soon as the nib returns.
    fn end(&mut self, worker: u32);
}
