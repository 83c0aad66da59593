//! HTTP/2 (RFC 9113) without IO: bytes go in and come out, and what they mean
//! is told in between.
//!
//! - role: which side one is
//! - error: the codes that both sides close streams and connections with
//! - [`hpack`]: the compression of heads
//! - frame: frames, as they are read and written
//! - request: requests of HTTP/1 text, made ready to be sent on any connection
//! - head: a head as its fields come, and whether it is one
//! - stream, settings: what is known of a stream, and of the peer
//! - connection: one connection, from either side

pub mod hpack;

mod connection;
mod error;
mod frame;
mod head;
mod request;
mod role;
mod settings;
mod stream;

pub use connection::{Connection, Handler, Limits};
pub use error::{ConnectionError, ErrorCode};
pub use frame::PREFACE;
pub use head::{Head, HeadKind};
pub use request::Prepared;
pub use role::Role;
pub use stream::Reset;
