//! gRPC over HTTP/2, without IO.
//!
//! - schema: methods by their descriptors, and JSON to and from their messages
//! - reflection: the messages of server reflection
//! - wire: fields of Protocol Buffers, for messages without a descriptor
//! - message: the messages in a body
//! - gzip: the compression of messages
//! - timeout: the header with a deadline
//! - status: the status at the end of a call

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
