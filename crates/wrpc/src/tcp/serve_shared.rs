//! A connection that many calls share, from the receiver's end.
//!
//! As at the other end, one task has the socket; answers are put into an outbox by
//! whichever thread has them.

use std::collections::HashMap;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use slotmap::{DefaultKey, SlotMap};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep, timeout};

use super::READ_BYTES;
use super::frames;
use super::messages::{self, Kind, Message};
use super::outbox::Outbox;
use super::respond_shared::SharedResponder;
use super::serve::{Serve, Site};
use super::stream::Stream;
use crate::pending_params::PendingParams;
use crate::serve::{self, Invocation, Parameters};
use crate::streams::{Streams, WINDOW_BYTES};
use crate::value::DecodeError;
use crate::{Error, ErrorCode, lock, tcp};

/// With more than this in the outbox, nothing more is read, and results wait.
pub(super) const OUTBOX_BYTES_MAX: usize = 1 << 20;

/// The connections of a server.
#[derive(Default)]
pub(super) struct Connections(Mutex<SlotMap<DefaultKey, Weak<Shared>>>);

impl Connections {
    /// Asks their callers to make no more calls.
    pub(super) fn go_away(&self) {
        self.each(|state| messages::put(&mut state.out, Kind::GoAway, 0, &[], Bytes::new()));
    }

    /// Lets each of them end when its outbox is empty.
    pub(super) fn close(&self) {
        self.each(|state| state.is_closing = true);
    }

    fn each(&self, change: impl Fn(&mut State)) {
        for connection in lock(&self.0).values().filter_map(Weak::upgrade) {
            let mut state = lock(&connection.state);
            change(&mut state);
            state.wake_task();
        }
    }
}

pub(super) struct Shared {
    pub(super) site: Arc<Site>,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) out: Outbox,
    /// Of the task, while it waits.
    task: Option<Waker>,
    pub(super) calls: HashMap<u64, Served>,
    /// Of answers that wait for room in the outbox.
    pub(super) waiting: Vec<Waker>,
    is_closing: bool,
    /// The connection is gone.
    pub(super) is_lost: bool,
}

/// A call that isn't answered yet.
#[derive(Default)]
pub(super) struct Served {
    /// The rest of its parameters.
    pub(super) params: Option<PendingParams>,
    /// If its parameters or results may have any.
    pub(super) streams: Option<Box<Streams>>,
    /// Waits for its caller to go.
    pub(super) waker: Option<Waker>,
}

impl State {
    fn wake_task(&mut self) {
        if let Some(task) = self.task.take() {
            task.wake();
        }
    }

    pub(super) fn put(&mut self, kind: Kind, call: u64, head: &[u8], payload: Bytes) {
        messages::put(&mut self.out, kind, call, head, payload);
        self.wake_task();
    }

    pub(super) fn put_error(&mut self, call: u64, error: &Error) {
        self.put(
            Kind::Error,
            call,
            &frames::encode_error(error),
            Bytes::new(),
        );
    }

    /// Takes a call out. Whether it was there.
    pub(super) fn remove(&mut self, call: u64) -> bool {
        let removed = self.calls.remove(&call);
        removed.map(|mut served| served.wake()).is_some()
    }
}

impl Served {
    /// Whoever waits finds that the call isn't there any more.
    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        if let Some(params) = &mut self.params {
            params.wake();
        }
        if let Some(streams) = &mut self.streams {
            streams.wake();
        }
    }
}

/// Serves the calls of a connection until it ends.
pub(super) async fn serve(
    site: Arc<Site>,
    stream: Stream,
    inbox: BytesMut,
    serve: &Arc<Serve>,
    _place: OwnedSemaphorePermit,
) -> Result<(), Error> {
    let shared = Arc::new(Shared {
        site: Arc::clone(&site),
        state: Mutex::default(),
    });
    let key = lock(&site.shared.0).insert(Arc::downgrade(&shared));
    let mut socket = Socket {
        stream,
        inbox,
        writing: Outbox::default(),
        stalled: None,
    };
    let ended = poll_fn(|context| shared.poll(&mut socket, serve, context)).await;
    lock(&site.shared.0).remove(key);
    shared.lose();
    if ended.is_ok() {
        let _ = timeout(site.settings.silence_max, socket.stream.shutdown()).await;
    }
    ended
}

