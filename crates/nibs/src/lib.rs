//! The protocols that come with encarno.
//!
//! - `http`: HTTP/1.1, with and without TLS
//! - `http2`: HTTP/2, with TLS by ALPN and without TLS by prior knowledge
//! - `http3`: HTTP/3, over QUIC
//! - `grpc`: calls over HTTP/2
//! - `tcp`: streams of bytes, with and without TLS
//! - `websocket`: messages over a connection that begins as HTTP/1.1, with and without TLS
//! - `udp`: datagrams
//! - `echo`: `tcp` whose answers are the lines that were sent, many on one connection
//! - `dummy`: no network, to measure the engine itself
//!
//! Protocols over connections share three modules: attempt tries the addresses of a name
//! one after the other, [`multiplexed`] makes many hits at a time on one connection, and [`links`] keeps the connections that several workers share, also
//! for protocols of other crates. Streams and dialers come from `encarno_nib`.

pub mod dummy;
pub mod echo;
#[cfg(feature = "grpc")]
pub mod grpc;
pub mod http;
pub mod http2;
pub mod http3;
pub mod links;
pub mod multiplexed;
pub mod tcp;
pub mod udp;
pub mod websocket;

mod attempt;
