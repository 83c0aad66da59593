//! HTTP/1 text (RFC 9112): the one reader of heads, fields and bodies.
//!
//! It reads what curl and browsers read: obsolete line folding, blanks before
//! a colon, unusual field names, empty lines before a status line. Nothing is
//! allocated but for a head that arrives in pieces.
//!
//! - error: what is wrong with a response
//! - fields: the lines of a head
//! - chunks: the chunked coding
//! - request: a request that lies in memory, and what it means for its connection
//! - head: the head of a response, and how its body ends
//! - reader: one response after the other, as it arrives

mod chunks;
mod error;
mod fields;
mod head;
mod reader;
mod request;

pub use chunks::{Chunks, Decoded};
pub use error::ResponseError;
pub use fields::{Field, Fields, field, fields, head_end};
pub use reader::{Part, ResponseReader};
pub use request::{Expected, Request, RequestBody, host, path};
