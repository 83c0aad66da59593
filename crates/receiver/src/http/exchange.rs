//! A guest that handles a request, and its response.
//!
//! If the body of the response is small and comes at once, the response is one message.
//! Otherwise the head is sent as soon as the guest pauses, and the body follows as fast
//! as the caller takes it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use encarno_wrpc::http::{Field, INLINE_BYTES_MAX, Message, Part, ResponseHead, Streaming};
use encarno_wrpc::memory::Reservation;
use encarno_wrpc::serve::{Bodies, Respond};
use encarno_wrpc::{Error, ErrorCode};
use tokio::sync::oneshot;
use tokio::time::timeout_at;
use wasmtime_wasi_http::p2::bindings::http::types::ErrorCode as WasiError;
use wasmtime_wasi_http::p2::body::HyperOutgoingBody;

use super::handler_error::handler_error;
use crate::codec::RESULT_BYTES_MAX;

/// A part of a body is sent when it has this size, or when the guest pauses.
const PIECE_BYTES: usize = 128 << 10;

/// How a guest failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// Whether it had begun a body and not finished it.
    pub(crate) has_open_body: bool,
}

/// The response or error that a guest gives to its `response-outparam`.
pub(crate) type Answer = Result<http::Response<HyperOutgoingBody>, WasiError>;

/// A guest that handles a request, and its results so far.
pub(crate) struct Exchange<G> {
    guest: Option<G>,
    answer: oneshot::Receiver<Answer>,
    response: Option<(ResponseHead, HyperOutgoingBody)>,
    /// The part of the body that wasn't sent.
    piece: BytesMut,
    /// The reservation for the piece.
    memory: Reservation,
    trailers: Option<Vec<Field>>,
    failure: Option<Failure>,
}

/// The first message.
enum Beginning {
    /// Complete results.
    Whole(Result<Bytes, Error>),
    /// Results whose body follows.
    Head(Bytes),
}

impl<G: Future<Output = Result<(), Failure>> + Unpin> Exchange<G> {
    pub(crate) fn new(guest: G, answer: oneshot::Receiver<Answer>, memory: Reservation) -> Self {
        Self {
            guest: Some(guest),
            answer,
            response: None,
            piece: BytesMut::new(),
            memory,
            trailers: None,
            failure: None,
        }
    }

    /// Runs the guest, and answers the call with its results, no later than `deadline`.
    pub(crate) async fn run(
        mut self,
        mut responder: impl Respond,
        deadline: Instant,
        timed_out: impl Fn() -> Error,
    ) {
        let way = responder.bodies();
        let first = poll_fn(|context| Poll::Ready(self.poll_beginning(context, way)));
        let beginning = match first.await {
            Poll::Ready(beginning) => beginning,
            Poll::Pending => {
                responder.accept().await;
                let beginning = poll_fn(|context| self.poll_beginning(context, way));
                let beginning = timeout_at(deadline.into(), beginning);
                tokio::select! {
                    biased;
                    beginning = beginning => {
                        beginning.unwrap_or_else(|_| Beginning::Whole(Err(no_head(timed_out()))))
                    }
                    () = responder.caller_gone() => return,
                }
            }
        };
        let has_failed = match beginning {
            Beginning::Whole(result) => {
                let has_failed = result.is_err();
                responder.finish(result).await;
                has_failed
            }
            Beginning::Head(head) => {
                responder.begin(head).await;
                let Some(streams) = responder.streams() else {
                    return; // it is only begun where it can go on
                };
                let body = timeout_at(deadline.into(), self.send_body(&streams));
                let end = tokio::select! {
                    biased;
                    end = body => end.unwrap_or_else(|_| Err(timed_out())),
                    () = responder.caller_gone() => return,
                };
                let has_failed = end.is_err();
                if let Err(error) = streams.end(end).await {
                    tracing::warn!(%error, "the end of a response was lost");
                }
                has_failed
            }
        };
        // A guest whose body nobody takes would wait for ever.
        if has_failed {
            return;
        }
        // The guest may go on after its response, within its limits.
        if let Some(guest) = &mut self.guest
            && let Ok(Err(failure)) = timeout_at(deadline.into(), guest).await
        {
            self.failure = Some(failure);
        }
        if let Some(Failure { error, .. }) = &self.failure {
            tracing::warn!(%error, "a guest failed after its response, which was whole");
        }
    }

    async fn send_body(&mut self, streams: &Streaming) -> Result<Option<Vec<Field>>, Error> {
        while let Some(piece) = poll_fn(|context| self.poll_piece(context)).await? {
            streams.send(piece).await?;
        }
        Ok(self.trailers.take())
    }

