//! A connection that many calls share, at its caller's end.
//!
//! One task owns the socket. Calls put messages into the outbox and wake the task, which
//! sends all of them in one write. The task hands arriving messages to the calls.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use slotmap::{DefaultKey, Key as _, KeyData, SlotMap};
use tokio::io::AsyncReadExt as _;

use super::READ_BYTES;
use super::connector::Connector;
use super::deliver::deliver;
use super::frames::FunctionNames;
use super::messages::{self, CHUNK_BYTES_MAX, HEAD_BYTES, Kind};
use crate::outbox::Outbox;
use crate::pending_call::{Dispatch, PendingCall};
use crate::socket::Stream;
use crate::task::AbortOnDrop;
use crate::{Error, ErrorCode, Outcome, Traffic, lock};

/// With more bytes than this in the outbox, calls wait before they add more.
const OUTBOX_BYTES_MAX: usize = 4 << 20;

#[derive(Clone)]
pub(super) struct SharedConnection {
    shared: Arc<CallerEnd>,
    // When the last clone is dropped, the task ends, which closes the socket.
    _task: Arc<AbortOnDrop>,
}

struct CallerEnd {
    state: Mutex<CallerState>,
    connector: Arc<Connector>,
}

#[derive(Default)]
struct CallerState {
    out: Outbox,
    /// The waker of the task, while it waits.
    task: Option<Waker>,
    calls: SlotMap<DefaultKey, PendingCall>,
    /// The wakers of calls that wait for room in the outbox.
    waiting: Vec<Waker>,
    is_going_away: bool,
    lost: Option<Error>,
}

impl SharedConnection {
    /// A connection over a stream on which both prefaces were exchanged.
    pub(super) fn new(stream: Stream, connector: Arc<Connector>) -> Self {
        let shared = Arc::new(CallerEnd {
            state: Mutex::default(),
            connector,
        });
        let mut socket = Socket {
            stream,
            inbox: BytesMut::new(),
            writing: Outbox::default(),
        };
        let task = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                let error = poll_fn(|context| shared.poll(&mut socket, context)).await;
                shared.lose(error);
            }
        });
        Self {
            shared,
            _task: Arc::new(AbortOnDrop(task)),
        }
    }

    /// Whether calls can be made over it.
    pub(super) fn is_usable(&self) -> bool {
        let state = lock(&self.shared.state);
        !state.is_going_away && state.lost.is_none()
    }

    /// Makes a call. The result is the outcome, or an error no later than `deadline`.
    pub(super) async fn call(
        &self,
        function: &FunctionNames,
        params: Bytes,
        deadline: Instant,
    ) -> Outcome {
        let place = self.place(PendingCall::default());
        let mut sent = Dispatch::default();
        let waited = {
            let answered = async {
                place.send(function, params, &mut sent).await?;
                place.finished().await;
                Ok(())
            };
            tokio::time::timeout_at(deadline.into(), answered).await
        };
        let mut call = place.close();
        let (result, timing) = call.ended(waited, &sent);
        Outcome {
            result,
            timing,
            traffic: Traffic {
                bytes_sent: sent.bytes,
                bytes_received: call.bytes_received,
            },
        }
    }

    pub(super) fn place(&self, call: PendingCall) -> CallSlot {
        CallSlot {
            key: lock(&self.shared.state).calls.insert(call),
            connection: self.clone(),
        }
    }
}

/// The place of a call among those in flight. It is given back however the call ends,
/// also by being dropped.
pub(super) struct CallSlot {
    connection: SharedConnection,
    key: DefaultKey,
}

