//! HTTP/3 (RFC 9114) without IO.
//!
//! - error: the codes that both sides close streams and connections with
//! - varint: the numbers of QUIC
//! - [`qpack`]: the compression of heads, without a dynamic table
//! - frame: reads and writes frames
//! - request: converts HTTP/1 text into requests
//! - control: the streams beside those of requests
//! - connection: one connection, from either side; you put the bytes of its streams in
//! - congestion: tells whether congestion control holds data back
//! - session: a connection over QUIC (`quinn-proto`), also without IO

pub mod qpack;

mod congestion;
mod connection;
mod control;
mod error;
mod frame;
mod request;
mod session;
mod varint;

pub use congestion::CongestionWatch;
pub use connection::{Connection, Handler, Limits, Reset};
pub use error::{ConnectionError, ErrorCode};
pub use frame::{write_frame, write_head as write_frame_head};
pub use request::Prepared;
pub use session::{Early, Lost, Progress, Session, Then, Wrote};

/// The name of HTTP/3 in TLS (ALPN).
pub const ALPN: &[u8] = b"h3";
/// The type of DATA frames.
pub const DATA: u64 = frame::DATA;
/// The type of HEADERS frames.
pub const HEADERS: u64 = frame::HEADERS;
