//! The protocols that come with encarno.
//!
//! - `http`: HTTP/1.1, with and without TLS
//! - `udp`: datagrams
//! - `echo`: lines that come back, many on one connection
//! - `dummy`: no network, to measure the engine itself
//!
//! What protocols over connections share is in attempt, the addresses of a name one
//! after the other, and in stream, bytes to and from the peer, plain or through TLS.

pub mod dummy;
pub mod echo;
pub mod http;
pub mod udp;

mod attempt;
mod stream;
