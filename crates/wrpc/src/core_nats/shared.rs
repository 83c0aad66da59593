//! The state that a client shares with the task that owns its socket.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::error::{Error, ErrorKind};
use super::event::{Event, Handler};
use super::hello::Info;
use super::message::Headers;
use super::options::ServerAddr;
use super::servers::Servers;
use super::subscription::{Subscriptions, Unsubscribe};
use crate::lock;
use crate::outbox::Outbox;

/// With more bytes than this in the outbox, publishers wait.
const OUTBOX_BYTES_MAX: usize = 4 << 20;

pub(super) struct Shared {
    pub(super) events: Handler,
    pub(super) subscriptions: Mutex<Subscriptions>,
    pub(super) servers: Mutex<Servers>,
    /// Notified when the last handle was dropped.
    pub(super) closing: Notify,
    max_payload: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Whole operations, which outlive the connection.
    out: Outbox,
    /// Notified when the server has handled what was put before.
    flushes: Vec<oneshot::Sender<()>>,
    /// The waker of the task, while it waits.
    task: Option<Waker>,
    /// The wakers of those who wait for room in the outbox.
    waiting: Vec<Waker>,
    is_up: bool,
    is_closing: bool,
    is_closed: bool,
    /// Whether a lost connection isn't restored.
    is_retired: bool,
}

/// The next step of the task when it has nothing to write.
pub(super) enum Next {
    /// Wait; the task is woken when there is more.
    Wait,
    /// Write more.
    Write,
    /// End, because there will be no more.
    End,
}

impl Shared {
    pub(super) fn new(servers: Servers, events: Handler) -> Self {
        Self {
            events,
            subscriptions: Mutex::default(),
            servers: Mutex::new(servers),
            closing: Notify::new(),
            max_payload: AtomicUsize::new(0),
            state: Mutex::default(),
        }
    }

    pub(super) fn max_payload(&self) -> usize {
        self.max_payload.load(Ordering::Relaxed)
    }

    /// Takes the introduction of a server.
    pub(super) fn learn(&self, server: &ServerAddr, info: &Info) {
        self.max_payload.store(info.max_payload, Ordering::Relaxed);
        lock(&self.servers).told_by(server, &info.connect_urls);
    }

    /// Puts a message into the outbox when there is room for it.
    pub(super) fn poll_publish(
        &self,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&Headers>,
        payload: &mut Option<Bytes>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return Poll::Ready(Err(closed()));
        }
        if state.out.len() > OUTBOX_BYTES_MAX {
            state.waiting.push(context.waker().clone());
            return Poll::Pending;
        }
        let payload = payload.take().unwrap_or_default();
        put_message(&mut state.out, subject, reply, headers, payload);
        state.wake_task();
        Poll::Ready(Ok(()))
    }

    /// Puts a line into the outbox, even without room.
    pub(super) fn put_line(&self, line: &str) -> Result<(), Error> {
        let mut state = lock(&self.state);
        if state.is_closed {
            return Err(closed());
        }
        state.out.put(line.as_bytes());
        state.wake_task();
        Ok(())
    }

    /// A receiver that resolves when the server has handled what was put before.
    pub(super) fn flush(&self) -> Result<oneshot::Receiver<()>, Error> {
        let mut state = lock(&self.state);
        if !state.is_up {
            return Err(closed());
        }
        let (handled, flushed) = oneshot::channel();
        state.flushes.push(handled);
        state.wake_task();
        Ok(flushed)
    }

    /// Moves all waiting bytes to `writing`, which must be empty, and returns those who
    /// wait until the server has handled them.
    pub(super) fn take(&self, writing: &mut Outbox) -> Vec<oneshot::Sender<()>> {
        let mut state = lock(&self.state);
        std::mem::swap(&mut state.out, writing);
        state.waiting.drain(..).for_each(Waker::wake);
        std::mem::take(&mut state.flushes)
    }

    /// The next step of the task, which has nothing to write or can't write.
    pub(super) fn next(&self, can_write: bool, context: &mut Context<'_>) -> Next {
        let mut state = lock(&self.state);
        let is_empty = state.out.is_done() && state.flushes.is_empty();
        match (is_empty || !can_write, state.is_closing) {
            (true, true) if can_write => Next::End,
            (true, _) => {
                state.task = Some(context.waker().clone());
                Next::Wait
            }
            (false, _) => Next::Write,
        }
    }

    /// Whether a lost connection isn't to be replaced.
    pub(super) fn is_last(&self) -> bool {
        let state = lock(&self.state);
        state.is_closing || state.is_retired
    }

    /// Stops restoring the connection.
    pub(super) fn retire(&self) {
        lock(&self.state).is_retired = true;
    }

    /// Notes that the connection is up.
    pub(super) fn up(&self) {
        lock(&self.state).is_up = true;
    }

    /// Notes that the connection is down, so that sent bytes aren't answered.
    pub(super) fn down(&self) {
        let mut state = lock(&self.state);
        state.is_up = false;
        state.flushes.clear();
    }

    /// Lets the task write everything, and end.
    pub(super) fn close_when_written(&self) {
        let mut state = lock(&self.state);
        state.is_closing = true;
        state.wake_task();
        drop(state);
        self.closing.notify_one();
    }

    /// Notes that there will be no more connections.
    pub(super) fn closed(&self) {
        let mut state = lock(&self.state);
        let was_closed = std::mem::replace(&mut state.is_closed, true);
        let is_wanted = !state.is_closing;
        state.is_up = false;
        state.out = Outbox::default();
        state.flushes.clear();
        state.waiting.drain(..).for_each(Waker::wake);
        drop(state);
        lock(&self.subscriptions).close();
        if !was_closed && is_wanted {
            (self.events)(Event::Closed);
        }
    }
}

