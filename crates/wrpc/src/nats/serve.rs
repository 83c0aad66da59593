//! Serves calls: receives message 1, sends messages 2 to 4.

use std::future::{Future, poll_fn};
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::SelectAll;
use futures_util::{FutureExt as _, Stream, StreamExt as _};

use super::connection::Connection;
use super::headers;
use super::subject;
use super::twins::Twins;
use crate::core_nats::{Message, Subject, Subscription};
use crate::memory::Source;
use crate::pending_params::PendingParams;
use crate::serve::{Check, Export, Invocation, Limits, Parameters, Respond as _};
use crate::value::DecodeError;
use crate::{Error, ErrorCode};

pub use super::respond::Responder;

/// The functions served over a connection.
pub struct Server {
    origin: Arc<Origin>,
    group: Option<String>,
    functions: Vec<Function>,
    calls: SelectAll<Calls>,
    limits: Limits,
    twins: Twins,
}

struct Function {
    name: Subject,
    check: Check,
    has_streams: bool,
}

/// The connection on which calls arrive and are answered.
struct Origin {
    connection: Connection,
    /// Rs for calls that expect no further messages.
    nowhere: Subject,
}

/// The subscription of one function.
struct Calls {
    export: usize,
    origin: Arc<Origin>,
    subscriber: Subscription,
}

impl Stream for Calls {
    type Item = (usize, Arc<Origin>, Message);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = std::task::ready!(self.subscriber.poll_next_unpin(context));
        let call = message.map(|message| (self.export, Arc::clone(&self.origin), message));
        Poll::Ready(call)
    }
}

/// How long other servers of a cluster may take to learn of a subscription.
const SETTLED: Duration = Duration::from_millis(250);

/// An event while calls are served.
enum Next {
    Call(usize, Arc<Origin>, Message),
    /// The connection is closed.
    Closed,
    Stop,
    /// Another client has taken over from the one of `origin`.
    Moved,
    /// The new client has all subscriptions, and the old one none.
    TakenOver,
}

impl Server {
    /// Subscribes to the functions. With a `group`, the servers of the group share the
    /// calls.
    pub async fn new(
        connection: Connection,
        prefix: &str,
        group: Option<&str>,
        exports: Vec<Export>,
        limits: Limits,
    ) -> Result<Self, Error> {
        let function = |export: Export| {
            Ok(Function {
                name: subject::function(prefix, &export.instance, &export.function)?,
                check: export.check,
                has_streams: export.has_streams,
            })
        };
        let connection = connection.moved().unwrap_or(connection);
        let mut server = Self {
            origin: Arc::new(Origin::new(connection)),
            group: group.map(str::to_owned),
            functions: exports
                .into_iter()
                .map(function)
                .collect::<Result<_, Error>>()?,
            calls: SelectAll::new(),
            limits,
            twins: Twins::default(),
        };
        server.subscribe()?;
        // The server's refusals arrive before the answer to this.
        let connection = &server.origin.connection;
        connection.round_trip().await?;
        for function in &server.functions {
            connection.is_subscribed(&function.name)?;
        }
        Ok(server)
    }

    /// Subscribes to all functions through `origin`.
    fn subscribe(&mut self) -> Result<(), Error> {
        for (export, function) in self.functions.iter().enumerate() {
            let origin = Arc::clone(&self.origin);
            let group = self.group.as_deref();
            let subscriber = origin.connection.subscribe(&function.name, group)?;
            self.calls.push(Calls {
                export,
                origin,
                subscriber,
            });
        }
        Ok(())
    }

