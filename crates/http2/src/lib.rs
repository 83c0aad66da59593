//! HTTP/2 (RFC 9113) without IO: you put bytes in and take bytes out, and a handler gets
//! the events.
//!
//! - role: the two sides of a connection
//! - error: the codes that both sides close streams and connections with
//! - [`hpack`]: the compression of heads
//! - frame: reads and writes frames
//! - fields: the fields of requests
//! - request: converts HTTP/1 text into requests for any connection
//! - head: checks a head as its fields arrive
//! - stream, settings: the state of a stream, and the settings of the peer
//! - connection: one connection, from either side

pub mod hpack;

mod connection;
mod error;
mod fields;
mod frame;
mod head;
mod request;
mod role;
mod settings;
mod stream;

pub use connection::{Connection, Handler, Limits};
pub use error::{ConnectionError, ErrorCode};
pub use fields::{RequestText, request_fields};
pub use frame::PREFACE;
pub use head::{BadHead, Head, HeadKind, HeadReader};
pub use request::Prepared;
pub use role::Role;
pub use stream::Reset;
