//! A client, which restores its connection when it is lost, until the last handle is
//! dropped.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::connector;
use super::error::{Error, ErrorKind};
use super::event::{Event, Handler};
use super::message::Headers;
use super::options::{Options, ServerAddr};
use super::servers::{Servers, delay};
use super::session::{Milestone, Session};
use super::shared::Shared;
use super::subject::Subject;
use super::subscription::{Deliver, Queue, Room, Subscription, Target, line};
use crate::lock;

/// How long published messages may take to leave after the last handle was dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A client. Clones share its connection, which ends when the last of them is dropped.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    _owner: Arc<Owner>,
}

struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close_when_written();
    }
}

impl Client {
    /// Connects to one of the servers, trying each once, with a subscription to `subject`
    /// from the first moment on. `events` gets later events.
    pub async fn connect(
        options: Options,
        subject: &str,
        deliver: Deliver,
        events: Handler,
    ) -> Result<Self, Error> {
        let servers = Servers::new(&options.servers, &options.told);
        let attempts = servers.len();
        let shared = Arc::new(Shared::new(servers, events));
        lock(&shared.subscriptions).add(subject.to_owned(), Target::Deliver(deliver));
        let mut worst = Error::new(ErrorKind::Io, "there is no server to connect to");
        for attempt in 0..attempts {
            let server = lock(&shared.servers).next();
            let Some(server) = server else { break };
            match connector::connect(&options, &server, &shared).await {
                Ok(mut session) => {
                    begin(&shared, &mut session);
                    tokio::spawn(keep(Arc::clone(&shared), options, session));
                    return Ok(Self {
                        _owner: Arc::new(Owner(Arc::clone(&shared))),
                        shared,
                    });
                }
                Err(error) if attempt == 0 || tells_more(error.kind, worst.kind) => worst = error,
                Err(_) => {}
            }
        }
        Err(worst)
    }

    /// The servers that other servers have announced.
    pub fn told(&self) -> Vec<ServerAddr> {
        lock(&self.shared.servers).told()
    }

    /// Stops restoring the connection when it is lost, because another client has taken
    /// over.
    pub fn retire(&self) {
        self.shared.retire();
    }

    /// The largest payload of one message that the server accepts, headers included.
    pub fn max_payload(&self) -> usize {
        self.shared.max_payload()
    }

    /// Publishes a message. This waits until there is room for the message, but not until
    /// it is sent. Subjects must be valid, see [`Subject::is_valid`].
    pub async fn publish(
        &self,
        subject: &Subject,
        reply: Option<&Subject>,
        headers: Option<&Headers>,
        payload: Bytes,
    ) -> Result<(), Error> {
        let length = headers.map_or(0, |headers| headers.raw().len() + 2) + payload.len();
        let max = self.max_payload();
        if length > max {
            let text = format!("a message of {length} bytes: the server takes {max}");
            return Err(Error::new(ErrorKind::PayloadTooLarge, text));
        }
        let reply = reply.map(Subject::as_str);
        let mut payload = Some(payload);
        poll_fn(|context| {
            let shared = &self.shared;
            shared.poll_publish(subject, reply, headers, &mut payload, context)
        })
        .await
    }

    /// Subscribes. With a `group`, the members of the group share the messages.
    pub fn subscribe(
        &self,
        subject: &Subject,
        group: Option<&str>,
        room: Room,
    ) -> Result<Subscription, Error> {
        let words = match group {
            Some(group) => format!("{subject} {group}"),
            None => subject.to_string(),
        };
        let queue = Queue::new(room);
        let target = Target::Queue(Arc::clone(&queue));
        let sid = lock(&self.shared.subscriptions).add(words.clone(), target);
        let owner = Arc::clone(&self.shared);
        let subscription = Subscription { owner, sid, queue };
        self.shared.put_line(&line(&words, sid))?;
        Ok(subscription)
    }

    /// Tells the server to send no more messages of a subscription. Messages that it has
    /// sent by then arrive before the answer to a [`Client::flush`]; then the
    /// subscription can be closed.
    pub fn unsubscribe(&self, sid: u64) {
        // A closed connection has no subscriptions.
        let _ = self.shared.put_line(&format!("UNSUB {sid}\r\n"));
    }

    /// Waits until the server has handled everything that was published before.
    pub async fn flush(&self) -> Result<(), Error> {
        let flushed = self.shared.flush()?;
        flushed.await.map_err(|_| {
            let text = "the connection was lost before the server had handled all";
            Error::new(ErrorKind::Closed, text)
        })
    }
}

/// Refusals are reported after the event that the connection is up.
fn begin(shared: &Shared, session: &mut Session) {
    shared.up();
    for text in session.take_refusals() {
        (shared.events)(Event::Refused(text));
    }
}

/// The more informative one of two failures.
fn tells_more(one: ErrorKind, other: ErrorKind) -> bool {
    let rank = |kind| match kind {
        ErrorKind::Authentication => 4,
        ErrorKind::Tls => 3,
        ErrorKind::Protocol => 2,
        ErrorKind::Io | ErrorKind::Resolve | ErrorKind::PayloadTooLarge | ErrorKind::Closed => 1,
        ErrorKind::TimedOut => 0,
    };
    rank(one) > rank(other)
}

/// Closes the client whatever ends the task, so that nobody waits for it.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.closed();
    }
}

/// Drives a session, and makes another one when it is lost.
async fn keep(shared: Arc<Shared>, options: Options, session: Session) {
    let end = End(shared);
    let shared = &*end.0;
    let mut current = Some(session);
    while let Some(mut session) = current {
        let milestone = {
            let closing = async {
                shared.closing.notified().await;
                tokio::time::sleep(CLOSE_TIMEOUT).await;
            };
            tokio::select! {
                biased;
                milestone = poll_fn(|context| session.poll(shared, context)) => milestone,
                () = closing => return,
            }
        };
        drop(session);
        let Milestone::Lost(error) = milestone else {
            return;
        };
        shared.down();
        (shared.events)(Event::Disconnected(error.message));
        if shared.is_last() {
            return;
        }
        current = tokio::select! {
            biased;
            () = shared.closing.notified() => return,
            restored = restore(shared, &options) => restored,
        };
        if let Some(session) = &mut current {
            (shared.events)(Event::Connected);
            begin(shared, session);
        }
    }
}

/// Tries one server after the other. There is a pause after all of them were tried.
async fn restore(shared: &Shared, options: &Options) -> Option<Session> {
    let attempts = options.max_reconnects.unwrap_or(usize::MAX);
    let (mut round, mut left) = (0, 0);
    for _ in 0..attempts {
        if left == 0 {
            round += 1;
            left = lock(&shared.servers).len();
            tokio::time::sleep(delay(round, options.reconnect_delay)).await;
        }
        if shared.is_last() {
            return None;
        }
        left = left.saturating_sub(1);
        let server = lock(&shared.servers).next()?;
        match connector::connect(options, &server, shared).await {
            Ok(session) => return Some(session),
            Err(error) => (shared.events)(Event::Failed(error)),
        }
    }
    None
}
