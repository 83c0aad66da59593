//! What became of a call, and who takes it.

use std::time::Instant;

use bytes::Bytes;
use encarno_wrpc::Outcome;

use crate::http::HttpReply;
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

/// Takes completions. It is called on IO threads, and must not block.
///
/// Every call that was accepted for submission has exactly one completion, whatever
/// becomes of it.
pub trait Sink: Send + Sync + 'static {
    /// Takes all that one round of an IO thread has completed, and leaves the list empty.
    fn take(&self, completed: &mut Vec<Completion>);
}