    /// Hands every call to `serve` until `stop` completes. Then it takes no new calls,
    /// hands over those that the server had sent already, and returns.
    ///
    /// `serve` must not block, because calls arrive one after the other.
    pub async fn run(
        mut self,
        stop: impl Future<Output = ()>,
        serve: impl Fn(Invocation<Responder>),
    ) {
        let mut stop = pin!(stop);
        let mut moved = self.origin.left();
        let mut taking_over: Option<BoxFuture<'static, ()>> = None;
        loop {
            let next = poll_fn(|context| {
                match self.calls.poll_next_unpin(context) {
                    Poll::Ready(Some((export, origin, message))) => {
                        return Poll::Ready(Next::Call(export, origin, message));
                    }
                    Poll::Ready(None) => return Poll::Ready(Next::Closed),
                    Poll::Pending => {}
                }
                if stop.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Next::Stop);
                }
                match &mut taking_over {
                    Some(taking_over) => taking_over.poll_unpin(context).map(|()| Next::TakenOver),
                    None => moved.poll_unpin(context).map(|()| Next::Moved),
                }
            });
            match next.await {
                Next::Call(export, origin, message) => {
                    self.accept(export, &origin, message, &serve);
                }
                Next::Closed => return,
                Next::Stop => break,
                Next::Moved => {
                    taking_over = self.take_over();
                    moved = self.origin.left();
                }
                Next::TakenOver => {
                    taking_over = None;
                    self.close_all_but(Some(&Arc::clone(&self.origin)));
                    self.twins.end();
                }
            }
        }
        let mut origins: Vec<Arc<Origin>> = Vec::new();
        for calls in self.calls.iter() {
            calls.origin.connection.unsubscribe(calls.subscriber.sid());
            if !origins
                .iter()
                .any(|known| Arc::ptr_eq(known, &calls.origin))
            {
                origins.push(Arc::clone(&calls.origin));
            }
        }
        for origin in origins {
            // A connection that is down has nothing to drain.
            let _ = origin.connection.flush_own().await;
        }
        self.close_all_but(None);
        while let Some((export, origin, message)) = self.calls.next().await {
            self.accept(export, &origin, message, &serve);
        }
    }

    /// Subscribes through the client that has taken over. Until calls are sure to arrive
    /// there, they may also arrive through the old client.
    fn take_over(&mut self) -> Option<BoxFuture<'static, ()>> {
        let connection = self.origin.connection.moved()?;
        let left = std::mem::replace(&mut self.origin, Arc::new(Origin::new(connection)));
        self.twins.begin();
        if let Err(error) = self.subscribe() {
            tracing::warn!(%error, "no calls come by way of the server that has taken over");
        }
        let subscriptions = (self.calls.iter())
            .filter(|calls| Arc::ptr_eq(&calls.origin, &left))
            .map(|calls| calls.subscriber.sid())
            .collect::<Vec<_>>();
        let origin = Arc::clone(&self.origin);
        let taking_over = async move {
            if let Err(error) = origin.connection.round_trip().await {
                tracing::warn!(%error, "the server that has taken over");
            }
            tokio::time::sleep(SETTLED).await;
            for sid in subscriptions {
                left.connection.unsubscribe(sid);
            }
            let _ = left.connection.flush_own().await;
        };
        Some(taking_over.boxed())
    }

    /// Closes all other subscriptions.
    fn close_all_but(&self, origin: Option<&Arc<Origin>>) {
        for calls in self.calls.iter() {
            if !origin.is_some_and(|origin| Arc::ptr_eq(origin, &calls.origin)) {
                calls.subscriber.close();
            }
        }
    }

    fn accept(
        &mut self,
        export: usize,
        origin: &Origin,
        mut message: Message,
        serve: &impl Fn(Invocation<Responder>),
    ) {
        let window = headers::window_of(&message);
        let traceparent = headers::traceparent(message.headers.as_ref());
        let Some(reply) = message.reply else {
            tracing::warn!("a call without a reply subject was ignored");
            return;
        };
        if self.twins.is_second(&reply) {
            return;
        }
        let Function {
            check, has_streams, ..
        } = &self.functions[export];
        let memory = has_streams.then(|| self.limits.memory.clone());
        let connection = origin.connection.clone();
        let nowhere = origin.nowhere.clone();
        let mut responder = Responder::new(connection, reply, nowhere, memory, window);
        let refuse = |responder: Responder, error: Error| {
            tokio::spawn(responder.finish(Err(error)));
        };
        if *has_streams {
            match headers::split_body(message.headers.as_ref(), &mut message.payload) {
                Ok(body) => responder.set_body(body),
                Err(error) => return refuse(responder, error),
            }
        }
        let arrived = message.payload.len() as u64;
        let parameters = match check(&message.payload) {
            Ok(()) => Parameters::Whole(message.payload),
            Err(DecodeError::Truncated { missing, .. }) if !responder.has_body() => {
                if arrived.saturating_add(missing) > self.limits.params_bytes_max as u64 {
                    return refuse(responder, self.limits.too_large());
                }
                let announced = (arrived + missing) as usize;
                let source = source(responder.reply());
                let params = PendingParams::new(&message.payload, announced, &self.limits, source);
                responder.expect(params, self.limits.clone());
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
            traceparent,
            responder,
        });
    }
}

impl Origin {
    fn new(connection: Connection) -> Self {
        Self {
            nowhere: connection.nowhere(),
            connection,
        }
    }

    /// Waits until another client has taken over from this one.
    fn left(&self) -> BoxFuture<'static, ()> {
        let connection = self.connection.clone();
        async move { connection.left().await }.boxed()
    }
}

/// The inbox of the caller to which its answers go.
fn source(reply: &str) -> Source {
    let inbox = reply.rsplit_once('.').map_or(reply, |(inbox, _)| inbox);
    Source(BuildHasherDefault::<DefaultHasher>::default().hash_one(inbox))
}
