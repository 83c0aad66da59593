//! HTTP/2 (RFC 9113) without IO: bytes go in and come out, and what they mean
//! is told in between.
//!
//! - [`hpack`]: the compression of heads

pub mod hpack;
