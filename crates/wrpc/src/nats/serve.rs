//! Calls served: message 1 in, messages 2 to 4 out.

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::SelectAll;
use futures_util::{Stream, StreamExt as _};

use super::connection::Connection;
use super::headers;
use super::mailbox::{Mailbox, ServedMailbox};
use super::open_mailbox::OpenMailbox;
use super::streams::{End, MailboxStreams};
use super::subject;
use crate::core_nats::{Headers, Message, Subject, Subscription};
use crate::http::Streaming;
use crate::memory::Memory;
use crate::memory::Source;
use crate::pending_params::PendingParams;
use crate::serve::{Bodies, Check, Export, Invocation, Limits, Parameters, Respond};
use crate::streams;
use crate::value::DecodeError;
use crate::{Error, ErrorCode};

/// The functions served over a connection.
pub struct Server {
    connection: Connection,
    checks: Vec<(Check, bool)>,
    calls: SelectAll<Calls>,
    limits: Limits,
    /// Rs for calls of which nothing more is expected.
    nowhere: Subject,
}

/// The subscription of one function.
struct Calls {
    export: usize,
    subscriber: Subscription,
}

impl Stream for Calls {
    type Item = (usize, Message);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let export = self.export;
        self.subscriber
            .poll_next_unpin(context)
            .map(|message| message.map(|message| (export, message)))
    }
}

impl Server {
    /// Subscribes to the functions. With a `group`, calls are shared among the
    /// servers of that group.
    pub async fn new(
        connection: Connection,
        prefix: &str,
        group: Option<&str>,
        exports: Vec<Export>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let mut calls = SelectAll::new();
        let mut checks = Vec::new();
        let mut names = Vec::new();
        for (index, export) in exports.into_iter().enumerate() {
            let name = subject::function(prefix, &export.instance, &export.function)?;
            let subscriber = connection.subscribe(&name, group)?;
            names.push(name);
            calls.push(Calls {
                export: index,
                subscriber,
            });
            checks.push((export.check, export.has_streams));
        }
        // What the server refuses comes before the answer to this.
        connection.round_trip().await?;
        for name in &names {
            connection.is_subscribed(name)?;
        }
        Ok(Self {
            nowhere: connection.nowhere(),
            connection,
            checks,
            calls,
            limits,
        })
    }

    /// Hands every call to `serve` until `stop` is done; then takes no new
    /// calls, hands over those that the server had sent already, and returns.
    ///
    /// `serve` must not block: calls arrive one after the other.
    pub async fn run(
        mut self,
        stop: impl Future<Output = ()>,
        serve: impl Fn(Invocation<Responder>),
    ) {
        let mut stop = pin!(stop);
        loop {
            let next = poll_fn(|context| match self.calls.poll_next_unpin(context) {
                Poll::Pending => stop.as_mut().poll(context).map(|()| None),
                ready => ready.map(Some),
            });
            match next.await {
                Some(Some((export, message))) => self.accept(export, message, &serve),
                Some(None) => return, // the connection is closed
                None => break,
            }
        }
        for calls in self.calls.iter() {
            self.connection.drain(&calls.subscriber).await;
        }
        while let Some((export, message)) = self.calls.next().await {
            self.accept(export, message, &serve);
        }
    }

