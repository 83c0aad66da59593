//! The running hits of an event loop, for nibs whose workers share links.

use crate::Shot;

/// Set in the lower half of a token that belongs to a link, not to a worker.
pub const LINK_BIT: u32 = 1 << 31;

/// The hits of all workers of one event loop. What happens to a link may move
/// many of them on, or end them.
pub trait Hits<C> {
    /// The worker's place and its running hit; none if it has none.
    fn get(&mut self, worker: u32) -> Option<(&mut C, &mut Shot)>;

    /// The worker's hit has ended; everything in it is set. Its worker may start
    /// another one as soon as the nib returns.
    fn end(&mut self, worker: u32);
}
