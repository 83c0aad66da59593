//! A client: its link, and the calls in flight over it. Everything except submission runs
//! on the client's IO thread.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use encarno_wrpc::{Error, ErrorCode};
use slab::Slab;
use tokio::task::AbortHandle;

use crate::call::Work;
use crate::completion::Completion;
use crate::io_thread::{IoThread, Job};
use crate::link::{Function, Link};
use crate::lock;
use crate::ticket::{Completions, Ticket};
use crate::waiting::Expected;

/// With more calls in flight than this, one wake-up serves several of them, so the sink
/// is cheaper than waiting.
const WAIT_CALLS_MAX: usize = 2;

/// The error if too many calls are in flight.
#[derive(Debug)]
pub struct TooManyCalls;

/// Makes calls over one link.
pub struct Client {
    thread: Arc<IoThread>,
    state: Mutex<ClientState>,
}

struct ClientState {
    /// `None` if the client is closed.
    link: Option<Arc<Link>>,
    calls: Slab<Option<AbortHandle>>,
}

impl Client {
    /// A client of a link, which is used on this thread.
    pub(crate) fn new(link: Arc<Link>, thread: Arc<IoThread>) -> Self {
        Self {
            thread,
            state: Mutex::new(ClientState {
                link: Some(link),
                calls: Slab::new(),
            }),
        }
    }

    /// A function of an interface, for this client. The interface is empty for a function
    /// of the component itself.
    pub fn function(&self, instance: &str, name: &str) -> Result<Function, Error> {
        let link = lock(&self.state).link.clone();
        link.ok_or_else(closed)?.function(instance, name)
    }

    /// Submits work, without blocking. Its completion, with this tag, goes to the sink
    /// after `timeout` at the latest.
    pub fn submit(
        self: &Arc<Self>,
        tag: u64,
        work: impl Work,
        timeout: Duration,
    ) -> Result<(), TooManyCalls> {
        let job = self.job(tag, work, timeout, None)?;
        self.thread.push(job);
        Ok(())
    }

    /// Submits work. If few calls are in flight, waits for it for a moment. `None` means
    /// that the completion will go to the sink.
    pub fn submit_and_wait(
        self: &Arc<Self>,
        tag: u64,
        work: impl Work,
        timeout: Duration,
    ) -> Result<Option<Completion>, TooManyCalls> {
        let completions = self.completions();
        let expected = match completions.in_flight() < WAIT_CALLS_MAX {
            true => completions.waiters().enter(),
            false => None,
        };
        let Some(expected) = expected else {
            return self.submit(tag, work, timeout).map(|()| None);
        };
        let job = self.job(tag, work, timeout, Some(expected));
        let job = job.inspect_err(|_| {
            completions.waiters().leave(expected);
        })?;
        self.thread.push_and_wait(job, expected);
        Ok(completions.waiters().leave(expected))
    }

    /// Cancels the calls that were submitted so far.
    pub fn cancel(self: &Arc<Self>) {
        let client = Arc::clone(self);
        self.thread.push(Box::new(move || client.cancel_now()));
    }

    /// Cancels all calls, and closes the link unless other clients share it.
    pub fn close(self: &Arc<Self>) {
        let client = Arc::clone(self);
        self.thread.push(Box::new(move || {
            client.cancel_now();
            let link = lock(&client.state).link.take();
            drop(link);
        }));
    }

    fn cancel_now(&self) {
        for (_, call) in &lock(&self.state).calls {
            if let Some(call) = call {
                call.abort();
            }
        }
    }

    fn completions(&self) -> &Arc<Completions> {
        self.thread.completions()
    }

    /// The job of the IO thread for a call.
    fn job(
        self: &Arc<Self>,
        tag: u64,
        work: impl Work,
        timeout: Duration,
        expected: Option<Expected>,
    ) -> Result<Job, TooManyCalls> {
        let ticket = self.completions().admit(tag, expected);
        let ticket = ticket.ok_or(TooManyCalls)?;
        let client = Arc::clone(self);
        Ok(Box::new(move || client.start(ticket, work, timeout)))
    }

    /// Runs a call as a task of this thread.
    fn start(self: Arc<Self>, ticket: Ticket, work: impl Work, timeout: Duration) {
        let mut state = lock(&self.state);
        let Some(link) = state.link.clone() else {
            drop(state);
            return ticket.fail(closed());
        };
        let key = state.calls.insert(None);
        let in_flight = StartedCall {
            client: Arc::clone(&self),
            key,
        };
        let deadline = ticket.submitted() + timeout;
        let task = tokio::spawn(async move {
            let outcome = work.run(link, deadline).await;
            ticket.finish(outcome);
            drop(in_flight);
        });
        state.calls[key] = Some(task.abort_handle());
    }
}

fn closed() -> Error {
    Error::new(ErrorCode::Cancelled, "the client is closed")
}

/// The place of a call among those in flight. It is empty when the task has ended in any
/// way.
struct StartedCall {
    client: Arc<Client>,
    key: usize,
}

impl Drop for StartedCall {
    fn drop(&mut self) {
        lock(&self.client.state).calls.try_remove(self.key);
    }
}
