//! HTTP requests: the call of a handler, and a response that is read as far as it is
//! wanted.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use encarno_wrpc::http::{Body, RequestHead};
use encarno_wrpc::{Error, ErrorCode, Outcome};

use crate::call::Work;
use crate::completion::{HttpReply, Reply};
use crate::link::{Function, Link};

/// How the body of a response is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It is kept; a body with more bytes is an error.
    Keep(usize),
    /// So much of its beginning is kept, and it is read to its end.
    KeepBeginning(usize),
    /// It is read to its end and not kept.
    Discard,
    /// It isn't read: the call ends with the head of the response.
    Ignore,
}

/// An HTTP request; its completion has [`Reply::Http`].
#[derive(Clone, Debug)]
pub struct HttpCall {
    /// The handler, from the client that makes the request.
    pub function: Function,
    /// The head.
    pub head: RequestHead,
    /// The body.
    pub body: Bytes,
    /// How the response's body is read.
    pub reading: Reading,
}

impl Work for HttpCall {
    async fn run(self, link: Arc<Link>, deadline: Instant) -> Outcome<Reply> {
        let Self {
            function,
            head,
            body,
            reading,
        } = self;
        let outcome = link.http(&function, head, body, deadline).await;
        let (mut timing, mut traffic) = (outcome.timing, outcome.traffic);
        let mut response = match outcome.result {
            Ok(response) => response,
            Err(error) => {
                return Outcome {
                    result: Err(error),
                    timing,
                    traffic,
                };
            }
        };
        let head_at = timing.finished.unwrap_or_else(Instant::now);
        let read = read(&mut response.body, reading).await;
        if let Some(last) = response.body.traffic() {
            traffic = last;
            timing.finished = Some(Instant::now());
        }
        let result = read.map(|(body, body_bytes)| {
            Reply::Http(Box::new(HttpReply {
                status: response.head.status,
                headers: std::mem::take(&mut response.head.headers),
                trailers: response.body.trailers().unwrap_or_default().to_vec(),
                body,
                body_bytes,
                head_at,
            }))
        });
        Outcome {
            result,
            timing,
            traffic,
        }
    }
}

/// The kept pieces of the body, and the number of bytes that were read.
async fn read(body: &mut Body, reading: Reading) -> Result<(Vec<Bytes>, u64), Error> {
    let mut kept = Vec::new();
    let mut bytes = 0u64;
    if reading == Reading::Ignore {
        return Ok((kept, bytes));
    }
    while let Some(mut chunk) = body.chunk().await? {
        let before = usize::try_from(bytes).unwrap_or(usize::MAX);
        bytes += chunk.len() as u64;
        match reading {
            Reading::Keep(bytes_max) if bytes > bytes_max as u64 => {
                let text = format!("the body of the response is larger than {bytes_max} bytes");
                return Err(Error::new(ErrorCode::PayloadTooLarge, text));
            }
            Reading::Keep(_) => kept.push(chunk),
            Reading::KeepBeginning(bytes_max) if before < bytes_max => {
                chunk.truncate(bytes_max - before);
                kept.push(chunk);
            }
            Reading::KeepBeginning(_) | Reading::Discard | Reading::Ignore => {}
        }
    }
    Ok((kept, bytes))
}
