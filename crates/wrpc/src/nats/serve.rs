//! Calls served: message 1 in, messages 2 to 4 out.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::{HeaderMap, Message, Subject, Subscriber};
use bytes::Bytes;
use futures_util::stream::SelectAll;
use futures_util::{Stream, StreamExt as _};

use super::connection::Connection;
use super::headers;
use super::mailbox::{Address, Mailbox};
use super::subject;
use crate::pending_params::{Arrival, PendingParams};
use crate::serve::{self, Check, Export, Invocation, Limits, Parameters};
use crate::value::DecodeError;
use crate::{Error, ErrorCode};

/// The functions served over a connection.
pub struct Server {
    connection: Connection,
    checks: Vec<Check>,
    calls: SelectAll<Calls>,
    limits: Limits,
    /// Rs for calls of which nothing more is expected.
    nowhere: Subject,
}

/// The subscription of one function.
struct Calls {
    export: usize,
    subscriber: Subscriber,
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
        for (index, export) in exports.into_iter().enumerate() {
            let name = subject::function(prefix, &export.instance, &export.function)?;
            let subscriber = connection.subscribe(name, group).await?;
            calls.push(Calls {
                export: index,
                subscriber,
            });
            checks.push(export.check);
        }
        connection.round_trip().await?;
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
    pub async fn run(mut self, stop: impl Future<Output = ()>, serve: impl Fn(Invocation)) {
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
        for calls in self.calls.iter_mut() {
            // A connection that is down has nothing to drain.
            let _ = calls.subscriber.drain().await;
        }
        while let Some((export, message)) = self.calls.next().await {
            self.accept(export, message, &serve);
        }
    }

    fn accept(&self, export: usize, message: Message, serve: &impl Fn(Invocation)) {
        let Some(reply) = message.reply else {
            tracing::warn!(subject = %message.subject, "a call without a reply subject was ignored");
            return;
        };
        let responder = Responder {
            connection: self.connection.clone(),
            reply,
            receiver: self.nowhere.clone(),
            accepted: false,
        };
        let refuse = |code, message: String| {
            let responder = responder.clone();
            tokio::spawn(responder.finish(Err(Error::new(code, message))));
        };
        let arrived = message.payload.len() as u64;
        let parameters = match (self.checks[export])(&message.payload) {
            Ok(()) => Parameters::Whole(message.payload),
            Err(DecodeError::Truncated { missing, .. }) => {
                let limit = self.limits.params_bytes_max as u64;
                if arrived.saturating_add(missing) > limit {
                    return refuse(
                        ErrorCode::PayloadTooLarge,
                        format!("the parameters are larger than {limit} bytes"),
                    );
                }
                Parameters::Partial(serve::Partial::Nats(Partial::new(
                    self.connection.clone(),
                    message.payload,
                    self.limits.params_bytes_max,
                    self.limits.params_timeout,
                )))
            }
            Err(error) => {
                return refuse(
                    ErrorCode::ProtocolViolation,
                    format!("the parameters can't be decoded: {error}"),
                );
            }
        };
        serve(Invocation {
            export,
            parameters,
            responder: serve::Responder::Nats(responder),
        });
    }
}

/// The way of the answers to one call.
#[derive(Clone)]
pub struct Responder {
    connection: Connection,
    reply: Subject,
    receiver: Subject,
    accepted: bool,
}

impl Responder {
    /// Tells the caller that the call was accepted. Once is enough, and
    /// [`Responder::finish`] does it where it wasn't done.
    pub async fn accept(&mut self) {
        if self.accepted {
            return;
        }
        self.accepted = true;
        let (reply, receiver) = (self.reply.clone(), self.receiver.clone());
        self.publish(reply, Some(receiver), None, Bytes::new())
            .await;
    }

    /// Sends the results, or what went wrong.
    pub async fn finish(mut self, result: Result<Bytes, Error>) {
        self.accept().await;
        let subject = subject::results(&self.reply);
        let headers = match result {
            Ok(mut results) => {
                let chunk_max = self.connection.max_payload().max(1);
                while !results.is_empty() {
                    let chunk = results.split_to(results.len().min(chunk_max));
                    self.publish(subject.clone(), None, None, chunk).await;
                }
                None
            }
            Err(error) => Some(headers::from_error(&error)),
        };
        self.publish(subject, None, headers, Bytes::new()).await;
    }

    /// A caller that can't be reached learns it by its own deadline.
    async fn publish(
        &self,
        subject: Subject,
        reply: Option<Subject>,
        headers: Option<HeaderMap>,
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
pub struct Partial {
    connection: Connection,
    address: Address,
    receiver: Subject,
    timeout: Duration,
}

impl Partial {
    fn new(connection: Connection, beginning: Bytes, bytes_max: usize, timeout: Duration) -> Self {
        let params = PendingParams::new(beginning, bytes_max);
        let (address, receiver) = connection.open(Mailbox::Params(params));
        Self {
            connection,
            address,
            receiver,
            timeout,
        }
    }

    /// Accepts the call, which makes its caller send the rest, and waits for that.
    pub async fn complete(self, responder: &mut Responder) -> Result<Bytes, Error> {
        responder.receiver = self.receiver.clone();
        responder.accept().await;
        self.arrived().await
    }

    async fn arrived(self) -> Result<Bytes, Error> {
        let arrived = poll_fn(|context| {
            let mut mailboxes = self.connection.mailboxes();
            let Some(Mailbox::Params(params)) = mailboxes.get(self.address) else {
                unreachable!("the mailbox of parameters is open as long as they are awaited");
            };
            params.poll(context)
        });
        match tokio::time::timeout(self.timeout, arrived).await {
            Ok(Arrival::TooLarge) => Err(Error::new(
                ErrorCode::PayloadTooLarge,
                "the parameters are larger than the receiver takes",
            )),
            Ok(Arrival::Whole(bytes)) => Ok(bytes),
            Err(_) => Err(Error::new(
                ErrorCode::Timeout,
                format!(
                    "the parameters did not arrive whole within {:?}",
                    self.timeout
                ),
            )),
        }
    }
}

impl Connection {
    /// Returns when the server has handled all that was sent before: a message of
    /// ours to ourselves has come back. A flush just empties our own buffers.
    pub async fn round_trip(&self) -> Result<(), Error> {
        let message = Partial::new(self.clone(), Bytes::new(), 0, Duration::from_secs(5));
        let own = subject::params(&message.receiver);
        self.publish(own, None, None, Bytes::new()).await?;
        message.arrived().await.map(drop).map_err(|_| {
            Error::new(
                ErrorCode::ConnectionLost,
                format!("NATS at {} does not answer", self.peers()),
            )
        })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        self.connection.close(self.address);
    }
}
