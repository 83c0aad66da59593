//! Calls to serve, whichever transport brings them.

use std::time::Duration;

use bytes::Bytes;

use crate::http::{Body, Message, Part, RequestHead};
use crate::streams::Streaming;
use crate::value::DecodeError;
use crate::{Error, ErrorCode, nats, tcp};

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
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Parameters larger than this are refused.
    pub params_bytes_max: usize,
    /// How long the parts of the parameters may take to arrive.
    pub params_timeout: Duration,
}

/// A call to serve: answer it by [`Responder::finish`].
pub struct Invocation {
    /// The position of the function in the list of exports.
    pub export: usize,
    /// Its parameters.
    pub parameters: Parameters,
    /// The way of the answers.
    pub responder: Responder,
}

/// The parameters of an invocation.
pub enum Parameters {
    /// All arrived with the call.
    Whole(Bytes),
    /// More are to come: see [`Partial::complete`].
    Partial(Partial),
}

/// Parameters of which the beginning has arrived.
pub enum Partial {
    /// Over NATS.
    Nats(nats::serve::Partial),
    /// Over TCP: the responder has them.
    Tcp,
}

impl Partial {
    /// Accepts the call, which makes its caller send the rest, and waits for that.
    pub async fn complete(self, responder: &mut Responder) -> Result<Bytes, Error> {
        match (self, responder) {
            (Self::Nats(partial), Responder::Nats(responder)) => partial.complete(responder).await,
            (Self::Tcp, Responder::Tcp(responder)) => responder.complete().await,
            _ => Err(Error::new(
                ErrorCode::Internal,
                "parameters of another call",
            )),
        }
    }
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

/// The way of the answers to one call.
pub enum Responder {
    /// Over NATS.
    Nats(nats::serve::Responder),
    /// Over TCP.
    Tcp(tcp::serve::Responder),
}

impl Responder {
    /// Tells the caller that the call was accepted. Once is enough, and
    /// [`Responder::finish`] does it where it wasn't done.
    pub async fn accept(&mut self) {
        match self {
            Self::Nats(responder) => responder.accept().await,
            Self::Tcp(responder) => responder.accept().await,
        }
    }

    /// The body of the request that the parameters are, and its trailers.
    pub fn body(&mut self, request: Message<RequestHead>) -> Result<Body, Error> {
        let behind = match self {
            Self::Nats(responder) => responder.take_body(),
            Self::Tcp(_) => None,
        };
        let body = match (request.body, behind) {
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

    /// How the body of a response may travel.
    pub fn bodies(&self) -> Bodies {
        match self {
            Self::Nats(responder) => responder.bodies(),
            Self::Tcp(responder) => responder.bodies(),
        }
    }

    /// The streams of the call, where the transport carries any.
    pub fn streams(&mut self) -> Option<Streaming> {
        match self {
            Self::Nats(responder) => responder.streams(),
            Self::Tcp(responder) => responder.streams(),
        }
    }

    /// Sends results of which streams are a part, which follow.
    pub async fn begin(&mut self, results: Bytes) {
        match self {
            Self::Nats(responder) => responder.begin(results).await,
            Self::Tcp(responder) => responder.begin(results).await,
        }
    }

    /// Sends the results, or what went wrong.
    pub async fn finish(self, result: Result<Bytes, Error>) {
        match self {
            Self::Nats(responder) => responder.finish(result).await,
            Self::Tcp(responder) => responder.finish(result).await,
        }
    }

    /// Done when the caller is known to have given the call up or to be gone. Not
    /// every caller tells: then it is never done.
    pub async fn caller_gone(&self) {
        match self {
            Self::Nats(responder) => responder.caller_gone().await,
            Self::Tcp(responder) => responder.caller_gone().await,
        }
    }
}