    fn accept(&self, export: usize, mut message: Message, serve: &impl Fn(Invocation<Responder>)) {
        let window = headers::window_of(&message);
        let Some(reply) = message.reply else {
            tracing::warn!("a call without a reply subject was ignored");
            return;
        };
        let (check, has_streams) = &self.checks[export];
        let mut responder = Responder {
            connection: self.connection.clone(),
            reply,
            receiver: self.nowhere.clone(),
            accepted: false,
            memory: has_streams.then(|| self.limits.memory.clone()),
            window,
            body: None,
            rest: None,
            inbox: None,
        };
        let refuse = |responder: Responder, error: Error| {
            tokio::spawn(responder.finish(Err(error)));
        };
        if *has_streams {
            match headers::split_body(message.headers.as_ref(), &mut message.payload) {
                Ok(body) => responder.body = body,
                Err(error) => return refuse(responder, error),
            }
        }
        let arrived = message.payload.len() as u64;
        let parameters = match check(&message.payload) {
            Ok(()) => Parameters::Whole(message.payload),
            Err(DecodeError::Truncated { missing, .. }) if responder.body.is_none() => {
                if arrived.saturating_add(missing) > self.limits.params_bytes_max as u64 {
                    return refuse(responder, self.limits.too_large());
                }
                let announced = (arrived + missing) as usize;
                let source = source(&responder.reply);
                let params = PendingParams::new(&message.payload, announced, &self.limits, source);
                let limits = self.limits.clone();
                responder.rest = Some(match responder.open() {
                    None => Partial::new(&self.connection, params, limits),
                    Some(inbox) => {
                        inbox.expect_params(params);
                        Partial {
                            inbox,
                            receiver: responder.receiver.clone(),
                            limits,
                        }
                    }
                });
                Parameters::Partial
            }
            Err(error) => {
                let text = format!("the parameters can't be decoded: {error}");
                return refuse(responder, Error::new(ErrorCode::ProtocolViolation, text));
            }
        };
        serve(Invocation {
            export,
            parameters,
            responder,
        });
    }
}

/// The inbox of the caller that wants its answers there.
fn source(reply: &str) -> Source {
    let inbox = reply.rsplit_once('.').map_or(reply, |(inbox, _)| inbox);
    Source(BuildHasherDefault::<DefaultHasher>::default().hash_one(inbox))
}

/// The way of the answers to one call.
pub struct Responder {
    connection: Connection,
    reply: Subject,
    receiver: Subject,
    accepted: bool,
    /// Of what arrives for streams, if parameters or results may have any.
    memory: Option<Memory>,
    /// What the caller takes of a stream, if it knows windows.
    window: Option<u64>,
    /// The body of the request, where it came with the parameters.
    body: Option<Bytes>,
    /// The rest of the parameters, while it is awaited.
    rest: Option<Partial>,
    /// Open from the moment on at which the caller may send something to it.
    inbox: Option<Arc<OpenMailbox>>,
}

impl OpenMailbox {
    fn open(connection: &Connection, mailbox: Mailbox) -> (Arc<Self>, Subject) {
        let (address, subject) = connection.open(mailbox);
        let connection = connection.clone();
        let inbox = Self {
            connection,
            address,
        };
        (Arc::new(inbox), subject)
    }

    fn expect_params(&self, params: PendingParams) {
        if let Some(Mailbox::Served(served)) = self.connection.mailboxes().get(self.address) {
            served.params = Some(params);
        }
    }
}

impl Respond for Responder {
    async fn accept(&mut self) {
        if self.accepted {
            return;
        }
        self.accepted = true;
        self.open();
        let (reply, receiver) = (self.reply.clone(), self.receiver.clone());
        let headers = self.window.map(|_| headers::of_streams(None));
        self.publish(reply, Some(receiver), headers, Bytes::new())
            .await;
    }

    async fn complete(&mut self) -> Result<Bytes, Error> {
        let Some(rest) = self.rest.take() else {
            let text = "there is no rest of the parameters to wait for";
            return Err(Error::new(ErrorCode::Internal, text));
        };
        self.receiver = rest.receiver.clone();
        self.accept().await;
        rest.arrived().await
    }

    fn take_body(&mut self) -> Option<Bytes> {
        self.body.take()
    }

