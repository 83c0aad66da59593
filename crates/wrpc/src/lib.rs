//! wRPC 0.0.1, the protocol by which wasm components call one another over a
//! network: its values, and calls over NATS from both ends.
//!
//! The modules in the order in which a call meets them:
//!
//! - [`value`]: the encoding of component-model values, as primitives
//! - [`blaster`]: the packet of `xk6:wrpc/blaster`, the call this project makes most
//! - [`nats`]: a connection, calls made over it, and calls served over it
//! - [`error`]: the closed list of what can go wrong

pub mod blaster;
pub mod error;
pub mod nats;
pub mod value;

pub use error::{Error, ErrorCode};