/// What the task alone has.
struct Socket {
    stream: Stream,
    inbox: BytesMut,
    writing: Outbox,
    /// When the peer must have moved, while it holds us up.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Shared {
    fn poll(
        self: &Arc<Self>,
        socket: &mut Socket,
        serve: &Arc<Serve>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        // A preface may have brought the first calls along.
        if !socket.inbox.is_empty() {
            self.deliver(socket, serve)?;
        }
        loop {
            let mut is_full = false;
            let mut is_closing = false;
            if socket.writing.is_done() {
                let mut state = lock(&self.state);
                std::mem::swap(&mut state.out, &mut socket.writing);
                state.waiting.drain(..).for_each(Waker::wake);
                is_closing = state.is_closing;
            } else {
                is_full = lock(&self.state).out.len() > OUTBOX_BYTES_MAX;
            }
            if is_closing && socket.writing.is_done() {
                return Poll::Ready(Ok(()));
            }
            let mut is_stuck = socket.writing.is_done();
            if !is_stuck {
                let before = socket.writing.len();
                match socket.writing.poll_write(&mut socket.stream, context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(lost(&error))),
                    Poll::Pending => is_stuck = true,
                }
                if socket.writing.len() < before {
                    socket.stalled = None;
                }
            }
            if !is_full {
                socket.inbox.reserve(READ_BYTES / 2);
                match pin!(socket.stream.read_buf(&mut socket.inbox)).poll(context) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(_)) => {
                        self.deliver(socket, serve)?;
                        continue;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(lost(&error))),
                    Poll::Pending => {}
                }
            }
            if is_stuck {
                let mut state = lock(&self.state);
                if !socket.writing.is_done() || (state.out.is_done() && !state.is_closing) {
                    state.task = Some(context.waker().clone());
                    drop(state);
                    return socket.poll_stalled(&self.site, context);
                }
            }
        }
    }

    /// Hands calls on, and what belongs to them.
    fn deliver(self: &Arc<Self>, socket: &mut Socket, serve: &Arc<Serve>) -> Result<(), Error> {
        while let Some(message) = messages::take(&mut socket.inbox)? {
            socket.stalled = None;
            match message.kind {
                Kind::Call | Kind::CallBegins => {
                    if let Some(invocation) = self.invocation(message)? {
                        serve(invocation);
                    }
                }
                Kind::Params => {
                    let mut state = lock(&self.state);
                    let served = state.calls.get_mut(&message.call);
                    if let Some(params) = served.and_then(|served| served.params.as_mut()) {
                        match message.payload.is_empty() {
                            true => params.end(),
                            false => params.push(&message.payload),
                        }
                    }
                }
                Kind::Body | Kind::Trailers | Kind::Window => {
                    // For a call that isn't there it is late: that was answered.
                    if let Some(served) = lock(&self.state).calls.get_mut(&message.call) {
                        messages::deliver(served.streams.as_deref_mut(), message)?;
                    }
                }
                Kind::Cancel => {
                    lock(&self.state).remove(message.call);
                }
                kind => return Err(frames::violation(format!("a caller that says {kind:?}"))),
            }
        }
        Ok(())
    }

    /// The call of a message, unless it was refused.
    fn invocation(self: &Arc<Self>, message: Message) -> Result<Option<Invocation>, Error> {
        let Message {
            kind,
            call,
            mut payload,
        } = message;
        let names = frames::names_length(&payload)
            .map_err(|error| frames::violation(format!("the names of a call: {error}")))?;
        let names = payload.split_to(names);
        let found = self.site.find(&names);
        let found = found.and_then(|export| Ok((export, self.missing(export, kind, &payload)?)));
        let mut state = lock(&self.state);
        let (export, is_whole) = match found {
            Ok(found) => found,
            Err(error) => {
                state.put_error(call, &error);
                return Ok(None);
            }
        };
        let mut served = Served::default();
        if self.site.has_streams(export) {
            served.streams = Some(Box::new(Streams::with_window(Some(WINDOW_BYTES))));
        }
        let parameters = match is_whole {
            true => Parameters::Whole(payload),
            false => {
                let bytes_max = self.site.limits.params_bytes_max;
                served.params = Some(PendingParams::new(payload, bytes_max));
                Parameters::Partial(serve::Partial::Tcp)
            }
        };
        if state.calls.insert(call, served).is_some() {
            return Err(frames::violation("two calls with one number"));
        }
        drop(state);
        Ok(Some(Invocation {
            export,
            parameters,
            responder: serve::Responder::Tcp(tcp::serve::Responder::Shared(SharedResponder::new(
                Arc::clone(self),
                call,
            ))),
        }))
    }

    /// Whether the parameters of a call are whole.
    fn missing(&self, export: usize, kind: Kind, params: &[u8]) -> Result<bool, Error> {
        match self.site.check(export, params) {
            Ok(()) => Ok(true),
            Err(DecodeError::Truncated { missing, .. }) if kind == Kind::CallBegins => {
                let needed = (params.len() as u64).saturating_add(missing);
                match needed > self.site.limits.params_bytes_max as u64 {
                    true => Err(self.site.too_large()),
                    false => Ok(false),
                }
            }
            Err(error) => Err(frames::violation(format!(
                "the parameters can't be decoded: {error}"
            ))),
        }
    }

    /// The connection is gone, and with it whoever wanted answers.
    fn lose(&self) {
        let mut state = lock(&self.state);
        state.is_lost = true;
        for (_, mut served) in state.calls.drain() {
            served.wake();
        }
        state.waiting.drain(..).for_each(Waker::wake);
        state.out = Outbox::default();
    }
}

impl Socket {
    /// A peer that holds up what it has begun, or doesn't read, has not for ever.
    fn poll_stalled(&mut self, site: &Site, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.inbox.is_empty() && self.writing.is_done() {
            self.stalled = None;
            return Poll::Pending;
        }
        let limit = site.settings.silence_max;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + limit)));
        match stalled.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                let text = format!("it held a message up for {limit:?}");
                Poll::Ready(Err(frames::violation(text)))
            }
        }
    }
}

fn lost(reason: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorCode::ConnectionLost, reason.to_string())
}
