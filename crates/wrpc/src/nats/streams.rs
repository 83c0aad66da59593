//! How streams travel over NATS: as messages at sub-paths of parameters or results.
//!
//! Each end says in a header of its first message how much of a body it takes before
//! it has read any (`Encarno-Window`), and later, at the part `window` of the other's
//! subject, how much more. The part `cancel` says that nobody reads any more. Upstream
//! says no header, and drops both parts unread.
//!
//! A small body needs no stream. That of a request may stand behind the parameters
//! in message 1, whose header `Encarno-Body` is its length. Upstream's receivers read
//! neither: to one that accepts without a window, the body is sent as a stream
//! after all.

use std::sync::Arc;
use std::time::Instant;

use async_nats::{HeaderMap, Message, Subject};
use bytes::Bytes;

use super::headers;
use super::mailbox::Mailbox;
pub(super) use super::open_mailbox::OpenMailbox as Inbox;
use super::open_mailbox::PROBE_INTERVAL;
use crate::http::{BODY_PATH, INLINE_BYTES_MAX, TRAILERS_PATH};
use crate::streams::{Streams, WINDOW_BYTES, Which};
use crate::value::{Reader, Write as _};
use crate::{Error, ErrorCode};

/// A message carries no more than this of a stream.
const PIECE_BYTES_MAX: usize = 128 << 10;

/// The header that says how much of a body is taken.
const WINDOW_HEADER: &str = "Encarno-Window";

/// The header that says how many bytes at the end of message 1 are the body.
const BODY_HEADER: &str = "Encarno-Body";

/// The part of a subject at which the window grows.
const WINDOW: &str = "window";

/// The part of a subject at which a reader says that it has gone.
const CANCEL: &str = "cancel";

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
    let length = length.filter(|&length: &usize| length <= INLINE_BYTES_MAX);
    let head = length.and_then(|length| payload.len().checked_sub(length));
    match head {
        Some(head) => Ok(Some(payload.split_off(head))),
        None => Err(Error::new(
            ErrorCode::ProtocolViolation,
            format!(
                "the header {BODY_HEADER} is no length within the message, up to {INLINE_BYTES_MAX}"
            ),
        )),
    }
}

/// The window of the other end, if it has one.
pub(super) fn window_of(message: &Message) -> Option<u64> {
    let headers = message.headers.as_ref()?;
    headers.get(WINDOW_HEADER)?.as_str().parse().ok()
}

/// A message at `SIDE.PATH` of a call with streams, or at another part.
pub(super) fn deliver(streams: &mut Streams, side: &str, part: &str, message: &Message) {
    let path = part
        .strip_prefix(side)
        .and_then(|path| path.strip_prefix('.'));
    let which = match (part, path) {
        (WINDOW, _) => {
            if let Ok(more) = Reader::new(&message.payload).unsigned(64, WINDOW) {
                streams.grow_window(more);
            }
            return;
        }
        (CANCEL, _) => return streams.cancel(),
        (_, Some(BODY_PATH)) => Which::Body,
        (_, Some(TRAILERS_PATH)) => Which::Trailers,
        _ => return,
    };
    if message.payload.is_empty() {
        let end = message.headers.as_ref().map_or(Ok(()), headers::to_result);
        streams.end(which, end);
    } else {
        streams.push(which, message.payload.clone());
    }
}

/// The way of the streams of a call.
#[derive(Clone)]
pub(crate) struct Carrier {
    pub(super) inbox: Arc<Inbox>,
    pub(super) end: End,
}

/// Which end of a call this is; at the receiver's, with Rc, the caller's subject.
#[derive(Clone)]
pub(super) enum End {
    Caller,
    Receiver(Subject),
}

impl Carrier {
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Streams) -> T) -> Option<T> {
        let mut mailboxes = self.inbox.connection.mailboxes();
        let mailbox = mailboxes.get(self.inbox.address);
        mailbox.and_then(Mailbox::streams).map(look)
    }

    pub(crate) fn piece_bytes_max(&self) -> usize {
        self.inbox
            .connection
            .max_payload()
            .clamp(16, PIECE_BYTES_MAX)
    }

    pub(crate) async fn send(
        &self,
        which: Which,
        head: &[u8],
        data: Bytes,
    ) -> Result<usize, Error> {
        let subject = self.subject(which)?;
        let payload = match data.is_empty() {
            true => Bytes::copy_from_slice(head),
            false => [head, &data].concat().into(),
        };
        let bytes = payload.len() + subject.len();
        let connection = &self.inbox.connection;
        connection.publish(subject, None, None, payload).await?;
        Ok(bytes)
    }

    /// What goes wrong is said at the end of the body; what ends well has said so.
    pub(crate) async fn end(&self, end: Result<(), Error>) -> Result<(), Error> {
        let Err(error) = end else { return Ok(()) };
        let (subject, headers) = (self.subject(Which::Body)?, headers::from_error(&error));
        let connection = &self.inbox.connection;
        connection
            .publish(subject, None, Some(headers), Bytes::new())
            .await
    }

    pub(crate) fn grant(&self, bytes: u64) {
        let mut payload = Vec::new();
        payload.unsigned(bytes);
        self.say(WINDOW, payload.into());
    }

    pub(crate) fn cancel(&self) {
        if self.look(|streams| streams.has_window) == Some(true) {
            self.say(CANCEL, Bytes::new());
        }
    }

    pub(crate) fn bytes_received(&self) -> u64 {
        let bytes = self.inbox.look(|made| made.call.bytes_received);
        bytes.unwrap_or_default()
    }

    /// Returns at the deadline; meanwhile it asks now and then whether the receiver
    /// lives, whose death is known to the mailbox. An error says that it can't ask.
    pub(crate) async fn watch(&self, deadline: Instant) -> Option<Error> {
        loop {
            let next = deadline.min(Instant::now() + PROBE_INTERVAL);
            tokio::time::sleep_until(next.into()).await;
            if Instant::now() >= deadline {
                return None;
            }
            if let Err(error) = self.inbox.probe().await {
                return Some(error);
            }
        }
    }

    /// The other end's subject. `None`: it was not said, and nothing can be.
    fn peer(&self) -> Option<Subject> {
        if let End::Receiver(caller) = &self.end {
            return Some(caller.clone());
        }
        self.inbox.look(|made| made.receiver.clone()).flatten()
    }

    fn subject(&self, which: Which) -> Result<Subject, Error> {
        let path = match which {
            Which::Body => BODY_PATH,
            Which::Trailers => TRAILERS_PATH,
        };
        let side = match &self.end {
            End::Caller => "params",
            End::Receiver(_) => "results",
        };
        match self.peer() {
            Some(peer) => Ok(Subject::from(
                [peer.as_str(), ".", side, ".", path].concat(),
            )),
            None => Err(Error::new(
                ErrorCode::ProtocolViolation,
                "the other end did not say where it takes streams",
            )),
        }
    }

    /// Publishes at a part of the other end's subject, without waiting for it.
    fn say(&self, part: &str, payload: Bytes) {
        // Without a runtime the process is ending, and so is the connection.
        let (Some(peer), Ok(runtime)) = (self.peer(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let subject = Subject::from([peer.as_str(), ".", part].concat());
        let connection = self.inbox.connection.clone();
        runtime.spawn(async move {
            // A connection that is gone has failed the call already.
            let _ = connection.publish(subject, None, None, payload).await;
        });
    }
}
