//! Streams over NATS: messages at sub-paths of parameters or results.
//!
//! In a header of its first message (`Encarno-Window`), each end announces how much of a
//! body it takes before it has read any. Later it announces how much more, at the part
//! `window` of the other end's subject. A message at the part `cancel` means that the
//! body isn't read any more. Upstream sends no such header, and drops messages at both
//! parts.
//!
//! A small body needs no stream. The body of a request may follow the parameters in
//! message 1, with its length in the header `Encarno-Body`. Upstream's receivers ignore
//! both, so a receiver that accepts without a window gets the body as a stream after all.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::headers;
use super::mailbox::Mailbox;
use super::open_mailbox::{OpenMailbox, PROBE_INTERVAL};
use super::subject::{CANCEL, WINDOW};
use crate::core_nats::Subject;
use crate::http::{BODY_PATH, TRAILERS_PATH};
use crate::streams::{Carrier, PIECE_BYTES_MAX, Streams, Which};
use crate::value::Write as _;
use crate::{Error, ErrorCode};

/// Carries the streams of a call.
pub(super) struct MailboxStreams {
    pub(super) mailbox: Arc<OpenMailbox>,
    pub(super) end: End,
}

/// The end of a call; the receiver's end has Rc, the caller's subject.
pub(super) enum End {
    Caller,
    Receiver(Subject),
}

impl Carrier for MailboxStreams {
    fn look(&self, look: &mut dyn FnMut(&mut Streams)) -> bool {
        let mut mailboxes = self.mailbox.connection.mailboxes();
        let mailbox = mailboxes.get(self.mailbox.address);
        mailbox.and_then(Mailbox::streams).map(look).is_some()
    }

    fn piece_bytes_max(&self) -> usize {
        let payload_max = self.mailbox.connection.max_payload();
        payload_max.clamp(16, PIECE_BYTES_MAX)
    }

    fn send<'a>(
        &'a self,
        which: Which,
        head: &'a [u8],
        data: Bytes,
    ) -> BoxFuture<'a, Result<usize, Error>> {
        async move {
            let subject = self.subject(which)?;
            let payload = match data.is_empty() {
                true => Bytes::copy_from_slice(head),
                false => [head, &data].concat().into(),
            };
            let bytes = payload.len() + subject.len();
            let connection = &self.mailbox.connection;
            connection.publish(subject, None, None, payload).await?;
            Ok(bytes)
        }
        .boxed()
    }

    /// An error is sent at the end of the body; a successful end was sent already.
    fn end(&self, end: Result<(), Error>) -> BoxFuture<'_, Result<(), Error>> {
        async move {
            let Err(error) = end else { return Ok(()) };
            let connection = &self.mailbox.connection;
            let headers = headers::from_error(&error, connection.max_payload());
            let subject = self.subject(Which::Body)?;
            connection
                .publish(subject, None, Some(headers), Bytes::new())
                .await
        }
        .boxed()
    }

    fn grant(&self, bytes: u64) {
        let mut payload = Vec::new();
        payload.unsigned(bytes);
        self.say(WINDOW, payload.into());
    }

    fn cancel(&self) {
        let mut has_window = false;
        self.look(&mut |streams| has_window = streams.has_window);
        if has_window {
            self.say(CANCEL, Bytes::new());
        }
    }

    fn bytes_received(&self) -> u64 {
        let bytes = self.mailbox.look(|made| made.call.bytes_received);
        bytes.unwrap_or_default()
    }

    /// Probes from time to time whether the receiver is alive; its mailbox learns of its
    /// death. The error means that probing fails.
    fn broken(&self) -> BoxFuture<'_, Error> {
        async move {
            loop {
                tokio::time::sleep(PROBE_INTERVAL).await;
                if let Err(error) = self.mailbox.probe().await {
                    return error;
                }
            }
        }
        .boxed()
    }
}

impl MailboxStreams {
    /// The other end's subject; `None` if it isn't known, so that nothing can be sent.
    fn peer(&self) -> Option<Subject> {
        if let End::Receiver(caller) = &self.end {
            return Some(caller.clone());
        }
        self.mailbox.look(|made| made.receiver.clone()).flatten()
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
                "the other end did not say where to send streams",
            )),
        }
    }

    /// Publishes at a part of the other end's subject, without waiting.
    fn say(&self, part: &str, payload: Bytes) {
        // Without a runtime, the process is ending, and the connection with it.
        let (Some(peer), Ok(runtime)) = (self.peer(), tokio::runtime::Handle::try_current()) else {
            return;
        };
        let subject = Subject::from([peer.as_str(), ".", part].concat());
        let connection = self.mailbox.connection.clone();
        runtime.spawn(async move {
            // A lost connection has failed the call already.
            let _ = connection.publish(subject, None, None, payload).await;
        });
    }
}
