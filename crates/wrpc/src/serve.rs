//! Calls to serve, whichever transport brings them.

use bytes::Bytes;
use std::time::Duration;

use crate::value::DecodeError;
use crate::{Error, nats};

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
}

impl Partial {
    /// Accepts the call, which makes its caller send the rest, and waits for that.
    pub async fn complete(self, responder: &mut Responder) -> Result<Bytes, Error> {
        match (self, responder) {
            (Self::Nats(partial), Responder::Nats(responder)) => partial.complete(responder).await,
        }
    }
}

/// The way of the answers to one call.
pub enum Responder {
    /// Over NATS.
    Nats(nats::serve::Responder),
}

impl Responder {
    /// Tells the caller that the call was accepted. Once is enough, and
    /// [`Responder::finish`] does it where it wasn't done.
    pub async fn accept(&mut self) {
        match self {
            Self::Nats(responder) => responder.accept().await,
        }
    }

    /// Sends the results, or what went wrong.
    pub async fn finish(self, result: Result<Bytes, Error>) {
        match self {
            Self::Nats(responder) => responder.finish(result).await,
        }
    }
}
