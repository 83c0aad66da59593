//! Workers: one event loop a core, connections pinned to it.
//!
//! An event loop takes records from its feed, instants from its pace, moves hits on with
//! its nib, and hands them to its recorder. Loops share nothing that changes with a hit.
//! Each has its own counters, which the progress reads. All loops share the control.

mod addresses;
pub mod control;
pub(crate) mod counters;
pub(crate) mod event_loop;
pub(crate) mod feed;
mod share;

pub(crate) use control::Control;
pub(crate) use counters::Counters;
pub(crate) use event_loop::{
    Closed, EventLoop, LoopError, Open, Pace, Steered, Traced, has_fields,
};
pub(crate) use feed::{Feed, Reader};
pub(crate) use share::Share;
