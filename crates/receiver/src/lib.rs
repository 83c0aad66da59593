//! `wrpc-wasmtime-nats` and `wrpc-wasmtime-tcp`: serve the exports of a wasm
//! component over wRPC.
//!
//! The modules in the order in which a call meets them:
//!
//! - [`cli`]: the command lines
//! - [`args`]: their arguments, for guests and for each transport
//! - [`durations`]: durations in arguments
//! - [`nats_args`]: the arguments of a NATS connection
//! - [`output`]: the log, and the output of guests
//! - [`serve`]: from the command line to a served component, and its end
//! - [`serve_nats`], [`serve_tcp`]: the parts for each transport
//! - [`exports`]: the component's exports and imports
//! - [`calls`]: the path of a call
//! - [`http`]: HTTP requests, and the responses of guests
//! - [`machine`]: the memory of the machine
//! - [`host`]: the component compiled and linked once, instantiated for each call
//! - [`cache`]: compiled components on disk
//! - [`needs`], [`pool`]: the pool of instances, and the limits of the kernel
//! - [`guest`]: the host's state of a guest
//! - [`codec`]: values between the wire and a guest's memory
//! - [`imports`]: calls that the component makes
//! - [`limits`]: memory, tables and CPU of a call
//! - [`allocator`]: the allocator of all memory except the guests'

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
