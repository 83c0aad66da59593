//! A connection to NATS and its inbox.
//!
//! Every connection has one wildcard subscription, `INBOX.>`. What is expected
//! there has a mailbox, and the mailbox's number stands in the subject.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_nats::{Event, HeaderMap, Message, Subject};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::{Notify, watch};

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
}

/// What async-nats's events change; they begin before there is a client.
struct EventState {
    peers: String,
    mailboxes: Mutex<Mailboxes>,
    state: watch::Sender<Liveness>,
    /// What the server refused last, such as a subject.
    refusal: Mutex<Option<String>>,
    /// Messages were dropped since that was looked at. async-nats says so once for
    /// each, but not for all in quick succession.
    too_slow: Notify,
    counters: Arc<Counters>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Liveness {
    Up,
    /// Lost, and being restored.
    Down,
    /// Given up: nothing restores it.
    Closed,
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
        let events = Arc::new(EventState {
            peers: options.peers(),
            mailboxes: Mutex::default(),
            state: watch::Sender::new(Liveness::Up),
            refusal: Mutex::default(),
            too_slow: Notify::new(),
            counters: Arc::clone(counters),
        });
        let connect = options
            .to_connect_options()
            .map_err(|error| {
                let text = format!("cannot use the credentials for NATS: {error}");
                Error::new(ErrorCode::Authentication, text)
            })?
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

    /// Waits until the connection is up, as long as [`Options::connect_timeout`].
    pub(super) async fn ready(&self) -> Result<(), Error> {
        let EventState { state, peers, .. } = &*self.core.events;
        if *state.borrow() == Liveness::Up {
            return Ok(());
        }
        let limit = self.core.connect_timeout;
        let mut state = state.subscribe();
        let left = state.wait_for(|state| *state != Liveness::Down);
        let text = match tokio::time::timeout(limit, left).await.map(Result::ok) {
            Ok(Some(state)) if *state == Liveness::Up => return Ok(()),
            Ok(_) => format!("the connection to NATS at {peers} was lost and given up"),
            Err(_) => {
                format!(
                    "the connection to NATS at {peers} was lost and is not back after {limit:?}"
                )
            }
        };
        Err(Error::new(ErrorCode::ConnectionRefused, text))
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
        lock(&self.core.events.refusal).clone()
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

impl EventState {
    fn handle(&self, event: &Event) {
        match event {
            Event::Connected => {
                if self.change(Liveness::Up) {
                    self.counters.reconnected();
                    tracing::info!("the connection to NATS at {} is back", self.peers);
                }
            }
            Event::Disconnected => self.leave(Liveness::Down),
            Event::Closed => self.leave(Liveness::Closed),
            Event::SlowConsumer(_) => {
                self.too_slow.notify_one();
                tracing::warn!("messages dropped: this process reads too slowly");
            }
            Event::LameDuckMode => {
                tracing::warn!("a server of NATS at {} is about to stop", self.peers);
            }
            Event::ServerError(error) => {
                tracing::warn!("NATS at {}: {error}", self.peers);
                *lock(&self.refusal) = Some(error.to_string());
            }
            other => tracing::debug!(event = %other, "NATS"),
        }
    }

    /// Changes the state, unless it is that already or the last one.
    fn change(&self, to: Liveness) -> bool {
        self.state.send_if_modified(|state| {
            let changes = *state != to && *state != Liveness::Closed;
            if changes {
                *state = to;
            }
            changes
        })
    }

    /// The connection was lost, for now or for good.
    fn leave(&self, to: Liveness) {
        let was_up = *self.state.borrow() == Liveness::Up;
        if self.change(to) {
            if was_up {
                self.counters.lost();
                tracing::warn!("the connection to NATS at {} was lost", self.peers);
            }
            self.fail_calls();
        }
    }

    /// The answers of calls in flight may have been lost with the connection.
    fn fail_calls(&self) {
        let now = Instant::now();
        let error = Error::new(
            ErrorCode::ConnectionLost,
            format!("the connection to NATS at {} was lost", self.peers),
        );
        for mailbox in lock(&self.mailboxes).iter_mut() {
            match mailbox {
                Mailbox::Call(made) => made.call.fail(error.clone(), now),
                Mailbox::Served(served) => served.streams.fail(&error),
                Mailbox::Params(_) => {}
            }
        }
    }
}

fn lost(peers: &str, error: &dyn std::error::Error) -> Error {
    Error::new(
        ErrorCode::ConnectionLost,
        format!("the connection to NATS at {peers} is closed: {error}"),
    )
}
