//! wRPC over TCP.
//!
//! **A connection for each call**, upstream's form:
//!
//! ```text
//! caller   → receiver  00 | name(instance) | name(function) | frame*
//! receiver → caller    frame* | FIN
//! name  = LEB128 length | UTF-8
//! frame = LEB128 path length | that many LEB128 indices | LEB128 data length | data
//! ```
//!
//! Frames with path length 0 contain parameters or results, split anywhere. Other frames
//! belong to asynchronous values, which are refused here: bodies are part of parameters
//! and results, up to the limits of those. On this wire, a success without results looks
//! the same as a receiver that died. So our receiver sends more, in ways that upstream's
//! callers ignore, or fail on as they should:
//!
//! - a frame without data: the call was accepted; and another one: the call succeeded,
//!   and its results are complete. If the first frame came, the second one must come
//!   before the FIN.
//! - a frame on the path `[ffffffff]`: the call failed; the frame has two names, code and
//!   sentence.
//!
//! Our caller also ends its parameters with an empty frame if the receiver may be ours.
//! It keeps its own side open until the receiver closes, so that the closed connection
//! lingers at the receiver's port and not at the caller's. With other receivers, it shuts
//! its side down after the parameters, as upstream's callers do, if the function always
//! has results or if `half_close` says so. A proxy may answer that by closing the
//! connection, which must not look like a success. A caller that cancels a call resets
//! the connection, which every receiver sees.
//!
//! **A connection that calls share**, if the receiver is ours. The caller opens with a
//! preface that is no version of upstream's protocol. Our receiver answers with the same
//! preface, and messages follow, including those of bodies: see `messages`. Upstream's
//! receiver closes the connection. The caller remembers that, and opens a connection for
//! each call, until one of our receivers answers there. Opening connections in advance
//! wouldn't help with upstream: its receivers take the next call only when they have read
//! the header of the previous one.
//!
//! [`Traffic`](crate::Traffic) counts the bytes of a call in either form, before TLS.
//!
//! - `options`: the address, TLS and timeouts
//! - `connector`: connects, with or without TLS
//! - `frames`: upstream's wire
//! - `messages`: the wire of a connection that calls share
//! - `call`: makes calls
//! - `connection`, `deliver`: a shared connection and its arriving messages, at the
//!   caller's end
//! - `http`: an HTTP request on it, and its streams
//! - `site`: the state that all connections of a receiver share
//! - `shared_calls`, `respond_shared`, `serve_shared`: the calls of a shared connection,
//!   the answers to them, and the connection, at the receiver's end
//! - `serve_single`: a connection of one call, at the receiver's end
//! - [`serve`]: serves calls on connections of both kinds

mod call;
mod connection;
mod connector;
mod deliver;
mod frames;
#[doc(hidden)]
pub mod fuzz;
mod http;
mod messages;
mod options;

mod respond_shared;
pub mod serve;
mod serve_shared;
mod serve_single;
mod shared_calls;
mod site;

pub use call::Remote;
pub use frames::FunctionNames;
pub use options::Options;
pub use serve::Server;

/// The number of bytes that a read asks for.
const READ_BYTES: usize = 64 << 10;
