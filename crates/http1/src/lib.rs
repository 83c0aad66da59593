//! HTTP/1 text (RFC 9112): the one reader of heads, fields and bodies.
//!
//! Like curl and browsers, it accepts obsolete line folding, blanks before a colon,
//! unusual field names, and empty lines before a status line. It allocates only for a
//! head that arrives in pieces.
//!
//! - error: errors of responses
//! - fields: the lines of a head
//! - chunks: the chunked coding
//! - request: a request in memory, and its effect on the connection
//! - head: the head of a response, and how its body ends
//! - reader: reads responses as they arrive

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
