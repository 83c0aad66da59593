//! wRPC over TCP.
//!
//! **A connection for each call**, as upstream does it:
//!
//! ```text
//! caller   → receiver  00 | name(instance) | name(function) | frame*
//! receiver → caller    frame* | FIN
//! name  = LEB128 length | UTF-8
//! frame = LEB128 path length | that many LEB128 indices | LEB128 data length | data
//! ```
//!
//! Frames of path length 0 hold parameters or results, cut anywhere; others belong
//! to asynchronous values, which are refused here: bodies travel within parameters and
//! results, as far as those may go. On this wire nothing tells
//! a success without results from a receiver that died. So a receiver of ours says
//! more, in ways that upstream's callers read past, or fail on as they should:
//!
//! - a frame without data: the call was accepted; and another one: it succeeded,
//!   and that was all. Where the first came, the second must come before the FIN.
//! - a frame on the path `[ffffffff]`: it failed; two names, code and sentence.
//!
//! And a caller of ours ends its parameters by an empty frame, too, where the receiver
//! may be one of ours. It keeps its own side open until the receiver closes, so that the closed
//! connection lingers at the receiver's port and not at one of the caller's. To
//! others it shuts its side down behind the parameters, as upstream's callers do, if the
//! function always has results, or if `half_close` says so: a proxy may answer that by
//! closing the connection, and that must not look as a success. A
//! caller that gives a call up resets the connection, which every receiver sees.
//!
//! **A connection that calls share**, where the receiver is ours. The caller opens
//! with a preface that is no version of upstream's protocol. Our receiver
//! answers alike, and messages follow, those of bodies among them: see `messages`.
//! Upstream's closes the connection: the caller remembers that, and opens one for each
//! call, until a receiver of ours answers there. Connections opened ahead would be of no use
//! with upstream: its receivers take the next call only when they have read the
//! header of the one before.
//!
//! [`Traffic`](crate::Traffic) counts the bytes of a call in either form, before TLS.
//!
//! - `options`: where to connect and how
//! - `connector`: connects, encrypted or not
//! - `frames`: upstream's wire
//! - `messages`: the wire of a connection that calls share
//! - `call`: calls made
//! - `connection`, `deliver`: a shared connection and what arrives on it, from the caller's end
//! - `http`: an HTTP request on it, and its streams
//! - `site`: what all connections of a receiver share
//! - `shared_calls`, `respond_shared`, `serve_shared`: the calls of a shared connection,
//!   the answers to them, and the connection, from the receiver's end
//! - `serve_single`: a connection of one call, from the receiver's end
//! - [`serve`]: calls served, on connections of either kind

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

/// A read asks for so many bytes.
const READ_BYTES: usize = 64 << 10;
