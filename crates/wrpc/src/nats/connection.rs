//! A connection to NATS and its inbox.
//!
//! Every connection has one wildcard subscription, `INBOX.>`. What is expected
//! there has a mailbox, and the mailbox's number stands in the subject.

use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use async_nats::{HeaderMap, Message, Subject};
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::events::{EventState, Liveness};
use super::mailbox::{Address, Mailbox, Mailboxes, deliver_params};
use super::options::{self, Options};
use crate::task::AbortOnDrop;
use crate::{Counters, Error, ErrorCode, lock};

/// A connection, shared by all that call or serve over it.
#[derive(Clone)]
pub struct Connection {
    core: Arc<Core>,
    // The last clone ends the reader of the inbox.
    _reader: Arc<AbortOnDrop>,
}

struct Core {
    client: async_nats::Client,
    connect_timeout: Duration,
    inbox: String,
    events: Arc<EventState>,
    /// The last one to accept a call with streams was a receiver of ours.
    receivers_are_ours: AtomicBool,
    /// What async-nats opens by their names when it reconnects.
    _files: Vec<File>,
}

impl Connection {
    /// Connects, or says why not within [`Options::connect_timeout`] for each server.
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        Self::connect_counted(options, Arc::default()).await
    }

    /// Connects, and counts what the connection does from then on.
    pub async fn connect_counted(
        options: &Options,
        counters: Arc<Counters>,
    ) -> Result<Self, Error> {
        let began = Instant::now();
        let connected = Self::try_connect(options, &counters).await;
        match &connected {
            Ok(_) => counters.connected(began.elapsed()),
            Err(_) => counters.not_connected(),
        }
        connected
    }

    async fn try_connect(options: &Options, counters: &Arc<Counters>) -> Result<Self, Error> {
        let events = Arc::new(EventState::new(options.peers(), Arc::clone(counters)));
        let (connect_options, files) = options.to_connect_options().map_err(|error| {
            let text = format!("cannot use the credentials for NATS: {error}");
            Error::new(ErrorCode::Authentication, text)
        })?;
        let connect = connect_options
            .event_callback({
                let events = Arc::clone(&events);
                move |event| {
                    events.handle(&event);
                    std::future::ready(())
                }
            })
            .connect(options.servers.clone());
        // async-nats bounds each attempt; this bounds all of them together.
        let limit = options.first_connect_timeout();
        let client = tokio::time::timeout(limit, connect)
            .await
            .map_err(|_| options::no_answer(options))?
            .map_err(|error| options::connect_error(options, &error))?;

        let inbox = client.new_inbox();
        let _ = events.inbox.set(inbox.clone());
        let mut messages = client
            .subscribe(format!("{inbox}.>"))
            .await
            .map_err(|error| lost(&events.peers, &error))?;
        let core = Arc::new(Core {
            client,
            connect_timeout: options.connect_timeout,
            inbox,
            events,
            receivers_are_ours: AtomicBool::new(false),
            _files: files,
        });
        let reader = tokio::spawn({
            let core = Arc::clone(&core);
            async move {
                let (mut taken, mut dropped) = (0, 0);
                loop {
                    tokio::select! {
                        biased;
                        message = messages.next() => match message {
                            Some(message) => {
                                taken += 1;
                                core.deliver(message);
                            }
                            None => break,
                        },
                        // All that came and isn't waiting here any more was dropped.
                        () = core.events.too_slow.notified() => {
                            let missing = core.arrived().saturating_sub(taken + dropped);
                            dropped += missing;
                            core.events.counters.dropped(missing);
                        }
                    }
                }
                // async-nats has given up, or failed.
                core.events.leave(Liveness::Closed);
            }
        });
        Ok(Self {
            core,
            _reader: Arc::new(AbortOnDrop(reader)),
        })
    }

    /// The servers, without credentials, for messages.
    pub fn peers(&self) -> &str {
        &self.core.events.peers
    }

    /// The largest payload that the server takes in one message.
    pub fn max_payload(&self) -> usize {
        self.core.client.max_payload()
    }

    /// Waits until all that was published has been written to the socket.
    pub async fn flush(&self) -> Result<(), Error> {
        self.core
            .client
            .flush()
            .await
            .map_err(|error| lost(self.peers(), &error))
    }

    /// Whether it was lost for good: then only a new connection helps.
    pub fn is_closed(&self) -> bool {
        *self.core.events.state.borrow() == Liveness::Closed
    }

    /// Waits until the connection is up, as long as [`Options::connect_timeout`]. What is
    /// refused is known at once.
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

    /// Done when the server is known to refuse this connection or its inbox.
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

    /// An error if the server has refused a subscription.
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

    /// Whether the receivers here have understood what upstream's don't. Others may
    /// serve the same function: it is a good guess.
    pub(super) fn receivers_are_ours(&self) -> bool {
        self.core.receivers_are_ours.load(Ordering::Relaxed)
    }

    pub(super) fn set_receivers_are_ours(&self, are_ours: bool) {
        self.core
            .receivers_are_ours
            .store(are_ours, Ordering::Relaxed);
    }

    /// What the server refused last: it may be why an answer doesn't come.
    pub(super) fn refusal(&self) -> Option<String> {
        lock(&self.core.events.refusals).last.clone()
    }

    pub(super) fn mailboxes(&self) -> MutexGuard<'_, Mailboxes> {
        lock(&self.core.events.mailboxes)
    }

    /// An address in this inbox at which nothing is expected.
    pub(super) fn nowhere(&self) -> Subject {
        self.reply_subject(Address {
            place: 0,
            generation: 0,
        })
    }

    /// The subject that leads to a mailbox.
    pub(super) fn reply_subject(&self, address: Address) -> Subject {
        let number = u64::from(address.generation) << 32 | u64::from(address.place);
        let inbox = &self.core.inbox;
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
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<(), Error> {
        let client = &self.core.client;
        let reply_bytes = reply.as_ref().map_or(0, |reply| reply.len());
        let bytes = payload.len() + subject.len() + reply_bytes;
        let published = match (reply, headers) {
            (Some(reply), None) => client.publish_with_reply(subject, reply, payload).await,
            (None, None) => client.publish(subject, payload).await,
            (None, Some(headers)) => client.publish_with_headers(subject, headers, payload).await,
            (Some(reply), Some(headers)) => {
                client
                    .publish_with_reply_and_headers(subject, reply, headers, payload)
                    .await
            }
        };
        let counters = &self.core.events.counters;
        published
            .map(|()| counters.sent(bytes))
            .map_err(|error| match error.kind() {
                async_nats::client::PublishErrorKind::MaxPayloadExceeded => {
                    Error::new(ErrorCode::PayloadTooLarge, error.to_string())
                }
                _ => lost(self.peers(), &error),
            })
    }

    pub(super) async fn subscribe(
        &self,
        subject: Subject,
        group: Option<&str>,
    ) -> Result<async_nats::Subscriber, Error> {
        let client = &self.core.client;
        let subscribed = match group {
            Some(group) => client.queue_subscribe(subject, group.to_owned()).await,
            None => client.subscribe(subject).await,
        };
        subscribed.map_err(|error| lost(self.peers(), &error))
    }
}

