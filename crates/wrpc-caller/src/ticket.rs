//! The right and duty to complete one call. Completions go to the sink, or directly to a
//! thread that waits.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use encarno_wrpc::{Error, ErrorCode, Outcome};
use tokio::sync::Notify;

use crate::completion::{Completion, Reply, Sink};
use crate::in_flight::{InFlight, Permit};
use crate::lock;
use crate::waiting::{Expected, Waiters};

/// Completions of an IO thread that weren't handed over yet. The sink is called once for
/// all completions of a round of tasks.
pub(crate) struct Completions {
    sink: Arc<dyn Sink>,
    in_flight: Arc<InFlight>,
    waiters: Arc<Waiters>,
    completed: Mutex<Vec<Completion>>,
    arrived: Notify,
}

impl Completions {
    pub(crate) fn new(
        sink: Arc<dyn Sink>,
        in_flight: Arc<InFlight>,
        waiters: Arc<Waiters>,
    ) -> Arc<Self> {
        Arc::new(Self {
            sink,
            in_flight,
            waiters,
            completed: Mutex::default(),
            arrived: Notify::new(),
        })
    }

    /// The number of calls, of all IO threads, whose completions weren't taken.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.count()
    }

    pub(crate) fn waiters(&self) -> &Waiters {
        &self.waiters
    }

    /// A ticket for one more call; `None` if there are too many.
    pub(crate) fn admit(self: &Arc<Self>, tag: u64, expected: Option<Expected>) -> Option<Ticket> {
        Some(Ticket {
            permit: Some(self.in_flight.permit()?),
            completions: Arc::clone(self),
            tag,
            expected,
            submitted: Instant::now(),
        })
    }

    /// Hands completions over, for ever. The first completion of a round wakes this task,
    /// so it runs after the tasks that were ready at the same time.
    pub(crate) async fn forward(&self) {
        let mut completed = Vec::new();
        loop {
            self.arrived.notified().await;
            std::mem::swap(&mut *lock(&self.completed), &mut completed);
            if !completed.is_empty() {
                self.sink.take(&mut completed);
            }
        }
    }

    fn deliver(&self, expected: Option<Expected>, mut completion: Completion) {
        if let Some(expected) = expected {
            match self.waiters.answer(expected, completion) {
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

/// The right and duty to complete one call. If it is dropped, it completes the call as
/// cancelled, because its client was closed or its IO thread has ended.
pub(crate) struct Ticket {
    /// Present until the call is completed.
    permit: Option<Permit>,
    completions: Arc<Completions>,
    tag: u64,
    expected: Option<Expected>,
    submitted: Instant,
}

impl Ticket {
    pub(crate) fn submitted(&self) -> Instant {
        self.submitted
    }

    pub(crate) fn finish(mut self, outcome: Outcome<Reply>) {
        self.complete(outcome);
    }

    /// Completes a call that was never sent.
    pub(crate) fn fail(mut self, error: Error) {
        self.complete(Outcome::unsent(error));
    }

    fn complete(&mut self, outcome: Outcome<Reply>) {
        if let Some(permit) = self.permit.take() {
            let completion = Completion {
                tag: self.tag,
                submitted: self.submitted,
                outcome,
                _permit: permit,
            };
            self.completions.deliver(self.expected, completion);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.permit.is_none() {
            return;
        }
        self.complete(Outcome::unsent(if std::thread::panicking() {
            Error::new(ErrorCode::Internal, "a bug in the caller ended the call")
        } else {
            Error::new(ErrorCode::Cancelled, "the call was cancelled")
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::Completions;
    use crate::completion::{Completion, Sink};
    use crate::in_flight::InFlight;
    use crate::lock;
    use crate::waiting::Waiters;

    #[derive(Default)]
    struct Kept(Mutex<Vec<Completion>>);

    impl Sink for Kept {
        fn take(&self, completed: &mut Vec<Completion>) {
            lock(&self.0).append(completed);
        }
    }

    #[test]
    fn calls_beyond_the_bound_are_refused_until_others_were_taken() {
        let kept = Arc::new(Kept::default());
        let in_flight = Arc::new(InFlight::new(3));
        let sink = Arc::clone(&kept) as Arc<dyn Sink>;
        let completions = Completions::new(sink, in_flight, Arc::new(Waiters::default()));
        let admit = || completions.admit(7, None);
        let tickets: Vec<_> = (0..3).filter_map(|_| admit()).collect();
        assert_eq!(tickets.len(), 3);
        assert!(admit().is_none(), "a fourth one in flight");
        drop(tickets);
        assert!(admit().is_none(), "they are done and weren't taken");
        kept.take(&mut lock(&completions.completed));
        assert!(admit().is_none(), "they are with the sink");
        lock(&kept.0).truncate(1);
        let again: Vec<_> = (0..3).filter_map(|_| admit()).collect();
        assert_eq!(again.len(), 2);
        assert_eq!(completions.in_flight(), 3, "the refused ones left nothing");
    }
}
