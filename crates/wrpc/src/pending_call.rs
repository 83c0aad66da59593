//! A call in flight and its results so far, for both transports.

use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use tokio::time::error::Elapsed;

use crate::chunks::Chunks;
use crate::streams::Streams;
use crate::{Error, ErrorCode, Timing, call};

/// The most bytes of results.
pub(crate) const RESULT_BYTES_MAX: usize = 256 << 20;

/// When a call was sent, and how many bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Dispatch {
    pub(crate) at: Option<Instant>,
    pub(crate) bytes: u64,
}

/// What has arrived for a call.
#[derive(Default)]
pub(crate) struct PendingCall {
    waker: Option<Waker>,
    pub(crate) accepted: Option<Instant>,
    results: Chunks,
    pub(crate) bytes_received: u64,
    finished: Option<(Instant, Result<(), Error>)>,
    /// The streams, if the function's parameters or results may have any.
    pub(crate) streams: Option<Box<Streams>>,
}

impl PendingCall {
    /// A call of a function whose parameters or results may have streams.
    pub(crate) fn with_streams(streams: Streams) -> Self {
        Self {
            streams: Some(Box::new(streams)),
            ..Self::default()
        }
    }

    /// Notes that the receiver has accepted the call.
    pub(crate) fn accept(&mut self, now: Instant) {
        self.accepted.get_or_insert(now);
        self.wake(); // parameters may wait to be sent on
    }

    /// Takes more of the results.
    pub(crate) fn push(&mut self, data: Bytes, now: Instant) {
        if self.is_finished() || data.is_empty() {
            return;
        }
        match exceeds_result_limit(self.results.len() + data.len()) {
            Some(error) => self.fail(error, now),
            None => self.results.push(data),
        }
    }

    /// Ends the results, successfully or with an error. The first end counts.
    pub(crate) fn finish(&mut self, result: Result<(), Error>, now: Instant) {
        if self.finished.is_none() {
            self.finished = Some((now, result));
            self.wake();
        }
    }

    /// Fails everything that hasn't ended: the results, and streams.
    pub(crate) fn fail(&mut self, error: Error, now: Instant) {
        if let Some(streams) = &mut self.streams {
            streams.fail(&error);
        }
        self.finish(Err(error), now);
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    /// Whether it has ended with an error.
    pub(crate) fn is_failed(&self) -> bool {
        matches!(self.finished, Some((_, Err(_))))
    }

    /// Whether its results have arrived.
    pub(crate) fn is_answered(&self) -> bool {
        matches!(self.finished, Some((_, Ok(()))))
    }

    /// The outcome of a call after waiting for it, with the results so far.
    pub(crate) fn ended(
        &mut self,
        waited: Result<Result<(), Error>, Elapsed>,
        sent: &Dispatch,
    ) -> (Result<Bytes, Error>, Timing) {
        let (finished, result) = match (waited, self.finished.clone()) {
            // A result at the same instant as the deadline counts.
            (_, Some((at, result))) => (at, result),
            (Ok(Err(error)), None) => (Instant::now(), Err(error)),
            (Ok(Ok(())), None) | (Err(_), None) => {
                (Instant::now(), Err(timed_out(sent.at, self.accepted)))
            }
        };
        let timing = Timing {
            sent: sent.at,
            uploaded: None,
            accepted: self.accepted,
            finished: Some(finished),
        };
        let results = std::mem::take(&mut self.results);
        (result.map(|()| results.into_bytes()), timing)
    }

    pub(crate) fn wake_by(&mut self, waker: &Waker) {
        match &mut self.waker {
            Some(own) => own.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The error of a call that didn't end in time, which depends on how far it came.
pub(crate) fn timed_out(sent: Option<Instant>, accepted: Option<Instant>) -> Error {
    let phase = match (sent, accepted) {
        (None, _) => "it could not be sent",
        (_, None) => "the receiver did not accept it",
        (_, Some(_)) => "it was accepted and not answered",
    };
    call::timed_out(phase)
}

/// The same error if there was no connection in time.
pub(crate) fn timed_out_connecting(peer: &str) -> Error {
    call::timed_out(&format!("there was no connection to {peer} yet"))
}

/// The error if this many bytes of results are too many.
pub(crate) fn exceeds_result_limit(bytes: usize) -> Option<Error> {
    (bytes > RESULT_BYTES_MAX).then(|| {
        let text = format!("the result is larger than {RESULT_BYTES_MAX} bytes");
        Error::new(ErrorCode::PayloadTooLarge, text)
    })
}
