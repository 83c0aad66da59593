//! HTTP over wRPC: `wrpc:http/incoming-handler@0.1.0`, whose WIT is in
//! `wit/deps/wrpc-http`.
//!
//! A request and a response have a head, a body of type `stream<u8>` and trailers of type
//! `future<option<fields>>`. If body and trailers are known when the head is sent, they
//! are in the same message ("ready"). Otherwise they follow ("pending"), at sub-paths of
//! the parameters or results:
//!
//! - `0.0`: the body, as chunks with their lengths; a length of 0 is the end
//! - `0.1`: the trailers, as an option
//!
//! The modules:
//!
//! - `fields`: headers and trailers
//! - `message`: requests and responses, encoded and decoded
//! - `error_code`: the error of a handler
//! - `body`: a body that arrives in pieces
//! - `client`: the response to a call
//! - `served`: the streams of a served call

mod body;
mod client;
mod error_code;
mod fields;
mod message;
mod served;

pub use body::Body;
pub use client::Response;
pub(crate) use client::read_response;
pub use error_code::{Detail, HandlerError};
pub use fields::{Field, is_field_value, is_token};
pub use message::{Message, Part, RequestHead, ResponseHead};
pub use served::Streaming;

/// The interface.
pub const INSTANCE: &str = "wrpc:http/incoming-handler@0.1.0";

/// Its function.
pub const FUNCTION: &str = "handle";

/// The largest body that is sent with its head in one message.
pub const INLINE_BYTES_MAX: usize = 256 << 10;

/// The sub-path of the body in parameters and in results.
pub(crate) const BODY_PATH: &str = "0.0";

/// The sub-path of the trailers.
pub(crate) const TRAILERS_PATH: &str = "0.1";
