//! What became of a call, and who takes it.

use std::time::Instant;

use bytes::Bytes;
use encarno_wrpc::Outcome;
use encarno_wrpc::http::Field;

use crate::in_flight::Permit;

/// What became of a call. It counts as in flight until this is dropped.
#[derive(Debug)]
pub struct Completion {
    /// The number that the call was submitted with.
    pub tag: u64,
    /// When it was submitted.
    pub submitted: Instant,
    /// Its results or an error, and when things happened.
    pub outcome: Outcome<Reply>,
    pub(crate) _permit: Permit,
}

/// What came back of a call.
#[derive(Debug)]
pub enum Reply {
    /// The encoded results of a function.
    Results(Bytes),
    /// The response to an HTTP request.
    Http(Box<HttpReply>),
}

/// A response, as far as it was to be read.
#[derive(Debug)]
pub struct HttpReply {
    /// 200 to 599.
    pub status: u16,
    /// The headers.
    pub headers: Vec<Field>,
    /// The trailers.
    pub trailers: Vec<Field>,
    /// The body, if it was to be kept, in the pieces in which it came: it may be large, and
    /// an IO thread has no time to put it together.
    pub body: Vec<Bytes>,
    /// Of the body, kept or not.
    pub body_bytes: u64,
    /// When the head was there.
    pub head_at: Instant,
}

/// Takes completions. It is called on IO threads, and must not block.
///
/// Every call that was accepted for submission has exactly one completion, whatever
/// becomes of it.
pub trait Sink: Send + Sync + 'static {
    /// Takes all that one round of an IO thread has completed, and leaves the list empty.
    fn take(&self, completed: &mut Vec<Completion>);
}
