//! wRPC 0.0.1, the protocol by which wasm components call one another over a
//! network: its values, and calls over NATS from both ends.
//!
//! The modules in the order in which a call meets them:
//!
//! - [`value`]: the encoding of component-model values, as primitives
//! - [`blaster`]: the packet of `xk6:wrpc/blaster`, the call this project makes most
//! - [`call`]: what becomes of a call
//! - [`on_demand`]: a connection that is made when it is needed
//! - [`serve`]: a call to serve
//! - [`nats`]: a connection, calls made over it, and calls served over it
//! - [`error`]: the closed list of what can go wrong

pub mod blaster;
pub mod call;
pub mod error;
pub mod nats;
pub mod on_demand;
pub mod serve;
pub mod value;

pub use call::{Outcome, Timing, Traffic};
pub use error::{Error, ErrorCode};
