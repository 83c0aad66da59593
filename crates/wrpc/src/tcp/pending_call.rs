//! A call that was made on a shared connection, and what has come of it.

use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use tokio::time::error::Elapsed;

use super::RESULT_BYTES_MAX;
use super::connection::Sent;
use super::frames;
use super::messages::{self, HEAD_BYTES, Kind, Message};
use crate::chunks::Chunks;
use crate::streams::{Streams, WINDOW_BYTES};
use crate::{Error, ErrorCode, Timing};

#[derive(Default)]
pub(super) struct PendingCall {
    pub(super) waker: Option<Waker>,
    pub(super) accepted: Option<Instant>,
    pub(super) results: Chunks,
    pub(super) bytes_received: u64,
    pub(super) finished: Option<(Instant, Result<(), Error>)>,
    /// For a function whose parameters or results may have streams.
    pub(super) streams: Option<Box<Streams>>,
}

impl PendingCall {
    /// Of a function whose parameters or results may have streams.
    pub(super) fn with_streams() -> Self {
        Self {
            streams: Some(Box::new(Streams::with_window(Some(WINDOW_BYTES)))),
            ..Self::default()
        }
    }

    pub(super) fn deliver(&mut self, message: Message, now: Instant) -> Result<(), Error> {
        self.bytes_received += (HEAD_BYTES + message.payload.len()) as u64;
        match message.kind {
            Kind::Body | Kind::Trailers | Kind::Window => {
                messages::deliver(self.streams.as_deref_mut(), message)?;
            }
            Kind::Error => self.fail(frames::decode_error(&message.payload), now),
            Kind::Accepted | Kind::Results | Kind::End if self.finished.is_some() => {
                // Answered twice: the first one counts.
            }
            Kind::Accepted => {
                self.accepted.get_or_insert(now);
                self.wake(); // parameters may wait to be sent on
            }
            Kind::Results | Kind::End => {
                if self.results.len() + message.payload.len() > RESULT_BYTES_MAX {
                    let text = format!("the result is larger than {RESULT_BYTES_MAX} bytes");
                    self.fail(Error::new(ErrorCode::PayloadTooLarge, text), now);
                    return Ok(());
                }
                if !message.payload.is_empty() {
                    self.results.push(message.payload);
                }
                if message.kind == Kind::End {
                    self.accepted.get_or_insert(now);
                    self.finish(Ok(()), now);
                }
            }
            kind => return Err(frames::violation(format!("a receiver that says {kind:?}"))),
        }
        Ok(())
    }

    /// Ends what hasn't ended: the results, and streams.
    pub(super) fn fail(&mut self, error: Error, now: Instant) {
        if let Some(streams) = &mut self.streams {
            streams.fail(&error);
        }
        self.finish(Err(error), now);
    }

    /// What became of a call that was waited for.
    pub(super) fn ended(
        &mut self,
        answer: Result<Result<(), Error>, Elapsed>,
        sent: &Sent,
    ) -> (Result<(), Error>, Timing) {
        let (finished, result) = match (answer, self.finished.clone()) {
            // A result that came in the same instant as the deadline is a result.
            (_, Some((at, result))) => (at, result),
            (Ok(Err(error)), None) => (Instant::now(), Err(error)),
            (Ok(Ok(())), None) | (Err(_), None) => {
                let phase = match (sent.at, self.accepted) {
                    (None, _) => "it could not be sent",
                    (_, None) => "the receiver did not accept it",
                    (_, Some(_)) => "it was accepted and not answered",
                };
                let text = format!("the call timed out: {phase}");
                (Instant::now(), Err(Error::new(ErrorCode::Timeout, text)))
            }
        };
        let timing = Timing {
            sent: sent.at,
            accepted: self.accepted,
            finished: Some(finished),
        };
        (result, timing)
    }

    /// Whether its results have come.
    pub(super) fn is_answered(&self) -> bool {
        matches!(self.finished, Some((_, Ok(()))))
    }

    /// The results, as far as they have come.
    pub(super) fn take_results(&mut self) -> Bytes {
        std::mem::take(&mut self.results).into_bytes()
    }

    fn finish(&mut self, result: Result<(), Error>, now: Instant) {
        if self.finished.is_none() {
            self.finished = Some((now, result));
            self.wake();
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
