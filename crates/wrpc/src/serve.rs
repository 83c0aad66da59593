//! Calls to serve, for both transports.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::http::{Body, Message, Part, RequestHead, Streaming};
use crate::memory::Memory;
use crate::value::DecodeError;
use crate::{Error, ErrorCode};

/// Checks parameters: `Ok` if they are complete, [`DecodeError::Truncated`] if the rest
/// is missing, and any other error if they can't become valid.
pub type Check = Box<dyn Fn(&[u8]) -> Result<(), DecodeError> + Send + Sync>;

/// A function to serve.
pub struct Export {
    /// The instance that exports it; empty for a function of the component itself.
    pub instance: String,
    /// Its name.
    pub function: String,
    /// Finds the end of its parameters.
    pub check: Check,
    /// Whether its parameters or results may have streams, like those of [`crate::http`].
    pub has_streams: bool,
}

/// The limits of a server for its callers.
#[derive(Clone)]
pub struct Limits {
    /// The most bytes of parameters.
    pub params_bytes_max: usize,
    /// The most time for the parts of the parameters to arrive.
    pub params_timeout: Duration,
    /// The account for the memory of all calls.
    pub memory: Memory,
}

/// A call to serve, which [`Respond::finish`] answers.
pub struct Invocation<R> {
    /// The position of the function in the list of exports.
    pub export: usize,
    /// Its parameters.
    pub parameters: Parameters,
    /// The trace to which the caller says that the call belongs: its header `traceparent`
    /// ([W3C Trace Context](https://www.w3.org/TR/trace-context/)).
    pub traceparent: Option<Box<str>>,
    /// Answers the call.
    pub responder: R,
}

/// The parameters of an invocation.
pub enum Parameters {
    /// All parameters.
    Whole(Bytes),
    /// The beginning has arrived: see [`Respond::complete`].
    Partial,
}

/// How the body of a response may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// Only with the head, because the transport carries no streams.
    Whole,
    /// Only after the head, because the caller reads nothing else.
    Streamed,
    /// With the head if it is small, and otherwise after it.
    Either,
}

impl Limits {
    /// Limits for each call alone, without an account.
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
    /// The same call with another responder.
    pub fn map<S>(self, wrap: impl FnOnce(R) -> S) -> Invocation<S> {
        Invocation {
            export: self.export,
            parameters: self.parameters,
            traceparent: self.traceparent,
            responder: wrap(self.responder),
        }
    }
}

impl Parameters {
    /// Waits for all parameters. `responder` must be that of the same call.
    pub async fn receive(self, responder: &mut impl Respond) -> Result<Bytes, Error> {
        match self {
            Self::Whole(params) => Ok(params),
            Self::Partial => responder.complete().await,
        }
    }
}

/// Answers one call.
pub trait Respond: Send + Sync + Sized + 'static {
    /// Tells the caller that the call was accepted. One call suffices;
    /// [`Respond::finish`] does it if it wasn't done.
    fn accept(&mut self) -> impl Future<Output = ()> + Send;

    /// Accepts a call whose parameters are [`Parameters::Partial`], so that its caller
    /// sends the rest, and waits for the rest. Call it once.
    fn complete(&mut self) -> impl Future<Output = Result<Bytes, Error>> + Send;

    /// The body of the request, if it came after the parameters.
    fn take_body(&mut self) -> Option<Bytes>;

    /// The number of its bytes.
    fn body_bytes(&self) -> usize {
        0
    }

    /// How the body of a response may be sent.
    fn bodies(&self) -> Bodies;

    /// The streams of the call, if the transport supports them.
    fn streams(&mut self) -> Option<Streaming>;

    /// Sends results whose streams follow.
    fn begin(&mut self, results: Bytes) -> impl Future<Output = ()> + Send;

    /// Sends the results, or the error.
    fn finish(self, result: Result<Bytes, Error>) -> impl Future<Output = ()> + Send;

    /// Waits until the caller is known to have cancelled the call or to be gone. Some
    /// callers don't tell; then this never completes.
    fn caller_gone(&self) -> impl Future<Output = ()> + Send;

    /// The body of the request in the parameters, and its trailers.
    fn body(&mut self, request: Message<RequestHead>) -> Result<Body, Error> {
        let body = match (request.body, self.take_body()) {
            (body, None) => body,
            (Part::Pending, Some(body)) => Part::Ready(body),
            (Part::Ready(_), Some(_)) => {
                let text = "the request has two bodies, one of them after its parameters";
                return Err(Error::new(ErrorCode::ProtocolViolation, text));
            }
        };
        let incoming = || self.streams().map(Streaming::incoming);
        Body::of_request(body, request.trailers, incoming)
    }
}
