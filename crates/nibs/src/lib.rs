//! The protocols that come with encarno.
//!
//! - `http`: HTTP/1.1, with and without TLS
//! - `udp`: datagrams
//! - `echo`: lines that come back, many on one connection
//! - `dummy`: no network, to measure the engine itself

pub mod dummy;
pub mod echo;
pub mod http;
pub mod udp;
