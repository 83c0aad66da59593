//! A connection that many calls share, at the receiver's end.
//!
//! As at the other end, one task owns the socket. Any thread puts its answers into an
//! outbox.

use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, Sleep, timeout};

use super::READ_BYTES;
use super::frames;
use super::messages::{self, HEAD_BYTES, Kind, Message, PAYLOAD_BYTES_MAX};
use super::respond_shared::SharedResponder;
use super::shared_calls::{OUTBOX_BYTES_MAX, Served, Shared};
use super::site::{CONNECTION_BYTES, Seat, Site};
use crate::memory::Source;
use crate::outbox::Outbox;
use crate::pending_params::PendingParams;
use crate::serve::{Invocation, Parameters};
use crate::socket::Stream;
use crate::streams::{Streams, WINDOW_BYTES};
use crate::value::DecodeError;
use crate::{Error, ErrorCode, lock};

/// The longest message.
const MESSAGE_BYTES_MAX: usize = HEAD_BYTES + PAYLOAD_BYTES_MAX;

/// Serves the calls of a connection until it ends.
pub(super) async fn serve(
    site: Arc<Site>,
    stream: Stream,
    inbox: BytesMut,
    serve: impl Fn(Invocation<SharedResponder>),
    seat: Seat,
) -> Result<(), Error> {
    let shared = Arc::new(Shared::new(site.limits.clone()));
    let source = site.next_source();
    let key = site.shared.add(&shared);
    let mut task = Task {
        site,
        source,
        shared,
        serve,
        stream,
        inbox,
        writing: Outbox::default(),
        seat,
        skip: 0,
        stalled: None,
    };
    let ended = poll_fn(|context| task.poll(context)).await;
    task.site.shared.remove(key);
    task.shared.lose();
    if ended.is_ok() {
        let _ = timeout(task.site.settings.silence_max, task.stream.shutdown()).await;
    }
    ended
}

