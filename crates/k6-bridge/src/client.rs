//! A client: its link, and the calls in flight over it. All of it but submitting
//! happens on the client's IO thread.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::{Error, ErrorCode};
use slab::Slab;
use tokio::task::AbortHandle;

use crate::bridge::Bridge;
use crate::completion::{Completion, Completions, Ticket};
use crate::http;
use crate::io_thread::{Command, IoThread};
use crate::link::Link;
use crate::lock;
use crate::waiting::Expected;

/// With more calls in flight than this a wake-up serves several of them, and
/// the queue is the cheaper way.
const WAIT_CALLS_MAX: usize = 2;

/// As many calls are in flight as may be.
#[derive(Debug)]
pub(crate) struct TooManyCalls;

pub(crate) struct Client {
    thread: Arc<IoThread>,
    state: Mutex<State>,
}

struct State {
    /// `None` when the client is closed.
    link: Option<Arc<Link>>,
    calls: Slab<Option<AbortHandle>>,
}

/// A call on its way to the IO thread.
pub(crate) struct Call {
    client: Arc<Client>,
    ticket: Ticket,
    work: Work,
    deadline: Instant,
}

/// What is to be called.
pub(crate) enum Work {
    /// `blast`, with these parameters.
    Blast(Bytes),
    /// An HTTP request.
    Http(Box<http::Request>),
}

impl Client {
    /// A client of a link that is used on that thread.
    pub(crate) fn new(link: Arc<Link>, thread: Arc<IoThread>) -> Self {
        Self {
            thread,
            state: Mutex::new(State {
                link: Some(link),
                calls: Slab::new(),
            }),
        }
    }

    pub(crate) fn is_of(&self, bridge: &Bridge) -> bool {
        Arc::ptr_eq(self.completions(), bridge.completions())
    }

    /// Submits a call.
    pub(crate) fn submit(
        self: &Arc<Self>,
        tag: u64,
        work: Work,
        timeout: Duration,
    ) -> Result<(), TooManyCalls> {
        let call = self.call(tag, work, timeout, None)?;
        self.thread.push(Command::Call(call));
        Ok(())
    }

    /// Submits a call and, where few are in flight, waits for it, for a moment.
    /// `None`: the completion will come by the queue.
    pub(crate) fn submit_and_wait(
        self: &Arc<Self>,
        tag: u64,
        work: Work,
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
        let call = self.call(tag, work, timeout, Some(expected));
        let call = call.inspect_err(|_| {
            completions.waiters().leave(expected);
        })?;
        self.thread.push_and_wait(call, expected);
        Ok(completions.take_at(expected))
    }

    /// Ends the calls that were submitted so far.
    pub(crate) fn cancel(self: &Arc<Self>) {
        self.thread.push(Command::Cancel(Arc::clone(self)));
    }

    /// Ends all calls, and the link unless others share it.
    pub(crate) fn close(self: &Arc<Self>) {
        self.thread.push(Command::Close(Arc::clone(self)));
    }

    pub(crate) fn cancel_now(&self) {
        for (_, call) in &lock(&self.state).calls {
            if let Some(call) = call {
                call.abort();
            }
        }
    }

    pub(crate) fn close_now(&self) {
        self.cancel_now();
        let link = lock(&self.state).link.take();
        drop(link);
    }

    fn completions(&self) -> &Arc<Completions> {
        self.thread.outbox().completions()
    }

    fn call(
        self: &Arc<Self>,
        tag: u64,
        work: Work,
        timeout: Duration,
        expected: Option<Expected>,
    ) -> Result<Call, TooManyCalls> {
        let ticket = self.thread.outbox().admit(tag, expected);
        let ticket = ticket.ok_or(TooManyCalls)?;
        let deadline = ticket.submitted + timeout;
        Ok(Call {
            client: Arc::clone(self),
            ticket,
            work,
            deadline,
        })
    }
}

fn closed() -> Error {
    Error::new(ErrorCode::Cancelled, "the client is closed")
}

impl Call {
    /// Runs the call as a task of this thread.
    pub(crate) fn start(self) {
        let client = Arc::clone(&self.client);
        let mut state = lock(&client.state);
        let Some(link) = state.link.clone() else {
            drop(state);
            return self.ticket.fail(closed());
        };
        let key = state.calls.insert(None);
        let entry = Entry {
            client: self.client,
            key,
        };
        let task = tokio::spawn(async move {
            match self.work {
                Work::Blast(params) => {
                    let outcome = link.call(params, self.deadline).await;
                    self.ticket.finish(outcome);
                }
                // Few calls are this large: they take the memory apart.
                Work::Http(request) => {
                    let http::Request {
                        head,
                        body,
                        reading,
                    } = *request;
                    let request = Box::pin(link.http(head, body, self.deadline));
                    let outcome = request.await;
                    Box::pin(http::complete(outcome, reading, self.ticket)).await;
                }
            }
            drop(entry);
        });
        state.calls[key] = Some(task.abort_handle());
    }
}

/// The place of a call among those in flight: empty when the task has ended,
/// whichever way.
struct Entry {
    client: Arc<Client>,
    key: usize,
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.client.state).calls.try_remove(self.key);
    }
}
