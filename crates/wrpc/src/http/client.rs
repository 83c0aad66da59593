//! The response to a call, for both transports.

use bytes::Bytes;

use super::body::Body;
use super::message::{Message, ResponseHead};
use crate::streams::Open;
use crate::{Error, ErrorCode};

/// A response.
pub struct Response {
    /// The head.
    pub head: ResponseHead,
    /// The body, which may still be arriving. Dropping it tells the receiver that it
    /// isn't wanted any more.
    pub body: Body,
}

/// Reads the results of a call. If it is `open`, more results follow.
pub(crate) fn read_response(results: &Bytes, mut open: Option<Open>) -> Result<Response, Error> {
    if results.is_empty() {
        // Upstream reports in this way that a handler trapped.
        let text = "the handler ended without a response";
        return Err(Error::new(ErrorCode::InvalidResponse, text));
    }
    match Message::<ResponseHead>::decode(results) {
        Ok(Ok(message)) => Ok(Response {
            head: message.head,
            body: Body::of_response(message.body, message.trailers, open)?,
        }),
        Ok(Err(error)) => {
            // The response is complete.
            open.as_mut().map(Open::complete);
            Err(Error::new(
                ErrorCode::HandlerError,
                format!("the handler returned an error: {error}"),
            ))
        }
        Err(error) => Err(Error::new(
            ErrorCode::InvalidResponse,
            format!("the response can't be decoded: {error}"),
        )),
    }
}
