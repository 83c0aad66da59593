//! A connection to NATS with its inbox.
//!
//! Every connection has one wildcard subscription, `INBOX.>`. Each expected message has a
//! mailbox, whose number is part of the subject.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use bytes::Bytes;

use super::events::{EventState, Liveness};
use super::line::{Core, Line};
use super::mailbox::{Address, Mailbox, Mailboxes};
use super::options::Options;
use crate::core_nats::{self, ErrorKind, Headers, Room, Subject, Subscription};
use crate::{Counters, Error, ErrorCode, lock};

/// The most bytes of waiting calls of a served function.
const UNREAD_BYTES_MAX: usize = 64 << 20;

/// A connection, which all its callers and servers share. It ends when the last clone is
/// dropped.
#[derive(Clone)]
pub struct Connection {
    line: Arc<Line>,
    /// The client of this connection. Calls that began with it stay with it.
    core: Arc<Core>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    ///
    /// If that fails, within [`Options::connect_timeout`] for each server.
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        Self::connect_counted(options, Arc::default()).await
    }

    /// Connects, and counts from then on what the connection does.
    pub async fn connect_counted(
        options: &Options,
        counters: Arc<Counters>,
    ) -> Result<Self, Error> {
        let (line, core) = Line::connect(options, counters).await?;
        Ok(Self { line, core })
    }

    /// The connection by way of the client that has taken over from this one, if there is
    /// one.
    pub(super) fn moved(&self) -> Option<Self> {
        self.core.is_left().then(|| Self {
            line: Arc::clone(&self.line),
            core: self.line.current(),
        })
    }

    /// Waits until another client has taken over from this one.
    pub(super) async fn left(&self) {
        self.line.left(&self.core).await;
    }

    /// The servers, without credentials, for messages.
    pub fn peers(&self) -> &str {
        &self.core.events.peers
    }

    /// The largest payload of one message that the server accepts.
    pub fn max_payload(&self) -> usize {
        self.core.client.max_payload()
    }

    /// Waits until the server has handled everything that was published.
    pub async fn flush(&self) -> Result<(), Error> {
        let flushed = self.flush_own().await;
        match self.moved() {
            None => flushed,
            Some(moved) => moved.flush_own().await,
        }
    }

    /// Waits until the server has handled everything that was sent before.
    ///
    /// # Errors
    ///
    /// If the server refuses this connection or its inbox.
    pub async fn round_trip(&self) -> Result<(), Error> {
        const LIMIT: Duration = Duration::from_secs(5);
        tokio::select! {
            biased;
            refused = self.refused() => Err(refused),
            flushed = tokio::time::timeout(LIMIT, self.flush_own()) => flushed.unwrap_or_else(|_| {
                Err(Error::new(
                    ErrorCode::ConnectionLost,
                    format!("NATS at {} does not answer", self.peers()),
                ))
            }),
        }
    }

    /// Whether it was lost for good, so that only a new connection helps.
    pub fn is_closed(&self) -> bool {
        *self.line.current().events.state.borrow() == Liveness::Closed
    }

    /// Waits until the connection is up, at most for [`Options::connect_timeout`]. A
    /// refusal is returned at once.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        let EventState { state, peers, .. } = &*self.core.events;
        let mut known = *state.borrow();
        let limit = self.core.connect_timeout;
        if known == Liveness::Down {
            let mut changes = state.subscribe();
            let left = changes.wait_for(|state| *state != Liveness::Down);
            if let Ok(Ok(state)) = tokio::time::timeout(limit, left).await {
                known = *state;
            }
        }
        let text = match known {
            Liveness::Up => return Ok(()),
            Liveness::InboxRefused | Liveness::LockedOut => return Err(self.reason()),
            Liveness::Closed => format!("the connection to NATS at {peers} was lost and given up"),
            Liveness::Down => {
                format!(
                    "the connection to NATS at {peers} was lost and is not back after {limit:?}"
                )
            }
        };
        Err(Error::new(ErrorCode::ConnectionRefused, text))
    }

    /// Waits until the server is known to refuse this connection or its inbox.
    pub(super) async fn refused(&self) -> Error {
        let mut state = self.core.events.state.subscribe();
        let is_refused =
            |state: &Liveness| matches!(state, Liveness::InboxRefused | Liveness::LockedOut);
        let is_known = state.wait_for(is_refused).await.is_ok();
        if !is_known {
            std::future::pending::<()>().await;
        }
        self.reason()
    }

    /// An error if the server has refused this subscription.
    pub(super) fn is_subscribed(&self, subject: &str) -> Result<(), Error> {
        let refusals = lock(&self.core.events.refusals);
        match refusals.subscriptions.iter().any(|known| known == subject) {
            true => Err(self.core.events.may_not("subscribe", subject)),
            false => Ok(()),
        }
    }

    fn reason(&self) -> Error {
        let reason = lock(&self.core.events.refusals).reason.clone();
        reason.unwrap_or_else(|| {
            let text = format!("NATS at {} refuses the connection", self.peers());
            Error::new(ErrorCode::Authentication, text)
        })
    }

    pub(super) fn open(&self, mailbox: Mailbox) -> (Address, Subject) {
        let address = self.mailboxes().open(mailbox);
        (address, self.reply_subject(address))
    }

    pub(super) fn close(&self, address: Address) -> Option<Mailbox> {
        self.mailboxes().close(address)
    }

    /// Whether the receivers here have shown that they are ours and not upstream's. This
    /// is a guess, because other receivers may serve the same function.
    pub(super) fn receivers_are_ours(&self) -> bool {
        self.core.receivers_are_ours.load(Ordering::Relaxed)
    }

    pub(super) fn set_receivers_are_ours(&self, are_ours: bool) {
        self.core
            .receivers_are_ours
            .store(are_ours, Ordering::Relaxed);
    }

    /// The server's last refusal, which may be the reason for a missing answer.
    pub(super) fn refusal(&self) -> Option<String> {
        lock(&self.core.events.refusals).last.clone()
    }

    pub(super) fn mailboxes(&self) -> MutexGuard<'_, Mailboxes> {
        lock(&self.core.events.mailboxes)
    }

    /// A subject in this inbox without a mailbox.
    pub(super) fn nowhere(&self) -> Subject {
        self.reply_subject(Address {
            place: 0,
            generation: 0,
        })
    }

    /// The subject of a mailbox.
    pub(super) fn reply_subject(&self, address: Address) -> Subject {
        let number = u64::from(address.generation) << 32 | u64::from(address.place);
        let inbox = &self.core.events.inbox;
        let mut subject = String::with_capacity(inbox.len() + 17);
        subject.push_str(inbox);
        subject.push('.');
        let mut digits = [0u8; 16];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b"0123456789abcdef"[(rest & 15) as usize];
            rest >>= 4;
            if rest == 0 {
                break;
            }
        }
        subject.extend(digits[at..].iter().map(|&digit| char::from(digit)));
        Subject::from(subject)
    }

    pub(super) async fn publish(
        &self,
        subject: Subject,
        reply: Option<Subject>,
        headers: Option<Headers>,
        payload: Bytes,
    ) -> Result<(), Error> {
        let reply_bytes = reply.as_ref().map_or(0, |reply| reply.len());
        let bytes = payload.len() + subject.len() + reply_bytes;
        let client = &self.core.client;
        let published = client.publish(&subject, reply.as_ref(), headers.as_ref(), payload);
        match published.await {
            Ok(()) => {
                self.core.events.counters.sent(bytes);
                Ok(())
            }
            Err(error) if error.kind == ErrorKind::PayloadTooLarge => {
                Err(Error::new(ErrorCode::PayloadTooLarge, error.message))
            }
            Err(error) => Err(lost(self.peers(), &error)),
        }
    }

    pub(super) fn subscribe(
        &self,
        subject: &Subject,
        group: Option<&str>,
    ) -> Result<Subscription, Error> {
        let room = Room {
            messages: self.core.unread_calls_max,
            bytes: UNREAD_BYTES_MAX,
        };
        let subscribed = self.core.client.subscribe(subject, group, room);
        subscribed.map_err(|error| lost(self.peers(), &error))
    }

    /// Tells the server to send no more messages of a subscription. Those that it has
    /// sent by then have arrived when a [`Connection::round_trip`] has ended.
    pub(super) fn unsubscribe(&self, sid: u64) {
        self.core.client.unsubscribe(sid);
    }

    /// Waits until the server of this client has handled everything that this client has
    /// published.
    pub(super) async fn flush_own(&self) -> Result<(), Error> {
        let flushed = self.core.client.flush().await;
        flushed.map_err(|error| lost(self.peers(), &error))
    }
}

fn lost(peers: &str, error: &core_nats::Error) -> Error {
    Error::new(
        ErrorCode::ConnectionLost,
        format!("the connection to NATS at {peers} is closed: {error}"),
    )
}
