//! What follows a call at sub-paths of its parameters or results: streams, in
//! bounded memory.
//!
//! NATS itself doesn't hold back a sender that is faster than its reader, so two
//! ends of this software do that by themselves. Each says in a header of its first
//! message how many bytes it takes before it has read any (`Encarno-Window`), and
//! later, at the part `window` of the other's subject, how many more. An end that
//! doesn't say so, such as upstream's, is sent everything at once; what it sends is
//! kept up to [`BUFFER_BYTES_MAX`]. The part `cancel` says that nobody reads any
//! more. Upstream drops both parts unread.
//!
//! A small body needs no stream. That of a request may stand behind the parameters
//! in message 1, whose header `Encarno-Body` is its length. Upstream's receivers read
//! neither: to one that accepts without a window, the body is sent as a stream
//! after all.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_nats::{HeaderMap, Message, Subject};
use bytes::Bytes;

use super::connection::Connection;
use super::headers;
use super::mailbox::Address;
use crate::http::{BODY_PATH, TRAILERS_PATH};
use crate::value::{Reader, Write as _};
use crate::{Error, ErrorCode};

/// What an end takes of a stream before it has read any of it.
pub(super) const WINDOW_BYTES: u64 = 512 << 10;

/// What is kept of a stream whose sender knows no windows.
pub(super) const BUFFER_BYTES_MAX: usize = 64 << 20;

/// Trailers beyond this are refused.
const TRAILERS_BYTES_MAX: usize = 128 << 10;

/// The header that says [`WINDOW_BYTES`].
const WINDOW_HEADER: &str = "Encarno-Window";

/// The header that says how many bytes at the end of message 1 are the body.
const BODY_HEADER: &str = "Encarno-Body";

/// The part of a subject at which the window grows.
pub(super) const WINDOW: &str = "window";

/// The part of a subject at which a reader says that it has gone.
pub(super) const CANCEL: &str = "cancel";

/// The headers with this end's window and, if the body of a request stands behind
/// the parameters, its length.
pub(super) fn headers(body: Option<usize>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(WINDOW_HEADER, WINDOW_BYTES.to_string());
    if let Some(length) = body {
        headers.insert(BODY_HEADER, length.to_string());
    }
    headers
}

/// What a message with [`headers`] takes beside its payload.
pub(super) const HEADERS_BYTES_MAX: usize = 96;

/// Cuts the body of a request off its payload, if it stands there.
pub(super) fn split_body(
    headers: Option<&HeaderMap>,
    payload: &mut Bytes,
) -> Result<Option<Bytes>, Error> {
    let Some(length) = headers.and_then(|headers| headers.get(BODY_HEADER)) else {
        return Ok(None);
    };
    let length = length.as_str().parse().ok();
    let head = length.and_then(|length: usize| payload.len().checked_sub(length));
    match head {
        Some(head) => Ok(Some(payload.split_off(head))),
        None => Err(Error::new(
            ErrorCode::ProtocolViolation,
            format!("the header {BODY_HEADER} is no length within the message"),
        )),
    }
}

/// The window of the other end, if it has one.
pub(super) fn window_of(message: &Message) -> Option<u64> {
    let headers = message.headers.as_ref()?;
    headers.get(WINDOW_HEADER)?.as_str().parse().ok()
}

/// The streams of a call, as one end sees them.
pub(super) struct Streams {
    body: Channel,
    trailers: Channel,
    /// What may be sent now; `None`: the other end sets no limit.
    window: Option<u64>,
    /// The other end knows windows.
    pub(super) has_window: bool,
    pub(super) is_cancelled: bool,
    wakers: Vec<Waker>,
}

/// A stream, as messages that weren't read yet.
struct Channel {
    messages: VecDeque<Bytes>,
    bytes: usize,
    bytes_max: usize,
    end: Option<Result<(), Error>>,
}

/// One of the streams of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Body,
    Trailers,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            body: Channel::new(BUFFER_BYTES_MAX),
            trailers: Channel::new(TRAILERS_BYTES_MAX),
            window: None,
            has_window: false,
            is_cancelled: false,
            wakers: Vec::new(),
        }
    }
}

impl Channel {
    fn new(bytes_max: usize) -> Self {
        Self {
            messages: VecDeque::new(),
            bytes: 0,
            bytes_max,
            end: None,
        }
    }

    fn push(&mut self, message: &Message) {
        if self.end.is_some() {
            return;
        }
        if message.payload.is_empty() {
            let end = message.headers.as_ref().map_or(Ok(()), headers::to_result);
            self.end = Some(end);
        } else if self.bytes + message.payload.len() > self.bytes_max {
            self.messages.clear();
            let text = format!(
                "a body came faster than it was read, and more than {} bytes of it would have to be kept",
                self.bytes_max
            );
            self.end = Some(Err(Error::new(ErrorCode::PayloadTooLarge, text)));
        } else {
            self.bytes += message.payload.len();
            self.messages.push_back(message.payload.clone());
        }
    }
}

impl Streams {
    /// Sets the window that the other end said in its first message.
    pub(super) fn open_window(&mut self, window: Option<u64>) {
        self.window = window;
        self.has_window = window.is_some();
    }

    /// A message at `SIDE.PATH`, or at another part.
    pub(super) fn deliver(&mut self, side: &str, part: &str, message: &Message) {
        match part {
            WINDOW => {
                if let (Some(window), Ok(more)) = (
                    &mut self.window,
                    Reader::new(&message.payload).unsigned(64, WINDOW),
                ) {
                    *window = window.saturating_add(more);
                }
            }
            CANCEL => self.is_cancelled = true,
            _ => match part
                .strip_prefix(side)
                .and_then(|path| path.strip_prefix('.'))
            {
                Some(BODY_PATH) => self.body.push(message),
                Some(TRAILERS_PATH) => self.trailers.push(message),
                _ => return,
            },
        }
        self.wake();
    }

