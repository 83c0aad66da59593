//! Calls over wRPC as hits: any function, and HTTP, over NATS and TCP.
//!
//! Connections are those of `encarno-wrpc`, which need tokio. So each event loop has a
//! runtime of its own, on its own thread: where other nibs' loops sleep in epoll, this one
//! sleeps in the runtime, which also watches the loop's epoll ([`encarno_nib::Nib::wait`]).
//! No hit crosses a thread.
//!
//! The modules in the order in which a hit meets them:
//!
//! - `options`: what a user asked for, to validated
//! - `protocol`: the protocols `wrpc` and `wrpc-http`
//! - `function`: payloads as the parameters of a function
//! - `request`: payloads as HTTP requests
//! - `nib`: hits, from their start to their end
//! - `runtime`: tokio on the thread of an event loop
//! - `instants`: tokio's instants by the run's clock

mod function;
mod instants;
mod nib;
mod options;
mod protocol;
mod request;
mod runtime;

pub use nib::Wrpc;
pub use options::{OPTIONS, SECRET_OPTIONS};
pub use protocol::{WrpcHttpProtocol, WrpcProtocol, WrpcSettings, is_http_path};
