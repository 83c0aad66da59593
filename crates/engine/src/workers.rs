//! Workers: one event loop a core, connections pinned to it.
//!
//! An event loop takes records from its [`feed`], instants from its pace,
//! moves hits on by its nib, and hands them to its recorder. Loops share
//! nothing that changes with a hit: each has counters of its own, which the
//! progress reads. What they have in common is the [`control`].

mod addresses;
pub mod control;
pub mod counters;
pub mod event_loop;
pub mod feed;
mod share;

pub use control::Control;
pub use counters::Counters;
pub(crate) use event_loop::{Closed, Open, Pace, Steered};
pub use event_loop::{EventLoop, LoopError};
pub use feed::{Feed, Reader};
pub use share::Share;
