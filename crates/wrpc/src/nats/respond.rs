//! The answers to a served call, and further messages of its caller.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::Bytes;

use super::connection::Connection;
use super::headers;
use super::mailbox::{Mailbox, ServedMailbox};
use super::open_mailbox::OpenMailbox;
use super::streams::{End, MailboxStreams};
use super::subject;
use crate::core_nats::{Headers, Subject};
use crate::http::Streaming;
use crate::memory::Memory;
use crate::pending_params::PendingParams;
use crate::serve::{Bodies, Limits, Respond};
use crate::streams;
use crate::{Error, ErrorCode};

/// Answers one call.
pub struct Responder {
    connection: Connection,
    reply: Subject,
    receiver: Subject,
    accepted: bool,
    /// The account for the data of streams, if parameters or results may have any.
    memory: Option<Memory>,
    /// The caller's window, if it supports windows.
    window: Option<u64>,
    /// The body of the request, if it came with the parameters.
    body: Option<Bytes>,
    /// The awaited rest of the parameters.
    rest: Option<Partial>,
    /// The mailbox of the call, open as soon as the caller may send to it.
    inbox: Option<Arc<OpenMailbox>>,
}

impl Responder {
    /// A responder for a call on `connection`. `nowhere` is Rs for calls that expect no
    /// further messages. With `memory`, parameters or results may have streams.
    pub(super) fn new(
        connection: Connection,
        reply: Subject,
        nowhere: Subject,
        memory: Option<Memory>,
        window: Option<u64>,
    ) -> Self {
        Self {
            connection,
            reply,
            receiver: nowhere,
            accepted: false,
            memory,
            window,
            body: None,
            rest: None,
            inbox: None,
        }
    }

    /// The subject for the answers.
    pub(super) fn reply(&self) -> &str {
        &self.reply
    }

    /// Sets the body that came with the parameters.
    pub(super) fn set_body(&mut self, body: Option<Bytes>) {
        self.body = body;
    }

    pub(super) fn has_body(&self) -> bool {
        self.body.is_some()
    }

    /// Expects the rest of the parameters.
    pub(super) fn expect(&mut self, params: PendingParams, limits: Limits) {
        self.rest = Some(match self.open() {
            None => Partial::new(&self.connection, params, limits),
            Some(inbox) => {
                inbox.expect_params(params);
                Partial {
                    inbox,
                    receiver: self.receiver.clone(),
                    limits,
                }
            }
        });
    }
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
            let text = "there are no more parameters to wait for";
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
            // Upstream's callers on NATS expect another form in the head.
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

    /// Only the caller of a call with streams tells that it has gone.
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
    /// Opens the mailbox of a call that may have streams.
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

    /// A caller that can't be reached finds out by its own deadline.
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

/// Parameters whose beginning has arrived.
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
