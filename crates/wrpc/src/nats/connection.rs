//! A connection to NATS and its inbox.
//!
//! Every connection has one wildcard subscription, `INBOX.>`. What is expected
//! there has a mailbox, and the mailbox's number stands in the subject.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use async_nats::{Event, HeaderMap, Message, Subject};
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::watch;

use super::mailbox::{Address, Mailbox, Mailboxes, deliver_params};
use super::options::{self, Options};
use crate::task::AbortOnDrop;
use crate::{Error, ErrorCode, lock};

/// A connection, shared by all that call or serve over it.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
    // The last clone ends the reader of the inbox.
    _reader: Arc<AbortOnDrop>,
}

struct Shared {
    client: async_nats::Client,
    peers: String,
    connect_timeout: Duration,
    inbox: String,
    mailboxes: Mutex<Mailboxes>,
    up: watch::Receiver<bool>,
}

impl Connection {
    /// Connects, or says why not within [`Options::connect_timeout`].
    pub async fn connect(options: &Options) -> Result<Self, Error> {
        let (up_sender, up) = watch::channel(true);
        let on_down: Arc<Mutex<Option<std::sync::Weak<Shared>>>> = Arc::default();
        let shared_later = Arc::clone(&on_down);
        let peers = options.peers();
        let connect = options
            .to_connect_options()
            .event_callback(move |event| {
                match &event {
                    Event::Connected => {
                        if !up_sender.send_replace(true) {
                            tracing::info!("the connection to NATS at {peers} is back");
                        }
                    }
                    Event::Disconnected | Event::Closed => {
                        if up_sender.send_replace(false) {
                            tracing::warn!("the connection to NATS at {peers} was lost");
                        }
                        let shared = lock(&shared_later).as_ref().and_then(|weak| weak.upgrade());
                        if let Some(shared) = shared {
                            shared.fail_calls();
                        }
                    }
                    Event::SlowConsumer(_) => {
                        tracing::warn!("messages dropped: this process reads too slowly");
                    }
                    other => tracing::debug!(event = %other, "NATS"),
                }
                std::future::ready(())
            })
            .connect(options.servers.clone());
        // async-nats bounds each attempt; this bounds all of them together.
        let client = tokio::time::timeout(options.connect_timeout, connect)
            .await
            .map_err(|_| {
                Error::new(
                    ErrorCode::ConnectionRefused,
                    format!(
                        "cannot connect to NATS at {}: no answer within {:?}",
                        options.peers(),
                        options.connect_timeout
                    ),
                )
            })?
            .map_err(|error| options::connect_error(options, &error))?;

        let inbox = client.new_inbox();
        let mut messages = client
            .subscribe(format!("{inbox}.>"))
            .await
            .map_err(|error| lost(&options.peers(), &error))?;
        let shared = Arc::new(Shared {
            client,
            peers: options.peers(),
            connect_timeout: options.connect_timeout,
            inbox,
            mailboxes: Mutex::default(),
            up,
        });
        *lock(&on_down) = Some(Arc::downgrade(&shared));
        let reader = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                while let Some(message) = messages.next().await {
                    shared.deliver(message);
                }
            }
        });
        Ok(Self {
            shared,
            _reader: Arc::new(AbortOnDrop(reader)),
        })
    }

    /// The servers, without credentials, for messages.
    pub fn peers(&self) -> &str {
        &self.shared.peers
    }

    /// The largest payload that the server takes in one message.
    pub fn max_payload(&self) -> usize {
        self.shared.client.max_payload()
    }

    /// Waits until all that was published has been written to the socket.
    pub async fn flush(&self) -> Result<(), Error> {
        self.shared
            .client
            .flush()
            .await
            .map_err(|error| lost(&self.shared.peers, &error))
    }

    /// Waits until the connection is up, as long as [`Options::connect_timeout`].
    pub(super) async fn ready(&self) -> Result<(), Error> {
        if *self.shared.up.borrow() {
            return Ok(());
        }
        let mut up = self.shared.up.clone();
        match tokio::time::timeout(self.shared.connect_timeout, up.wait_for(|up| *up)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::new(
                ErrorCode::ConnectionRefused,
                format!(
                    "the connection to NATS at {} was lost and is not back after {:?}",
                    self.shared.peers, self.shared.connect_timeout
                ),
            )),
        }
    }

    pub(super) fn open(&self, mailbox: Mailbox) -> (Address, Subject) {
        let address = self.mailboxes().open(mailbox);
        (address, self.reply_subject(address))
    }

    pub(super) fn close(&self, address: Address) -> Option<Mailbox> {
        self.mailboxes().close(address)
    }

    pub(super) fn mailboxes(&self) -> MutexGuard<'_, Mailboxes> {
        lock(&self.shared.mailboxes)
    }

    /// An address in this inbox at which nothing is expected.
    pub(super) fn nowhere(&self) -> Subject {
        self.reply_subject(Address {
            place: 0,
            generation: 0,
        })
    }

    fn reply_subject(&self, address: Address) -> Subject {
        let number = u64::from(address.generation) << 32 | u64::from(address.place);
        let inbox = &self.shared.inbox;
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
        let client = &self.shared.client;
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
        published.map_err(|error| match error.kind() {
            async_nats::client::PublishErrorKind::MaxPayloadExceeded => {
                Error::new(ErrorCode::PayloadTooLarge, error.to_string())
            }
            _ => lost(&self.shared.peers, &error),
        })
    }

    pub(super) async fn subscribe(
        &self,
        subject: Subject,
        group: Option<&str>,
    ) -> Result<async_nats::Subscriber, Error> {
        let client = &self.shared.client;
        let subscribed = match group {
            Some(group) => client.queue_subscribe(subject, group.to_owned()).await,
            None => client.subscribe(subject).await,
        };
        subscribed.map_err(|error| lost(&self.shared.peers, &error))
    }
}

impl Shared {
    /// Hands a message to the mailbox that its subject names.
    fn deliver(&self, message: Message) {
        let now = Instant::now();
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
        match lock(&self.mailboxes).get(address) {
            Some(Mailbox::Call(call)) => call.deliver(part, &message, now, &self.peers),
            Some(Mailbox::Params(params)) => deliver_params(params, part, &message),
            Some(Mailbox::Served(served)) => served.deliver(part, &message),
            None => {} // late: its caller has gone
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
                Mailbox::Call(call) => call.fail(error.clone(), now),
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