/// The state of the task: the socket, and the calls that share it.
struct Task<F> {
    site: Arc<Site>,
    source: Source,
    shared: Arc<Shared>,
    serve: F,
    stream: Stream,
    inbox: BytesMut,
    writing: Outbox,
    seat: Seat,
    /// The number of bytes to skip of a message for which there was no memory.
    skip: usize,
    /// The instant by which a peer that holds us up must make progress.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<F: Fn(Invocation<SharedResponder>)> Task<F> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // The preface may be followed by the first calls.
        if !self.inbox.is_empty() {
            self.deliver()?;
        }
        loop {
            let mut is_full = false;
            let mut is_closing = false;
            if self.writing.is_done() {
                let mut state = lock(&self.shared.state);
                std::mem::swap(&mut state.out, &mut self.writing);
                state.waiting.drain(..).for_each(Waker::wake);
                is_closing = state.is_closing;
            } else {
                let state = lock(&self.shared.state);
                is_full = state.out.len() > OUTBOX_BYTES_MAX;
                let waiting = state.out.copied() + self.writing.copied();
                drop(state);
                self.hold(waiting)?;
            }
            if is_closing && self.writing.is_done() {
                return Poll::Ready(Ok(()));
            }
            let mut is_stuck = self.writing.is_done();
            if !is_stuck {
                let before = self.writing.len();
                match self.writing.poll_write(&mut self.stream, context) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(lost(&error))),
                    Poll::Pending => is_stuck = true,
                }
                if self.writing.len() < before {
                    self.stalled = None;
                }
            }
            if !is_full {
                self.make_room();
                match pin!(self.stream.read_buf(&mut self.inbox)).poll(context) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(_)) => {
                        self.deliver()?;
                        continue;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(lost(&error))),
                    Poll::Pending => {}
                }
            }
            if is_stuck {
                let mut state = lock(&self.shared.state);
                if !self.writing.is_done() || (state.out.is_done() && !state.is_closing) {
                    state.task = Some(context.waker().clone());
                    drop(state);
                    return self.poll_stalled(context);
                }
            }
        }
    }

    /// Reserves memory for waiting answers, and for the message that is being read.
    fn hold(&mut self, waiting: usize) -> Result<(), Error> {
        let bytes = waiting + self.inbox.capacity();
        let memory = &mut self.seat.memory;
        let fits = match bytes <= CONNECTION_BYTES {
            true if memory.bytes() == CONNECTION_BYTES => true,
            true => memory.resize(CONNECTION_BYTES),
            // Reserve in steps, so that not each message changes the reservation.
            false => memory.grow_to(bytes.next_multiple_of(4 * CONNECTION_BYTES)),
        };
        match fits {
            true => Ok(()),
            false => Err(memory.used_up()),
        }
    }

    /// Makes room in the inbox. The buffer of a large message isn't used for small ones,
    /// because each kept part of it would keep the whole buffer.
    fn make_room(&mut self) {
        self.inbox.reserve(READ_BYTES / 2);
        let begun = messages::begun(&self.inbox).map_or(0, |(_, _, bytes)| bytes);
        if self.inbox.capacity() > 2 * READ_BYTES.max(begun) {
            let mut inbox = BytesMut::with_capacity(READ_BYTES.max(self.inbox.len()));
            inbox.extend_from_slice(&self.inbox);
            inbox.reserve(READ_BYTES / 2);
            self.inbox = inbox;
        }
    }

    /// Makes sure that there is memory for the message that has begun. If there isn't,
    /// its call is refused and the message is skipped.
    fn expect_message(&mut self) -> Result<(), Error> {
        let Some((kind, call, bytes)) = messages::begun(&self.inbox) else {
            return Ok(());
        };
        if bytes <= READ_BYTES / 2 || bytes <= self.inbox.capacity() || bytes > MESSAGE_BYTES_MAX {
            return Ok(());
        }
        if self.seat.memory.grow_to(CONNECTION_BYTES + bytes) {
            return Ok(());
        }
        let error = self.seat.memory.used_up();
        let mut state = lock(&self.shared.state);
        if matches!(kind, Kind::Call | Kind::CallBegins) || state.remove(call) {
            state.put_error(call, &error);
        }
        self.skip = bytes - self.inbox.len();
        self.inbox = BytesMut::new();
        Ok(())
    }

    /// Hands calls on, and the messages that belong to them.
    fn deliver(&mut self) -> Result<(), Error> {
        if self.skip > 0 {
            self.stalled = None;
            let skipped = self.skip.min(self.inbox.len());
            self.inbox.advance(skipped);
            self.skip -= skipped;
        }
        loop {
            self.expect_message()?;
            let Some(message) = messages::take(&mut self.inbox)? else {
                break;
            };
            self.stalled = None;
            match message.kind {
                Kind::Call | Kind::CallBegins => {
                    if let Some(invocation) = self.invocation(message)? {
                        (self.serve)(invocation);
                    }
                }
                Kind::Params => {
                    let mut state = lock(&self.shared.state);
                    let served = state.calls.get_mut(&message.call);
                    if let Some(params) = served.and_then(|served| served.params.as_mut()) {
                        match message.payload.is_empty() {
                            true => params.end(),
                            false => params.push(&message.payload),
                        }
                    }
                }
                Kind::Body | Kind::Trailers | Kind::Window => {
                    // If the call doesn't exist, the message is late, because the call
                    // was answered.
                    if let Some(served) = lock(&self.shared.state).calls.get_mut(&message.call) {
                        messages::deliver(served.streams.as_deref_mut(), message)?;
                    }
                }
                Kind::Cancel => {
                    lock(&self.shared.state).remove(message.call);
                }
                kind => return Err(frames::violation(format!("a caller that sends {kind:?}"))),
            }
        }
        Ok(())
    }

    /// The call of a message, unless it was refused.
    fn invocation(&self, message: Message) -> Result<Option<Invocation<SharedResponder>>, Error> {
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
        let mut state = lock(&self.shared.state);
        let (export, announced) = match found {
            Ok(found) => found,
            Err(error) => {
                state.put_error(call, &error);
                return Ok(None);
            }
        };
        let mut served = Served::default();
        if self.site.has_streams(export) {
            let mut streams = Box::new(Streams::with_window(Some(WINDOW_BYTES)));
            streams.count_in(&self.site.limits.memory);
            served.streams = Some(streams);
        }
        let parameters = match announced {
            None => Parameters::Whole(payload),
            Some(announced) => {
                let (limits, source) = (&self.site.limits, self.source);
                served.params = Some(PendingParams::new(&payload, announced, limits, source));
                Parameters::Partial
            }
        };
        if state.calls.insert(call, served).is_some() {
            return Err(frames::violation("two calls with one number"));
        }
        state.has_called = true;
        state.idle_since = None;
        drop(state);
        Ok(Some(Invocation {
            export,
            parameters,
            traceparent: None,
            responder: SharedResponder::new(Arc::clone(&self.shared), call),
        }))
    }

    /// How many bytes of incomplete parameters are still to come; `None` if they are
    /// complete.
    fn missing(&self, export: usize, kind: Kind, params: &[u8]) -> Result<Option<usize>, Error> {
        match self.site.check(export, params) {
            Ok(()) => Ok(None),
            Err(DecodeError::Truncated { missing, .. }) if kind == Kind::CallBegins => {
                let needed = (params.len() as u64).saturating_add(missing);
                match needed > self.site.limits.params_bytes_max as u64 {
                    true => Err(self.site.limits.too_large()),
                    false => Ok(Some(needed as usize)),
                }
            }
            Err(error) => Err(frames::violation(format!(
                "the parameters can't be decoded: {error}"
            ))),
        }
    }

    /// Limits the time for which a peer may leave a message unfinished, or not read.
    fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.inbox.is_empty() && self.skip == 0 && self.writing.is_done() {
            self.hold(0)?;
            self.stalled = None;
            return Poll::Pending;
        }
        let limit = self.site.settings.silence_max;
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
