//! A call made: what becomes of it, whichever transport carries it.

use bytes::Bytes;

use super::body::Body;
use super::message::{Message, ResponseHead};
use crate::streams::Open;
use crate::{Error, ErrorCode};

/// A response.
pub struct Response {
    /// What stands before the body.
    pub head: ResponseHead,
    /// The body, which goes on arriving. Dropped, it isn't wanted any more.
    pub body: Body,
}

/// Reads the results of a call, of which more is to come if it is `open`.
pub(crate) fn read_response(results: &Bytes, mut open: Option<Open>) -> Result<Response, Error> {
    if results.is_empty() {
        // This is how upstream says that a handler trapped.
        let text = "the handler ended without a response";
        return Err(Error::new(ErrorCode::InvalidResponse, text));
    }
    match Message::<ResponseHead>::decode(results) {
        Ok(Ok(message)) => Ok(Response {
            head: message.head,
            body: Body::of_response(message.body, message.trailers, open)?,
        }),
        Ok(Err(error)) => {
            // That was all.
            open.as_mut().map(Open::complete);
            Err(Error::new(
                ErrorCode::HandlerError,
                format!("the handler gave an error: {error}"),
            ))
        }
        Err(error) => Err(Error::new(
            ErrorCode::InvalidResponse,
            format!("the response can't be decoded: {error}"),
        )),
    }
}
