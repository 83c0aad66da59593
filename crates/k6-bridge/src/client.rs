//! A client: one connection, opened at the first call, and the calls in flight
//! over it. All of it but submitting happens on the client's IO thread.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::nats::{Connection, Outcome};
use encarno_wrpc::{Error, ErrorCode};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use slab::Slab;
use tokio::task::AbortHandle;

use crate::bridge::Bridge;
use crate::completion::{Completion, Completions, Ticket};
use crate::io_thread::{Command, IoThread};
use crate::lock;
use crate::options::Options;
use crate::waiting::Expected;

/// With more calls in flight than this a wake-up serves several of them, and
/// the queue is the cheaper way.
const WAIT_CALLS_MAX: usize = 2;

/// As many calls are in flight as may be.
#[derive(Debug)]
pub(crate) struct TooManyCalls;

pub(crate) struct Client {
    options: Options,
    thread: Arc<IoThread>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    link: Link,
    calls: Slab<Option<AbortHandle>>,
}

/// All calls that come while a connection is made wait for that one attempt.
type Attempt = Shared<BoxFuture<'static, Result<Connection, Error>>>;

#[derive(Default)]
enum Link {
    /// Not connected yet, or the last attempt failed: the next call tries.
    #[default]
    None,
    Connecting(Attempt),
    Up(Connection),
    Closed,
}

/// A call on its way to the IO thread.
pub(crate) struct Call {
    client: Arc<Client>,
    ticket: Ticket,
    params: Bytes,
    deadline: Instant,
}

impl Client {
    pub(crate) fn new(options: Options, thread: Arc<IoThread>) -> Self {
        Self {
            options,
            thread,
            state: Mutex::default(),
        }
    }

    pub(crate) fn is_of(&self, bridge: &Bridge) -> bool {
        Arc::ptr_eq(self.completions(), bridge.completions())
    }

    /// Submits a call.
    pub(crate) fn submit(
        self: &Arc<Self>,
        tag: u64,
        params: Bytes,
        timeout: Duration,
    ) -> Result<(), TooManyCalls> {
        let call = self.call(tag, params, timeout, None)?;
        self.thread.push(Command::Call(call));
        Ok(())
    }

    /// Submits a call and, where few are in flight, waits for it, for a moment.
    /// `None`: the completion will come by the queue.
    pub(crate) fn submit_and_wait(
        self: &Arc<Self>,
        tag: u64,
        params: Bytes,
        timeout: Duration,
    ) -> Result<Option<Completion>, TooManyCalls> {
        let completions = self.completions();
        let expected = match completions.in_flight() < WAIT_CALLS_MAX {
            true => completions.waiters().enter(),
            false => None,
        };
        let Some(expected) = expected else {
            return self.submit(tag, params, timeout).map(|()| None);
        };
        let call = self.call(tag, params, timeout, Some(expected));
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

    /// Ends all calls and the connection.
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
        lock(&self.state).link = Link::Closed;
    }

    fn completions(&self) -> &Arc<Completions> {
        self.thread.outbox().completions()
    }

    fn call(
        self: &Arc<Self>,
        tag: u64,
        params: Bytes,
        timeout: Duration,
        expected: Option<Expected>,
    ) -> Result<Call, TooManyCalls> {
        let ticket = self.thread.outbox().admit(tag, expected);
        let ticket = ticket.ok_or(TooManyCalls)?;
        let deadline = ticket.submitted + timeout;
        Ok(Call {
            client: Arc::clone(self),
            ticket,
            params,
            deadline,
        })
    }

    async fn connection(self: &Arc<Self>) -> Result<Connection, Error> {
        let attempt = {
            let mut state = lock(&self.state);
            match &state.link {
                Link::Up(connection) => return Ok(connection.clone()),
                Link::Connecting(attempt) => attempt.clone(),
                Link::Closed => return Err(closed()),
                Link::None => {
                    let attempt = self.connect();
                    state.link = Link::Connecting(attempt.clone());
                    attempt
                }
            }
        };
        attempt.await
    }

    /// The attempt goes on when the calls that wait for it give up.
    fn connect(self: &Arc<Self>) -> Attempt {
        let client = Arc::clone(self);
        let attempt = tokio::spawn(async move {
            let connected = Connection::connect(&client.options.nats).await;
            let mut state = lock(&client.state);
            if !matches!(state.link, Link::Closed) {
                state.link = match &connected {
                    Ok(connection) => Link::Up(connection.clone()),
                    Err(_) => Link::None,
                };
            }
            connected
        });
        let ended = |_| Error::new(ErrorCode::Internal, "the attempt to connect was ended");
        attempt
            .map(move |joined| joined.map_err(ended).flatten())
            .boxed()
            .shared()
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
        if matches!(state.link, Link::Closed) {
            drop(state);
            return self.ticket.fail(closed());
        }
        let key = state.calls.insert(None);
        let entry = Entry {
            client: self.client,
            key,
        };
        let task = tokio::spawn(async move {
            let outcome = call(&entry.client, self.params, self.deadline).await;
            self.ticket.finish(outcome);
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

async fn call(client: &Arc<Client>, params: Bytes, deadline: Instant) -> Outcome {
    let connected = match client.connection().now_or_never() {
        Some(connected) => connected,
        None => tokio::time::timeout_at(deadline.into(), client.connection())
            .await
            .unwrap_or_else(|_| {
                Err(Error::new(
                    ErrorCode::Timeout,
                    format!(
                        "the call timed out: there was no connection to NATS at {} yet",
                        client.options.nats.peers()
                    ),
                ))
            }),
    };
    match connected {
        Ok(connection) => {
            let function = client.options.function.clone();
            connection.call(function, params, deadline).await
        }
        Err(error) => Outcome {
            result: Err(error),
            timing: encarno_wrpc::nats::Timing {
                finished: Some(Instant::now()),
                ..Default::default()
            },
            traffic: encarno_wrpc::nats::Traffic::default(),
        },
    }
}
