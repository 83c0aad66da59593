//! WebSocket (RFC 6455) without IO: you put bytes in, a handler gets the events, and an
//! outbox has the bytes to send. Messages may be compressed (RFC 7692).
//!
//! - role: the two sides of a connection
//! - error: the errors and ends of connections
//! - deflate: permessage-deflate, the extension that compresses messages
//! - handshake: the handshake, in HTTP/1.1
//! - frame: the heads of frames, and masks
//! - text: checks UTF-8 in pieces
//! - connection: one connection, from either side

mod connection;
mod deflate;
mod error;
mod frame;
mod handshake;
mod role;
mod text;

pub use connection::{Connection, Handler, Limits};
pub use deflate::Deflate;
pub use error::{CloseCode, ConnectionError, HandshakeError};
pub use frame::{CONTROL_BYTES_MAX, Kind};
pub use handshake::{Agreed, Key, Offer, accept, accept_deflate, answer, read_answer};
pub use role::Role;
