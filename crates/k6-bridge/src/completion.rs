//! The way back of a call: by the outbox of its IO thread into the queue, from
//! which one reader fetches many completions at once, or straight to a thread
//! that waits for it.
//!
//! Every call that was accepted for submission has exactly one completion,
//! whatever becomes of it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use encarno_wrpc::{Error, ErrorCode, Outcome, Timing, Traffic};
use tokio::sync::Notify;

use crate::http::Response;
use crate::lock;
use crate::waiting::{Expected, Waiters};

/// Calls of a bridge whose completions haven't been fetched. It bounds every
/// queue of the bridge.
pub(crate) const CALLS_MAX: usize = 1 << 20;

/// What became of a call, and when.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) tag: u64,
    pub(crate) error: Option<Error>,
    /// From the submission to each moment. What didn't happen is `None`.
    pub(crate) sent: Option<Duration>,
    pub(crate) accepted: Option<Duration>,
    pub(crate) finished: Duration,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    /// Of an HTTP request.
    pub(crate) response: Option<Box<Response>>,
}

/// The completions of a bridge.
pub(crate) struct Completions {
    queue: Mutex<VecDeque<Completion>>,
    /// An eventfd, written when the queue was empty and no longer is.
    event: File,
    in_flight: AtomicUsize,
    in_flight_max: usize,
    waiters: Waiters,
}

impl Completions {
    /// The bound is [`CALLS_MAX`], but in tests.
    pub(crate) fn new(event: File, in_flight_max: usize) -> Self {
        Self {
            queue: Mutex::default(),
            event,
            in_flight: AtomicUsize::new(0),
            in_flight_max,
            waiters: Waiters::default(),
        }
    }

    pub(crate) fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// Calls whose completions were not taken.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Hands completions to `give`, the oldest first, at most so many. Returns how
    /// many.
    pub(crate) fn take(&self, max: usize, mut give: impl FnMut(usize, Completion)) -> usize {
        let mut queue = lock(&self.queue);
        let count = queue.len().min(max);
        for (index, completion) in queue.drain(..count).enumerate() {
            give(index, completion);
        }
        self.in_flight.fetch_sub(count, Ordering::Relaxed);
        count
    }

    /// Takes the completion that arrived at a place, if one did.
    pub(crate) fn take_at(&self, expected: Expected) -> Option<Completion> {
        let completion = self.waiters.leave(expected)?;
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        Some(completion)
    }

    /// Wakes the reader of the eventfd, though there may be nothing to fetch.
    pub(crate) fn wake(&self) {
        // Fails only if the counter is full: then the reader is awake as it is.
        let _ = (&self.event).write(&1u64.to_ne_bytes());
    }

    fn append(&self, completed: &mut Vec<Completion>) {
        if completed.is_empty() {
            return;
        }
        let mut queue = lock(&self.queue);
        let was_empty = queue.is_empty();
        queue.extend(completed.drain(..));
        drop(queue);
        if was_empty {
            self.wake();
        }
    }
}

/// What an IO thread completed and didn't hand over yet: all that one round of
/// its tasks completes costs one wake-up of the reader.
pub(crate) struct Outbox {
    completions: Arc<Completions>,
    completed: Mutex<Vec<Completion>>,
    arrived: Notify,
}

impl Outbox {
    pub(crate) fn new(completions: Arc<Completions>) -> Self {
        Self {
            completions,
            completed: Mutex::default(),
            arrived: Notify::new(),
        }
    }

    pub(crate) fn completions(&self) -> &Arc<Completions> {
        &self.completions
    }

    /// A ticket for one more call, unless there are too many.
    pub(crate) fn admit(self: &Arc<Self>, tag: u64, expected: Option<Expected>) -> Option<Ticket> {
        let Completions {
            in_flight,
            in_flight_max,
            ..
        } = &*self.completions;
        if in_flight.fetch_add(1, Ordering::Relaxed) >= *in_flight_max {
            in_flight.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Ticket {
            outbox: Arc::clone(self),
            tag,
            expected,
            submitted: Instant::now(),
            is_finished: false,
        })
    }

