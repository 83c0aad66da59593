//! The streams of a served call: the request's body in, the response's body out.

use std::sync::Arc;

use bytes::Bytes;

use super::fields::{Field, write_trailers};
use crate::Error;
use crate::streams::{Carrier, END, Incoming, Which, send};

/// The streams of a served call.
pub struct Streaming(Arc<dyn Carrier>);

impl Streaming {
    pub(crate) fn new(carrier: Arc<dyn Carrier>) -> Self {
        Self(carrier)
    }

    /// The body of the request and its trailers, which arrive in pieces.
    pub(crate) fn incoming(self) -> (Incoming, Incoming) {
        Incoming::of(&self.0)
    }

    /// Sends a part of the response's body, as soon as the caller takes it.
    pub async fn send(&self, data: Bytes) -> Result<(), Error> {
        send(&*self.0, data, |_| ()).await
    }

    /// Ends the response's body with its trailers, or with an error.
    pub async fn end(self, end: Result<Option<Vec<Field>>, Error>) -> Result<(), Error> {
        match end {
            Ok(fields) => {
                let mut trailers = Vec::new();
                write_trailers(&mut trailers, fields.as_deref());
                self.0.send(Which::Body, END, Bytes::new()).await?;
                self.0
                    .send(Which::Trailers, &trailers, Bytes::new())
                    .await?;
                self.0.end(Ok(())).await
            }
            Err(error) => self.0.end(Err(error)).await,
        }
    }
}
