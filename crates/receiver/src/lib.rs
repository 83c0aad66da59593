//! `wrpc-wasmtime-nats` and `wrpc-wasmtime-tcp`: serve the exports of a wasm
//! component over wRPC.
//!
//! The modules in the order in which a call meets them:
//!
//! - [`cli`]: the command lines
//! - [`args`]: what they say, of guests and of each transport
//! - [`durations`]: durations on them
//! - [`nats_args`]: how to reach NATS
//! - [`output`]: the log, and what guests write
//! - [`serve`]: from the command line to a served component, and its end
//! - [`serve_nats`], [`serve_tcp`]: what the transports need
//! - [`exports`]: what the component exports and imports
//! - [`calls`]: the path of a call
//! - [`http`]: HTTP requests, and the responses of guests
//! - [`machine`]: how much memory there is
//! - [`host`]: the component compiled and linked once, instantiated for each call
//! - [`cache`]: components that were compiled before
//! - [`needs`], [`pool`]: the pool of instances, and what the kernel allows
//! - [`guest`]: what a guest has of the host
//! - [`codec`]: values between the wire and a guest's memory
//! - [`imports`]: calls that the component makes
//! - [`limits`]: memory, tables and CPU of a call
//! - [`allocator`]: where all memory but the guests' comes from

#![allow(rustdoc::private_intra_doc_links)]

mod allocator;
mod args;
mod cache;
mod calls;
mod cli;
mod codec;
mod durations;
mod exports;
mod guest;
mod host;
mod http;
mod imports;
mod limits;
mod machine;
mod nats_args;
mod needs;
mod output;
mod pool;
mod serve;
mod serve_nats;
mod serve_tcp;

pub use allocator::Allocator;
pub use cli::{commands, over_nats, over_tcp};
#[doc(hidden)]
pub use codec::fuzz;
