//! The streams of a call that is served: the request's body in, the response's
//! body out.

use std::sync::Arc;

use async_nats::Subject;
use bytes::Bytes;

use super::streams::{self, Inbox, Incoming, Which};
use super::{headers, subject};
use crate::Error;
use crate::http::message::write_trailers;
use crate::http::{BODY_PATH, Field, TRAILERS_PATH};

/// The streams of a call that is served.
pub struct Streaming {
    pub(super) inbox: Arc<Inbox>,
    /// Rc.
    pub(super) reply: Subject,
}

impl Streaming {
    /// The body of the request and its trailers, as they arrive.
    pub(super) fn incoming(self) -> (Incoming, Incoming) {
        let incoming =
            |which| Incoming::new(Arc::clone(&self.inbox), which, Some(self.reply.clone()));
        (incoming(Which::Body), incoming(Which::Trailers))
    }

    /// Sends a part of the body of the response, as soon as the caller takes it.
    pub async fn send(&self, data: Bytes) -> Result<(), Error> {
        streams::send_chunks(&self.inbox, &self.subject(BODY_PATH), data, |_| ()).await
    }

    /// Ends the body of the response: with its trailers, or with what went wrong.
    pub async fn end(self, end: Result<Option<Vec<Field>>, Error>) -> Result<(), Error> {
        let connection = &self.inbox.connection;
        let (body, trailers) = (self.subject(BODY_PATH), self.subject(TRAILERS_PATH));
        match end {
            Ok(fields) => {
                let mut encoded = Vec::new();
                write_trailers(&mut encoded, fields.as_deref());
                let end = Bytes::from_static(&[0]);
                connection.publish(body, None, None, end).await?;
                connection
                    .publish(trailers, None, None, encoded.into())
                    .await
            }
            Err(error) => {
                let headers = Some(headers::from_error(&error));
                connection.publish(body, None, headers, Bytes::new()).await
            }
        }
    }

    fn subject(&self, path: &str) -> Subject {
        Subject::from([subject::results(&self.reply).as_str(), ".", path].concat())
    }
}