    /// Ends what hasn't ended.
    pub(super) fn fail(&mut self, error: &Error) {
        for channel in [&mut self.body, &mut self.trailers] {
            if channel.end.is_none() {
                channel.end = Some(Err(error.clone()));
            }
        }
        self.wake();
    }

    fn channel(&mut self, which: Which) -> &mut Channel {
        match which {
            Which::Body => &mut self.body,
            Which::Trailers => &mut self.trailers,
        }
    }

    pub(super) fn wake_by(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|known| known.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }

    pub(super) fn wake(&mut self) {
        for waker in self.wakers.drain(..) {
            waker.wake();
        }
    }
}

/// The mailbox of a call with streams: open as long as anyone has this.
pub(crate) struct Inbox {
    pub(super) connection: Connection,
    pub(super) address: Address,
}

impl Drop for Inbox {
    fn drop(&mut self) {
        self.connection.close(self.address);
    }
}

impl Inbox {
    /// Looks at the streams until `ready` finds what it looks for. `None`: there
    /// are none.
    pub(super) fn poll<T>(
        &self,
        context: &Context<'_>,
        ready: impl FnOnce(&mut Streams) -> Option<T>,
    ) -> Poll<Option<T>> {
        let mut mailboxes = self.connection.mailboxes();
        let streams = mailboxes
            .get(self.address)
            .and_then(|mailbox| mailbox.streams());
        let Some(streams) = streams else {
            return Poll::Ready(None);
        };
        match ready(streams) {
            Some(found) => Poll::Ready(Some(found)),
            None => {
                streams.wake_by(context.waker());
                Poll::Pending
            }
        }
    }
}

/// One stream that arrives, as messages.
pub(crate) struct Incoming {
    pub(super) inbox: Arc<Inbox>,
    which: Which,
    /// Read since the other end was last told.
    unsaid: u64,
    /// The subject of the other end.
    peer: Option<Subject>,
}

impl Incoming {
    pub(super) fn new(inbox: Arc<Inbox>, which: Which, peer: Option<Subject>) -> Self {
        Self {
            inbox,
            which,
            unsaid: 0,
            peer,
        }
    }

    /// The next message; `None` after the last one.
    pub(crate) fn poll_message(
        &mut self,
        context: &Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Error>> {
        let which = self.which;
        let polled = self.inbox.poll(context, |streams| {
            let has_window = streams.has_window;
            let channel = streams.channel(which);
            if let Some(message) = channel.messages.pop_front() {
                channel.bytes -= message.len();
                return Some(Ok(Some((message, has_window))));
            }
            channel.end.clone().map(|end| end.map(|()| None))
        });
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(Ok(None)),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error)),
            Poll::Ready(Some(Ok(None))) => Poll::Ready(Ok(None)),
            Poll::Ready(Some(Ok(Some((message, has_window))))) => {
                if has_window {
                    self.read(message.len() as u64);
                }
                Poll::Ready(Ok(Some(message)))
            }
        }
    }

    /// Tells the other end to send on, now and then.
    fn read(&mut self, bytes: u64) {
        self.unsaid += bytes;
        if self.which != Which::Body || self.unsaid < WINDOW_BYTES / 2 {
            return;
        }
        let Some(peer) = &self.peer else { return };
        let mut payload = Vec::new();
        payload.unsigned(std::mem::take(&mut self.unsaid));
        send(&self.inbox.connection, peer, WINDOW, payload.into());
    }
}

/// Publishes at a part of the other end's subject, without waiting for it.
pub(super) fn send(connection: &Connection, peer: &Subject, part: &str, payload: Bytes) {
    let subject = Subject::from([peer.as_str(), ".", part].concat());
    let connection = connection.clone();
    // Without a runtime the process is ending, and so is the connection.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    runtime.spawn(async move {
        // A connection that is gone has failed the call already.
        let _ = connection.publish(subject, None, None, payload).await;
    });
}

/// Sends `data` as chunks of the stream `subject`, as the window allows.
pub(super) async fn send_chunks(
    inbox: &Inbox,
    subject: &Subject,
    mut data: Bytes,
    mut sent: impl FnMut(usize),
) -> Result<(), Error> {
    /// Small enough for any window and any server, large enough to cost little.
    const CHUNK_BYTES_MAX: usize = 128 << 10;
    let connection = &inbox.connection;
    let message_max = connection.max_payload().clamp(16, CHUNK_BYTES_MAX);
    while !data.is_empty() {
        let wanted = data.len().min(message_max - 10);
        let allowed = std::future::poll_fn(|context| {
            inbox.poll(context, |streams| {
                if streams.is_cancelled {
                    return Some(Err(gone()));
                }
                let allowed = match &mut streams.window {
                    None => wanted,
                    Some(0) => return None,
                    Some(window) => {
                        let allowed = wanted.min(usize::try_from(*window).unwrap_or(wanted));
                        *window -= allowed as u64;
                        allowed
                    }
                };
                Some(Ok(allowed))
            })
        });
        let allowed = allowed.await.unwrap_or_else(|| Err(gone()))?;
        let chunk = data.split_to(allowed);
        let mut message = Vec::with_capacity(chunk.len() + 5);
        message.bytes(&chunk);
        sent(message.len() + subject.len());
        connection
            .publish(subject.clone(), None, None, message.into())
            .await?;
    }
    Ok(())
}

fn gone() -> Error {
    Error::new(ErrorCode::Cancelled, "the reader of the body has gone")
}
