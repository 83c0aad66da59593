//! WebSocket (RFC 6455) without IO: bytes go in, events come out, and what is to be
//! sent is in an outbox. Extensions aren't spoken.
//!
//! - role: which side it is
//! - error: what is wrong with a connection, and how connections end
//! - handshake: how HTTP/1.1 becomes a WebSocket
//! - frame: the heads of frames, and masks
//! - text: whether a text is one, however it is cut
//! - connection: what is known of one connection

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