    /// Hands over what is completed, for ever. This task is woken by the first
    /// completion of a round, and so runs after the tasks that were ready with it.
    pub(crate) async fn forward(&self) {
        let mut completed = Vec::new();
        loop {
            self.arrived.notified().await;
            std::mem::swap(&mut *lock(&self.completed), &mut completed);
            self.completions.append(&mut completed);
        }
    }

    fn deliver(&self, expected: Option<Expected>, mut completion: Completion) {
        if let Some(expected) = expected {
            match self.completions.waiters.answer(expected, completion) {
                Some(back) => completion = back,
                None => return,
            }
        }
        let mut completed = lock(&self.completed);
        completed.push(completion);
        let is_first = completed.len() == 1;
        drop(completed);
        if is_first {
            self.arrived.notify_one();
        }
    }
}

/// The right and the duty to complete one call. Dropped, it completes the call
/// as cancelled: its client was closed, or its IO thread has ended.
pub(crate) struct Ticket {
    outbox: Arc<Outbox>,
    tag: u64,
    expected: Option<Expected>,
    pub(crate) submitted: Instant,
    is_finished: bool,
}

impl Ticket {
    pub(crate) fn finish(self, outcome: Outcome) {
        let error = outcome.result.err();
        self.finish_with(outcome.timing, outcome.traffic, error, None);
    }

    /// Completes an HTTP request.
    pub(crate) fn finish_http(
        self,
        timing: Timing,
        traffic: Traffic,
        result: Result<Response, Error>,
    ) {
        let (response, error) = match result {
            Ok(response) => (Some(response), None),
            Err(error) => (None, Some(error)),
        };
        self.finish_with(timing, traffic, error, response);
    }

    fn finish_with(
        mut self,
        timing: Timing,
        traffic: Traffic,
        error: Option<Error>,
        response: Option<Response>,
    ) {
        let since = |moment: Instant| moment.saturating_duration_since(self.submitted);
        let completion = Completion {
            tag: self.tag,
            error,
            sent: timing.sent.map(since),
            accepted: timing.accepted.map(since),
            finished: since(timing.finished.unwrap_or_else(Instant::now)),
            bytes_sent: traffic.bytes_sent,
            bytes_received: traffic.bytes_received,
            response: response.map(Box::new),
        };
        self.is_finished = true;
        self.outbox.deliver(self.expected, completion);
    }

    /// Completes a call that was never sent.
    pub(crate) fn fail(mut self, error: Error) {
        self.complete_with(error);
    }

    fn complete_with(&mut self, error: Error) {
        self.is_finished = true;
        let completion = Completion {
            tag: self.tag,
            error: Some(error),
            sent: None,
            accepted: None,
            finished: self.submitted.elapsed(),
            bytes_sent: 0,
            bytes_received: 0,
            response: None,
        };
        self.outbox.deliver(self.expected, completion);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        self.complete_with(if std::thread::panicking() {
            Error::new(ErrorCode::Internal, "a fault of the bridge ended the call")
        } else {
            Error::new(ErrorCode::Cancelled, "the call was cancelled")
        });
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::sync::Arc;

    use super::{Completions, Outbox};
    use crate::lock;

    #[test]
    fn calls_beyond_the_bound_are_refused_until_others_were_taken() {
        let event = File::options().write(true).open("/dev/null");
        let completions = Arc::new(Completions::new(event.expect("/dev/null"), 3));
        let outbox = Arc::new(Outbox::new(Arc::clone(&completions)));
        let admit = || outbox.admit(7, None);
        let tickets: Vec<_> = (0..3).filter_map(|_| admit()).collect();
        assert_eq!(tickets.len(), 3);
        assert!(admit().is_none(), "a fourth one in flight");
        drop(tickets);
        assert!(admit().is_none(), "they are done and weren't taken");
        completions.append(&mut lock(&outbox.completed));
        assert_eq!(completions.take(2, |_, _| {}), 2);
        let again: Vec<_> = (0..3).filter_map(|_| admit()).collect();
        assert_eq!(again.len(), 2);
        assert_eq!(completions.in_flight(), 3, "the refused ones left nothing");
    }
}