impl Core {
    /// How many messages async-nats has read from the socket.
    fn arrived(&self) -> u64 {
        let statistics = self.client.statistics();
        statistics.in_messages.load(Ordering::Relaxed)
    }

    /// Hands a message to the mailbox that its subject names.
    fn deliver(&self, message: Message) {
        let now = Instant::now();
        let events = &*self.events;
        events.counters.received(message.length);
        // INBOX.NUMBER or INBOX.NUMBER.PART
        let Some(tail) = message.subject.as_str().get(self.inbox.len() + 1..) else {
            return;
        };
        let (number, part) = tail.split_once('.').unwrap_or((tail, ""));
        let Ok(number) = u64::from_str_radix(number, 16) else {
            return;
        };
        let address = Address {
            place: number as u32,
            generation: (number >> 32) as u32,
        };
        match lock(&events.mailboxes).get(address) {
            Some(Mailbox::Call(made)) => made.deliver(part, &message, now, &events.peers),
            Some(Mailbox::Params(params)) => deliver_params(params, part, &message),
            Some(Mailbox::Served(served)) => served.deliver(part, &message),
            None => {} // late: its caller has gone
        }
    }
}

fn lost(peers: &str, error: &dyn std::error::Error) -> Error {
    Error::new(
        ErrorCode::ConnectionLost,
        format!("the connection to NATS at {peers} is closed: {error}"),
    )
}
