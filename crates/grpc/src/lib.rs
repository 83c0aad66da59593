//! gRPC over HTTP/2, without IO.
//!
//! - schema: methods by their descriptors, and JSON to and from their messages
//! - reflection: how a server tells its descriptors
//! - wire: fields of Protocol Buffers, for messages that are known here
//! - message: messages as bodies have them, one after the other
//! - gzip: their compression
//! - timeout: a deadline as a header
//! - status: how a call ended

pub mod reflection;
pub mod wire;

mod gzip;
mod message;
#[cfg(feature = "schema")]
mod schema;
mod status;
mod timeout;

pub use gzip::{gunzip, gzip};
pub use message::{BadMessage, Message, PREFIX_BYTES, Reader, Taken, messages, write};
#[cfg(feature = "schema")]
pub use schema::{Method, Schema};
pub use status::{Status, percent_decoded, percent_encoded};
pub use timeout::timeout_text;
