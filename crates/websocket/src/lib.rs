//! WebSocket (RFC 6455) without IO: you put bytes in, a handler gets the events, and an
//! outbox has the bytes to send. Extensions aren't supported.
//!
//! - role: the two sides of a connection
//! - error: the errors and ends of connections
//! - handshake: the handshake, in HTTP/1.1
//! - frame: the heads of frames, and masks
//! - text: checks UTF-8 in pieces
//! - connection: one connection, from either side

mod connection;
mod error;
mod frame;
mod handshake;
mod role;
mod text;

pub use connection::{Connection, Handler, Limits};
pub use error::{CloseCode, ConnectionError, HandshakeError};
pub use frame::{CONTROL_BYTES_MAX, Kind};
pub use handshake::{Key, Offer, accept, answer, read_answer};
pub use role::Role;