impl CallSlot {
    /// Sends the call with all of its parameters.
    pub(super) async fn send(
        &self,
        function: &FunctionNames,
        mut params: Bytes,
        sent: &mut Dispatch,
    ) -> Result<(), Error> {
        let names = function.names();
        let first = params.split_to(params.len().min(CHUNK_BYTES_MAX - names.len()));
        let kind = match params.is_empty() {
            true => Kind::Call,
            false => Kind::CallBegins,
        };
        sent.bytes = (HEAD_BYTES + names.len() + first.len()) as u64;
        self.put(kind, names, first).await?;
        sent.at = Some(Instant::now());
        if kind == Kind::CallBegins {
            self.wait(|call| call.accepted.is_some() || call.is_finished())
                .await;
            loop {
                let chunk = params.split_to(params.len().min(CHUNK_BYTES_MAX));
                let is_end = chunk.is_empty();
                sent.bytes += (HEAD_BYTES + chunk.len()) as u64;
                self.put(Kind::Params, &[], chunk).await?;
                if is_end || self.wait(PendingCall::is_finished).now() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Waits for the end of the call. The end itself is in its place.
    pub(super) async fn finished(&self) {
        self.wait(PendingCall::is_finished).await;
    }

    /// Reads the call.
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut PendingCall) -> T) -> Option<T> {
        let mut state = lock(&self.shared().state);
        state.calls.get_mut(self.key).map(look)
    }

    fn shared(&self) -> &CallerEnd {
        &self.connection.shared
    }

    /// Puts a message into the outbox as soon as there is room in it.
    pub(super) async fn put(&self, kind: Kind, beginning: &[u8], rest: Bytes) -> Result<(), Error> {
        let mut rest = Some(rest);
        poll_fn(|context| {
            let mut state = lock(&self.shared().state);
            if let Some(error) = &state.lost {
                return Poll::Ready(Err(error.clone()));
            }
            if state.out.len() > OUTBOX_BYTES_MAX {
                state.waiting.push(context.waker().clone());
                return Poll::Pending;
            }
            let rest = rest.take().unwrap_or_default();
            self.put_now(&mut state, kind, beginning, rest);
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Puts a small message into the outbox, if the call's response is still arriving and
    /// the connection exists.
    pub(super) fn say(&self, kind: Kind, payload: &[u8]) {
        let mut state = lock(&self.shared().state);
        let call = state.calls.get(self.key);
        if state.lost.is_none() && call.is_some_and(PendingCall::is_answered) {
            self.put_now(&mut state, kind, payload, Bytes::new());
        }
    }

    fn put_now(&self, state: &mut CallerState, kind: Kind, beginning: &[u8], rest: Bytes) {
        let bytes = HEAD_BYTES + beginning.len() + rest.len();
        messages::put(&mut state.out, kind, self.number(), beginning, rest);
        self.shared().connector.counters().sent(bytes);
        state.wake_task();
    }

    fn wait<F: FnMut(&PendingCall) -> bool>(&self, ready: F) -> Wait<'_, F> {
        Wait { place: self, ready }
    }

    /// The call's number on the wire.
    fn number(&self) -> u64 {
        self.key.data().as_ffi()
    }

    fn close(self) -> PendingCall {
        self.take().unwrap_or_default()
    }

    fn take(&self) -> Option<PendingCall> {
        let mut state = lock(&self.shared().state);
        let call = state.calls.remove(self.key)?;
        if !call.is_finished() && state.lost.is_none() {
            self.put_now(&mut state, Kind::Cancel, &[], Bytes::new());
        }
        Some(call)
    }
}

impl Drop for CallSlot {
    fn drop(&mut self) {
        self.take();
    }
}

/// Waits until `ready` is true for a call.
struct Wait<'a, F> {
    place: &'a CallSlot,
    ready: F,
}

impl<F: FnMut(&PendingCall) -> bool> Wait<'_, F> {
    /// Whether it is true already.
    fn now(&mut self) -> bool {
        let state = lock(&self.place.shared().state);
        state.calls.get(self.place.key).is_none_or(&mut self.ready)
    }
}

impl<F: FnMut(&PendingCall) -> bool + Unpin> Future for Wait<'_, F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut state = lock(&this.place.shared().state);
        match state.calls.get_mut(this.place.key) {
            Some(call) if !(this.ready)(call) => {
                call.wake_by(context.waker());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        }
    }
}

impl CallerState {
    fn wake_task(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }
}

/// The state that only the task has.
struct Socket {
    stream: Stream,
    inbox: BytesMut,
    /// Bytes that are being written, without the lock, while calls fill the outbox.
    writing: Outbox,
}

impl CallerEnd {
    /// Writes and reads until the connection is lost.
    fn poll(&self, socket: &mut Socket, context: &mut Context<'_>) -> Poll<Error> {
        loop {
            if socket.writing.is_done() {
                let mut state = lock(&self.state);
                std::mem::swap(&mut state.out, &mut socket.writing);
                state.waiting.drain(..).for_each(Waker::wake);
            }
            let mut is_stuck = socket.writing.is_done();
            if !is_stuck {
                match socket.writing.poll_write(&mut socket.stream, context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(self.lost(&error)),
                    Poll::Pending => is_stuck = true,
                }
            }
            socket.inbox.reserve(READ_BYTES / 2);
            match pin!(socket.stream.read_buf(&mut socket.inbox)).poll(context) {
                Poll::Ready(Ok(0)) => return Poll::Ready(self.lost(&"the receiver closed it")),
                Poll::Ready(Ok(_)) => match self.deliver(&mut socket.inbox) {
                    Ok(()) => continue,
                    Err(error) => return Poll::Ready(error),
                },
                Poll::Ready(Err(error)) => return Poll::Ready(self.lost(&error)),
                Poll::Pending => {}
            }
            if is_stuck {
                let mut state = lock(&self.state);
                if !socket.writing.is_done() || state.out.is_done() {
                    state.task = Some(context.waker().clone());
                    return Poll::Pending;
                }
            }
        }
    }

    /// Hands messages to their calls.
    fn deliver(&self, inbox: &mut BytesMut) -> Result<(), Error> {
        let now = Instant::now();
        let mut state = lock(&self.state);
        while let Some(message) = messages::take(inbox)? {
            let bytes = HEAD_BYTES + message.payload.len();
            self.connector.counters().received(bytes);
            if message.kind == Kind::GoAway {
                state.is_going_away = true;
                continue;
            }
            let key = DefaultKey::from(KeyData::from_ffi(message.call));
            // If the call doesn't exist, the message is late, and its caller has gone.
            if let Some(call) = state.calls.get_mut(key) {
                deliver(call, message, now)?;
            }
        }
        Ok(())
    }

    fn lost(&self, reason: &dyn std::fmt::Display) -> Error {
        let text = format!(
            "the connection to {} was lost: {reason}",
            self.connector.peer()
        );
        Error::new(ErrorCode::ConnectionLost, text)
    }

    /// Ends all calls.
    fn lose(&self, error: Error) {
        let now = Instant::now();
        let mut state = lock(&self.state);
        if !state.is_going_away {
            self.connector.lost();
        }
        for call in state.calls.values_mut() {
            let mut error = error.clone();
            if call.accepted.is_some() && error.code == ErrorCode::ConnectionLost {
                error.code = ErrorCode::ReceiverGone;
                error.message = format!("the receiver accepted the call and is gone: {error}");
            }
            call.fail(error, now);
        }
        state.waiting.drain(..).for_each(Waker::wake);
        state.out = Outbox::default();
        state.lost = Some(error);
    }
}