    fn body_bytes(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len)
    }

    fn bodies(&self) -> Bodies {
        match self.window {
            Some(_) => Bodies::Either,
            // Upstream's callers on NATS read another form in the head.
            None => Bodies::Streamed,
        }
    }

    fn streams(&mut self) -> Option<Streaming> {
        let (inbox, end) = (self.open()?, End::Receiver(self.reply.clone()));
        let streams = MailboxStreams {
            mailbox: inbox,
            end,
        };
        Some(Streaming::new(Arc::new(streams)))
    }

    async fn begin(&mut self, results: Bytes) {
        self.accept().await;
        self.send_results(results, None).await;
    }

    async fn finish(mut self, result: Result<Bytes, Error>) {
        if let Ok(results) = &result
            && self.window.is_some()
            && !self.accepted
            && results.len() <= self.connection.max_payload()
        {
            let subject = subject::whole(&self.reply);
            return self.publish(subject, None, None, results.clone()).await;
        }
        self.accept().await;
        match result {
            Ok(results) => self.send_results(results, None).await,
            Err(error) => self.send_results(Bytes::new(), Some(&error)).await,
        }
    }

    /// Only the caller of a call with streams says that it has gone.
    async fn caller_gone(&self) {
        match &self.inbox {
            None => std::future::pending().await,
            Some(inbox) => {
                let (mailbox, end) = (Arc::clone(inbox), End::Receiver(self.reply.clone()));
                streams::cancelled(&MailboxStreams { mailbox, end }).await;
            }
        }
    }
}

impl Responder {
    /// The inbox of a call that may have streams.
    fn open(&mut self) -> Option<Arc<OpenMailbox>> {
        if let (Some(memory), None) = (&self.memory, &self.inbox) {
            let mut served = Box::new(ServedMailbox::default());
            served.streams.open_window(self.window);
            served.streams.count_in(memory);
            let (inbox, receiver) = OpenMailbox::open(&self.connection, Mailbox::Served(served));
            self.receiver = receiver;
            self.inbox = Some(inbox);
        }
        self.inbox.clone()
    }

    async fn send_results(&self, mut results: Bytes, error: Option<&Error>) {
        let subject = subject::results(&self.reply);
        let chunk_max = self.connection.max_payload().max(1);
        while !results.is_empty() {
            let chunk = results.split_to(results.len().min(chunk_max));
            self.publish(subject.clone(), None, None, chunk).await;
        }
        let headers = error.map(|error| headers::from_error(error, chunk_max));
        self.publish(subject, None, headers, Bytes::new()).await;
    }

    /// A caller that can't be reached learns it by its own deadline.
    async fn publish(
        &self,
        subject: Subject,
        reply: Option<Subject>,
        headers: Option<Headers>,
        payload: Bytes,
    ) {
        if let Err(error) = self
            .connection
            .publish(subject, reply, headers, payload)
            .await
        {
            tracing::warn!(%error, "an answer was lost");
        }
    }
}

/// Parameters of which the beginning has arrived.
struct Partial {
    inbox: Arc<OpenMailbox>,
    receiver: Subject,
    limits: Limits,
}

impl Partial {
    fn new(connection: &Connection, params: PendingParams, limits: Limits) -> Self {
        let (inbox, receiver) = OpenMailbox::open(connection, Mailbox::Params(params));
        Self {
            inbox,
            receiver,
            limits,
        }
    }

    /// Waits for the rest.
    async fn arrived(self) -> Result<Bytes, Error> {
        let arrived = poll_fn(|context| {
            let mut mailboxes = self.inbox.connection.mailboxes();
            let params = mailboxes
                .get(self.inbox.address)
                .and_then(|mailbox| mailbox.params());
            let Some(params) = params else {
                unreachable!("the mailbox of parameters is open as long as they are awaited");
            };
            params.poll(context)
        });
        match tokio::time::timeout(self.limits.params_timeout, arrived).await {
            Ok(arrived) => arrived,
            Err(_) => Err(self.limits.params_late()),
        }
    }
}

impl Connection {
    /// Waits until the server has handled all that was sent before, unless it refuses this
    /// connection or its inbox.
    pub async fn round_trip(&self) -> Result<(), Error> {
        const LIMIT: Duration = Duration::from_secs(5);
        tokio::select! {
            biased;
            refused = self.refused() => Err(refused),
            flushed = tokio::time::timeout(LIMIT, self.flush()) => flushed.unwrap_or_else(|_| {
                Err(Error::new(
                    ErrorCode::ConnectionLost,
                    format!("NATS at {} does not answer", self.peers()),
                ))
            }),
        }
    }
}
