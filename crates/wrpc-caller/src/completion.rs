//! The completion of a call, and the sink that takes it.

use std::time::Instant;

use bytes::Bytes;
use encarno_wrpc::Outcome;
use encarno_wrpc::http::Field;

use crate::in_flight::Permit;

/// The completion of a call. The call counts as in flight until this is dropped.
#[derive(Debug)]
pub struct Completion {
    /// The number with which the call was submitted.
    pub tag: u64,
    /// When it was submitted.
    pub submitted: Instant,
    /// The results or error, with the instants of the call.
    pub outcome: Outcome<Reply>,
    pub(crate) _permit: Permit,
}

/// The results of a call.
#[derive(Debug)]
pub enum Reply {
    /// The encoded results of a function.
    Results(Bytes),
    /// The response to an HTTP request.
    Http(Box<HttpReply>),
}

/// A response, as far as it was read.
#[derive(Debug)]
pub struct HttpReply {
    /// 200 to 599.
    pub status: u16,
    /// The headers.
    pub headers: Vec<Field>,
    /// The trailers.
    pub trailers: Vec<Field>,
    /// The body, if it was to be kept, in the pieces in which it arrived. It may be
    /// large, and an IO thread must not spend the time to join it.
    pub body: Vec<Bytes>,
    /// The number of the body's bytes, kept or not.
    pub body_bytes: u64,
    /// When the head arrived.
    pub head_at: Instant,
}

/// Takes completions. It is called on IO threads, and must not block.
///
/// Every call that was accepted for submission has exactly one completion.
pub trait Sink: Send + Sync + 'static {
    /// Takes all completions of one round of an IO thread, and leaves the list empty.
    fn take(&self, completed: &mut Vec<Completion>);
}