impl State {
    fn wake_task(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

impl Unsubscribe for Shared {
    fn unsubscribe(&self, sid: u64) {
        lock(&self.subscriptions).remove(sid);
        // A closed connection has no subscriptions.
        let _ = self.put_line(&format!("UNSUB {sid}\r\n"));
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "there is no connection")
}

fn put_message(
    out: &mut Outbox,
    subject: &str,
    reply: Option<&str>,
    headers: Option<&Headers>,
    payload: Bytes,
) {
    let mut number = itoa::Buffer::new();
    let operation: &[u8] = if headers.is_some() { b"HPUB " } else { b"PUB " };
    out.put(operation);
    out.put(subject.as_bytes());
    out.put(b" ");
    if let Some(reply) = reply {
        out.put(reply.as_bytes());
        out.put(b" ");
    }
    match headers {
        None => {
            out.put(number.format(payload.len()).as_bytes());
            out.put(b"\r\n");
        }
        Some(headers) => {
            let length = headers.raw().len() + 2;
            out.put(number.format(length).as_bytes());
            out.put(b" ");
            out.put(number.format(length + payload.len()).as_bytes());
            out.put(b"\r\n");
            out.put(headers.raw());
            out.put(b"\r\n");
        }
    }
    out.put_bytes(payload);
    out.put(b"\r\n");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use bytes::Bytes;

    use super::{OUTBOX_BYTES_MAX, Servers, Shared};
    use crate::outbox::Outbox;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn whoever_publishes_waits_for_room() {
        const MIB: usize = 1 << 20;
        let shared = Shared::new(Servers::new(&[], &[]), Box::new(|_| ()));
        let woken = Arc::<Count>::default();
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let payload = Bytes::from(vec![0; MIB]);
        let mut publish = || {
            let mut payload = Some(payload.clone());
            let published = shared.poll_publish("a", None, None, &mut payload, &mut context);
            let is_kept = !matches!(published, Poll::Ready(Ok(())));
            assert_eq!(payload.is_some(), is_kept, "it is lost");
            published
        };
        for _ in 0..OUTBOX_BYTES_MAX / MIB {
            assert!(publish().is_ready());
        }
        for _ in 0..10 {
            assert!(publish().is_pending());
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        let mut writing = Outbox::default();
        shared.take(&mut writing);
        assert!(
            writing.len() <= OUTBOX_BYTES_MAX + 2 * MIB,
            "{}",
            writing.len()
        );
        assert_eq!(woken.0.load(Ordering::Relaxed), 10);
        assert!(publish().is_ready());
        shared.closed();
        assert!(matches!(publish(), Poll::Ready(Err(_))));
    }
}
