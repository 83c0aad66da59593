//! The protocols that come with encarno.
//!
//! - `http`: HTTP/1.1, with and without TLS
//! - `udp`: datagrams
//! - `dummy`: no network, to measure the engine itself

pub mod dummy;
pub mod http;
pub mod udp;
