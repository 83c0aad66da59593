//! Calls to serve, whichever transport brings them.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::http::{Body, Message, Part, RequestHead, Streaming};
use crate::memory::Memory;
use crate::value::DecodeError;
use crate::{Error, ErrorCode};

/// Looks at parameters: `Ok` if they are whole, [`DecodeError::Truncated`] if
/// the rest must still arrive, any other error if they can't become whole.
pub type Check = Box<dyn Fn(&[u8]) -> Result<(), DecodeError> + Send + Sync>;

/// A function to serve.
pub struct Export {
    /// The instance that exports it; empty for a function of the component itself.
    pub instance: String,
    /// Its name.
    pub function: String,
    /// Tells where its parameters end.
    pub check: Check,
    /// Its parameters or results may have streams, as those of [`crate::http`] do.
    pub has_streams: bool,
}

/// What a caller may ask of a server.
#[derive(Clone)]
pub struct Limits {
    /// Parameters larger than this are refused.
    pub params_bytes_max: usize,
    /// How long the parts of the parameters may take to arrive.
    pub params_timeout: Duration,
    /// What all calls hold together is reserved here.
    pub memory: Memory,
}

/// A call to serve: answer it by [`Respond::finish`].
pub struct Invocation<R> {
    /// The position of the function in the list of exports.
    pub export: usize,
    /// Its parameters.
    pub parameters: Parameters,
    /// The way of the answers.
    pub responder: R,
}

/// The parameters of an invocation.
pub enum Parameters {
    /// All arrived with the call.
    Whole(Bytes),
    /// More are to come: see [`Respond::complete`].
    Partial,
}

/// How the body of a response may travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// With the head alone: the transport carries no streams.
    Whole,
    /// After the head alone: the caller reads nothing else.
    Streamed,
    /// With the head if it is small, else after it.
    Either,
}

impl Limits {
    /// Limits of each call alone.
    pub fn new(params_bytes_max: usize, params_timeout: Duration) -> Self {
        Self {
            params_bytes_max,
            params_timeout,
            memory: Memory::unlimited(),
        }
    }

    pub(crate) fn too_large(&self) -> Error {
        let limit = self.params_bytes_max;
        let text = format!("the parameters are larger than {limit} bytes");
        Error::new(ErrorCode::PayloadTooLarge, text)
    }

    pub(crate) fn params_late(&self) -> Error {
        let limit = self.params_timeout;
        let text = format!("the parameters did not arrive whole within {limit:?}");
        Error::new(ErrorCode::Timeout, text)
    }
}

impl<R> Invocation<R> {
    /// The same call with another way of the answers.
    pub fn map<S>(self, wrap: impl FnOnce(R) -> S) -> Invocation<S> {
        Invocation {
            export: self.export,
            parameters: self.parameters,
            responder: wrap(self.responder),
        }
    }
}

impl Parameters {
    /// All parameters, when they have arrived. `responder` is that of the same call.
    pub async fn receive(self, responder: &mut impl Respond) -> Result<Bytes, Error> {
        match self {
            Self::Whole(params) => Ok(params),
            Self::Partial => responder.complete().await,
        }
    }
}

/// The way of the answers to one call.
pub trait Respond: Send + Sync + Sized + 'static {
    /// Tells the caller that the call was accepted. Once is enough, and
    /// [`Respond::finish`] does it where it wasn't done.
    fn accept(&mut self) -> impl Future<Output = ()> + Send;

    /// Accepts a call whose parameters are [`Parameters::Partial`], which makes its
    /// caller send the rest, and waits for that. To be called once.
    fn complete(&mut self) -> impl Future<Output = Result<Bytes, Error>> + Send;

    /// The body of the request, where it came behind the parameters.
    fn take_body(&mut self) -> Option<Bytes>;

    /// How much that is.
    fn body_bytes(&self) -> usize {
        0
    }

    /// How the body of a response may travel.
    fn bodies(&self) -> Bodies;

    /// The streams of the call, where the transport carries any.
    fn streams(&mut self) -> Option<Streaming>;

    /// Sends results of which streams are a part, which follow.
    fn begin(&mut self, results: Bytes) -> impl Future<Output = ()> + Send;

    /// Sends the results, or what went wrong.
    fn finish(self, result: Result<Bytes, Error>) -> impl Future<Output = ()> + Send;

    /// Done when the caller is known to have given the call up or to be gone. Not
    /// every caller tells: then it is never done.
    fn caller_gone(&self) -> impl Future<Output = ()> + Send;

    /// The body of the request that the parameters are, and its trailers.
    fn body(&mut self, request: Message<RequestHead>) -> Result<Body, Error> {
        let body = match (request.body, self.take_body()) {
            (body, None) => body,
            (Part::Pending, Some(body)) => Part::Ready(body),
            (Part::Ready(_), Some(_)) => {
                let text = "the request has two bodies, one of them behind its parameters";
                return Err(Error::new(ErrorCode::ProtocolViolation, text));
            }
        };
        let incoming = || self.streams().map(Streaming::incoming);
        Body::of_request(body, request.trailers, incoming)
    }
}