    /// Runs the guest and collects, until the response is complete or the guest pauses.
    fn poll_beginning(&mut self, context: &mut Context<'_>, way: Bodies) -> Poll<Beginning> {
        let bytes_max = match way {
            Bodies::Either | Bodies::Streamed => INLINE_BYTES_MAX,
            Bodies::Whole => RESULT_BYTES_MAX,
        };
        let whole = |result| Poll::Ready(Beginning::Whole(result));
        loop {
            let ran = self.poll_guest(context);
            if self.response.is_none() {
                match self.answer.try_recv() {
                    Ok(Ok(response)) => {
                        let (parts, body) = response.into_parts();
                        let head = ResponseHead {
                            status: parts.status.as_u16(),
                            headers: fields(&parts.headers),
                        };
                        self.response = Some((head, body));
                    }
                    Ok(Err(error)) => return whole(Ok(handler_error(error).encode().into())),
                    Err(_) => {
                        return match ran {
                            Poll::Pending => Poll::Pending,
                            Poll::Ready(Err(failure)) => whole(Err(failure.error)),
                            Poll::Ready(Ok(())) => whole(Err(Error::new(
                                ErrorCode::InvalidResponse,
                                "the handler ended without a response",
                            ))),
                        };
                    }
                }
            }
            match self.poll_frames(context, bytes_max) {
                // The guest may have waited for room in the body.
                Frames::Some => {}
                Frames::End if way != Bodies::Streamed => {
                    let body = Part::Ready(self.piece.split().freeze());
                    let trailers = Part::Ready(self.trailers.take());
                    return whole(Ok(self.encode(body, trailers)));
                }
                Frames::Failed(error) => return whole(Err(error)),
                frames @ (Frames::End | Frames::Full | Frames::None) => {
                    // A finished body counts, whatever the guest did afterwards, and
                    // however much of it must still be sent.
                    let is_finished = |failure: &Failure| match frames {
                        Frames::End => true,
                        Frames::Full => !failure.has_open_body,
                        _ => false,
                    };
                    if let Poll::Ready(Err(failure)) = ran
                        && !is_finished(&failure)
                    {
                        return whole(Err(failure.error));
                    }
                    if way != Bodies::Whole {
                        let head = self.encode(Part::Pending, Part::Pending);
                        return Poll::Ready(Beginning::Head(head));
                    }
                    if self.piece.len() >= bytes_max {
                        let text = format!(
                            "the body of the response is larger than {} MiB, the most that this \
                             transport carries",
                            bytes_max >> 20
                        );
                        return whole(Err(Error::new(ErrorCode::GuestLimit, text)));
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Runs the guest for the next piece of the body; `None` after the last one.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Error>> {
        loop {
            let ran = self.poll_guest(context);
            match self.poll_frames(context, PIECE_BYTES) {
                Frames::Some => {}
                Frames::Failed(error) => return Poll::Ready(Err(error)),
                frames => {
                    if !self.piece.is_empty() {
                        return Poll::Ready(Ok(Some(self.piece.split().freeze())));
                    }
                    return match (frames, ran) {
                        (Frames::End, _) => Poll::Ready(Ok(None)),
                        (_, Poll::Ready(Err(failure))) => Poll::Ready(Err(failure.error)),
                        _ => Poll::Pending,
                    };
                }
            }
        }
    }

    /// Runs the guest. Ready when it has ended, and from then on.
    fn poll_guest(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(guest) = &mut self.guest else {
            return Poll::Ready(self.failure.clone().map_or(Ok(()), Err));
        };
        let polled = Pin::new(guest).poll(context);
        if let Poll::Ready(result) = &polled {
            self.guest = None;
            self.failure = result.clone().err();
        }
        polled
    }

    /// Takes the available part of the body.
    fn poll_frames(&mut self, context: &mut Context<'_>, bytes_max: usize) -> Frames {
        let Some((_, body)) = &mut self.response else {
            return Frames::None;
        };
        let mut frames = Frames::None;
        while self.piece.len() < bytes_max {
            match http_body::Body::poll_frame(Pin::new(body), context) {
                Poll::Pending => return frames,
                // If a guest fails, its body just ends, finished or not.
                Poll::Ready(None) => match &self.failure {
                    Some(failure) if failure.has_open_body => {
                        return Frames::Failed(failure.error.clone());
                    }
                    _ => return Frames::End,
                },
                Poll::Ready(Some(Err(error))) => {
                    return Frames::Failed(Error::new(
                        ErrorCode::InvalidResponse,
                        format!("the guest gave up the body of its response: {error}"),
                    ));
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        self.piece.extend_from_slice(&data);
                        if !self.memory.grow_to(self.piece.len()) {
                            return Frames::Failed(self.memory.used_up());
                        }
                    }
                    Err(frame) => {
                        self.trailers = frame.into_trailers().ok().map(|map| fields(&map));
                    }
                },
            }
            frames = Frames::Some;
        }
        Frames::Full
    }

    fn encode(&mut self, body: Part<Bytes>, trailers: Part<Option<Vec<Field>>>) -> Bytes {
        let head = match &mut self.response {
            Some((head, _)) => std::mem::take(head),
            None => ResponseHead::default(),
        };
        let message = Message {
            head,
            body,
            trailers,
        };
        message.encode().into()
    }
}

/// The error of a timeout before the head of a response was set.
fn no_head(mut timed_out: Error) -> Error {
    timed_out.message.push_str(
        ": the handler had not set its response; what it writes to a body waits until then",
    );
    timed_out
}

/// The result of taking a part of a body.
enum Frames {
    /// A part; there may be more.
    Some,
    /// As much as is allowed.
    Full,
    /// Nothing now.
    None,
    /// The end.
    End,
    Failed(Error),
}

fn fields(headers: &http::HeaderMap) -> Vec<Field> {
    let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| Field {
        name: name.as_str().to_owned(),
        value: Bytes::copy_from_slice(value.as_bytes()),
    };
    headers.iter().map(field).collect()
}
