//! Makes calls.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWrite as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout, timeout_at};

use super::READ_BYTES;
use super::connection::SharedConnection;
use super::connector::Connector;
use super::frames::{self, Decoder, EMPTY, Event, FRAME_BYTES_MAX, FunctionNames};
use super::messages::PREFACE;
use super::options::Options;
use crate::chunks::Chunks;
use crate::http::read_response;
use crate::http::{Message, Part, RequestHead, Response};
use crate::on_demand::OnDemand;
use crate::outbox::Outbox;
use crate::pending_call::{exceeds_result_limit, timed_out, timed_out_connecting};
use crate::socket::Stream;
use crate::{Counters, Error, ErrorCode, Outcome, Timing, Traffic};

/// A receiver for calls. The first call connects.
pub struct Remote {
    connector: Arc<Connector>,
    shared: OnDemand<Way>,
    /// Whether the receiver has answered like one of ours on a connection of one call.
    is_ours: AtomicBool,
    /// Whether the receiver recognises the last frame as the end of parameters, as far as
    /// the last such call showed.
    sees_ends: AtomicBool,
}

/// Whether a successful call always has results.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Results {
    Always,
    Perhaps,
}

/// How the receiver wants calls to be sent.
#[derive(Clone)]
enum Way {
    Shared(SharedConnection),
    /// On a connection for each call, because it closed the connection after the preface.
    Single,
}

impl Remote {
    /// A receiver with these options.
    pub fn new(options: Options) -> Self {
        Self::counted(options, Arc::default())
    }

    /// A receiver, with counters of how connections to it are made.
    pub fn counted(options: Options, counters: Arc<Counters>) -> Self {
        Self {
            connector: Arc::new(Connector::new(options, counters)),
            shared: OnDemand::default(),
            is_ours: AtomicBool::new(false),
            sees_ends: AtomicBool::new(false),
        }
    }

    /// The address of the receiver.
    pub fn peer(&self) -> &str {
        self.connector.peer()
    }

    /// Calls a function. The result is the outcome, or an error no later than `deadline`.
    /// Dropping the future cancels the call.
    pub async fn call(
        &self,
        function: &FunctionNames,
        params: Bytes,
        deadline: Instant,
    ) -> Outcome {
        match self.way(deadline).await {
            Ok(Way::Shared(connection)) => connection.call(function, params, deadline).await,
            Ok(Way::Single) => {
                self.call_single(function, params, Results::Perhaps, deadline)
                    .await
            }
            Err(error) => Outcome::unsent(error),
        }
    }

    async fn way(&self, deadline: Instant) -> Result<Way, Error> {
        if !self.connector.options().reuse {
            return Ok(Way::Single);
        }
        let mut way = pin!(self.shared.get(
            |way| match way {
                Way::Shared(connection) => connection.is_usable(),
                Way::Single => !self.is_ours.swap(false, Ordering::Relaxed),
            },
            || connect_shared(Arc::clone(&self.connector)),
        ));
        match way.as_mut().now_or_never() {
            Some(way) => way,
            None => timeout_at(deadline.into(), way)
                .await
                .unwrap_or_else(|_| Err(self.not_connected())),
        }
    }

    /// Makes an HTTP request. The result is the head of a response, or an error no later
    /// than `deadline`. The body of the response is read afterwards, under the same
    /// deadline. Dropping the future, or the body, cancels the call.
    ///
    /// On a connection of one call, bodies are part of parameters and results, which
    /// limits their size.
    pub async fn http(
        &self,
        function: &FunctionNames,
        head: RequestHead,
        body: Bytes,
        deadline: Instant,
    ) -> Outcome<Response> {
        match self.way(deadline).await {
            Ok(Way::Shared(connection)) => connection.http(function, head, body, deadline).await,
            Ok(Way::Single) => {
                let request = Message {
                    head,
                    body: Part::Ready(body),
                    trailers: Part::Ready(None),
                };
                let params = request.encode().into();
                let outcome = self
                    .call_single(function, params, Results::Always, deadline)
                    .await;
                outcome.and_then(|results| read_response(&results, None))
            }
            Err(error) => Outcome::unsent(error),
        }
    }

    async fn call_single(
        &self,
        function: &FunctionNames,
        params: Bytes,
        results: Results,
        deadline: Instant,
    ) -> Outcome {
        let half_close = self.connector.options().half_close;
        let half_closes = half_close.unwrap_or(results == Results::Always || params.is_empty());
        let mut call = SingleCall {
            half_closes: half_closes && !self.sees_ends.load(Ordering::Relaxed),
            ..SingleCall::default()
        };
        let answered = async {
            let mut held = Held {
                stream: self.connector.connect().await?,
                is_over: false,
            };
            let result = call
                .run(&mut held.stream, function, params, &self.connector)
                .await;
            held.is_over = true;
            result
        };
        let ended = timeout_at(deadline.into(), answered).await;
        let mut result = ended.unwrap_or_else(|_| Err(call.timed_out(self)));
        let is_ours = call.timing.accepted.is_some();
        if is_ours {
            self.is_ours.store(true, Ordering::Relaxed);
        }
        self.sees_ends.store(is_ours, Ordering::Relaxed);
        // It isn't known what the receiver did, but there is no result.
        if results == Results::Always && result.is_ok() && call.results.len() == 0 {
            result = Err(call.gone(&self.connector, "it was closed without an answer"));
        }
        call.timing.finished = Some(Instant::now());
        if call.is_sending {
            call.timing.uploaded = call.timing.finished;
        }
        self.connector.counters().carried(call.traffic);
        let results = call.results;
        Outcome {
            result: result.map(|()| results.into_bytes()),
            timing: call.timing,
            traffic: call.traffic,
        }
    }

    fn not_connected(&self) -> Error {
        timed_out_connecting(self.peer())
    }
}

/// Connects and asks the receiver whether calls may share the connection.
async fn connect_shared(connector: Arc<Connector>) -> Result<Way, Error> {
    let mut stream = connector.connect().await?;
    let peer = connector.peer();
    let limit = connector.options().connect_timeout;
    match timeout(limit, swap_prefaces(&mut stream, peer, limit / 2)).await {
        Ok(Ok(true)) => Ok(Way::Shared(SharedConnection::new(
            stream,
            Arc::clone(&connector),
        ))),
        Ok(Ok(false)) => Ok(Way::Single),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(Error::new(
            ErrorCode::ConnectionRefused,
            format!("{peer} took the connection and did not answer within {limit:?}"),
        )),
    }
}

/// Whether the receiver is one of ours. A receiver that sends nothing for `patience` may
/// wait for the end of our data.
async fn swap_prefaces(stream: &mut Stream, peer: &str, patience: Duration) -> Result<bool, Error> {
    let sent = async {
        stream.write_all(PREFACE).await?;
        stream.flush().await
    };
    if sent.await.is_err() {
        return Ok(false); // closed, as upstream's receivers do
    }
    let mut inbox = BytesMut::with_capacity(256);
    let mut frames = Decoder::default();
    let mut silence = pin!(sleep(patience));
    let mut is_shut = false;
    loop {
        let read = tokio::select! {
            read = stream.read_buf(&mut inbox) => read,
            () = silence.as_mut(), if !is_shut => {
                is_shut = true;
                let _ = stream.shutdown().await;
                continue;
            }
        };
        match read {
            Ok(0) | Err(_) if inbox.is_empty() => return Ok(false),
            Ok(count) if count > 0 => {}
            _ => return Err(not_wrpc(peer, &inbox)),
        }
        if inbox.len() >= PREFACE.len() && inbox.starts_with(&PREFACE[..PREFACE.len() - 1]) {
            return match &inbox[..] == PREFACE {
                true => Ok(true),
                false => Err(frames::violation(format!(
                    "{peer} speaks another version of the shared wire"
                ))),
            };
        }
        // A receiver that accepts no more connections sends the reason in a frame.
        if !PREFACE.starts_with(&inbox) {
            match frames.next(&mut inbox) {
                Ok(Some(Event::Error(error))) => return Err(error),
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => return Err(not_wrpc(peer, &inbox)),
            }
        }
    }
}

fn not_wrpc(peer: &str, answer: &[u8]) -> Error {
    // A TLS alert has this first byte.
    let hint = match answer.first() {
        Some(0x15) => ": it seems to expect TLS",
        _ => "",
    };
    frames::violation(format!("{peer} does not speak wRPC{hint}"))
}

/// The connection of a call that may be cancelled. A reset tells every receiver, but a
/// FIN alone may just be the end of the parameters.
struct Held {
    stream: Stream,
    is_over: bool,
}

impl Drop for Held {
    fn drop(&mut self) {
        if !self.is_over {
            self.stream.reset_when_dropped();
        }
    }
}

/// A call on its own connection.
#[derive(Default)]
struct SingleCall {
    results: Chunks,
    timing: Timing,
    traffic: Traffic,
    /// Whether parameters still have to be sent.
    is_sending: bool,
    is_ended: bool,
    /// Whether parameters end with the connection's write side, instead of with a frame.
    half_closes: bool,
}

impl SingleCall {
    async fn run(
        &mut self,
        stream: &mut Stream,
        function: &FunctionNames,
        params: Bytes,
        connector: &Connector,
    ) -> Result<(), Error> {
        let counters = connector.counters();
        let marks_end = !self.half_closes || params.is_empty();
        let (mut out, frames_sent) = encode(function, params, marks_end);
        counters.messages_sent(frames_sent);
        self.traffic.bytes_sent = out.len() as u64;
        self.timing.sent = Some(Instant::now());
        self.is_sending = true;
        let mut inbox = BytesMut::new();
        let mut frames = Decoder::default();
        let mut can_write = true;
        let mut is_shut = !self.half_closes;
        loop {
            // Write and read at once, because a receiver may refuse what it hasn't read.
            let read = poll_fn(|context| {
                if can_write && !out.is_done() {
                    // What the receiver sent before it stopped reading counts.
                    let written = out.poll_write(stream, context);
                    can_write = !matches!(written, Poll::Ready(Err(_)));
                    if out.is_done() {
                        self.is_sending = false;
                        self.timing.uploaded = Some(Instant::now());
                    }
                }
                if !is_shut && !self.is_sending {
                    is_shut = Pin::new(&mut *stream).poll_shutdown(context).is_ready();
                }
                inbox.reserve(if frames.is_within_frame(&inbox) {
                    READ_BYTES
                } else {
                    512
                });
                pin!(stream.read_buf(&mut inbox)).poll(context)
            });
            match read.await {
                // Neither is a valid end on any wire.
                Ok(0) if frames.is_within_frame(&inbox) || !out.is_done() => {
                    return Err(self.gone(connector, "the receiver closed it"));
                }
                Ok(0) => return self.closed(connector),
                Ok(count) => self.traffic.bytes_received += count as u64,
                Err(error) => return Err(self.gone(connector, &error)),
            }
            while let Some(event) = frames.next(&mut inbox).map_err(|error| match error.code {
                ErrorCode::ProtocolViolation if self.timing.accepted.is_none() => {
                    let peer = connector.peer();
                    Error::new(error.code, format!("{peer} does not speak wRPC: {error}"))
                }
                _ => error,
            })? {
                counters.message_received();
                self.take(event)?;
            }
            if self.is_ended {
                // Both ends have sent everything. Without a reset, our port would stay in
                // use for a minute.
                stream.reset_when_dropped();
                return Ok(());
            }
        }
    }

    fn take(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Error(error) => Err(error),
            Event::Empty if self.timing.accepted.is_some() => {
                self.is_ended = true;
                Ok(())
            }
            Event::Empty => {
                self.timing.accepted = Some(Instant::now());
                Ok(())
            }
            Event::Data(data) => match exceeds_result_limit(self.results.len() + data.len()) {
                Some(error) => Err(error),
                None => {
                    self.results.push(data);
                    Ok(())
                }
            },
        }
    }

    /// Handles a connection that the receiver closed after whole frames.
    fn closed(&self, connector: &Connector) -> Result<(), Error> {
        match self.timing.accepted {
            // Upstream ends a call in this way, whether it succeeded or not.
            None => Ok(()),
            Some(_) => Err(self.gone(connector, "the receiver closed it")),
        }
    }

    fn gone(&self, connector: &Connector, reason: impl std::fmt::Display) -> Error {
        // The next call's connection counts as a new one, not as a reconnect.
        connector.counters().lost();
        let peer = connector.peer();
        let text = format!("the connection to {peer} was lost: {reason}");
        match self.timing.accepted {
            None => Error::new(ErrorCode::ConnectionLost, text),
            Some(_) => Error::new(
                ErrorCode::ReceiverGone,
                format!("the receiver accepted the call and is gone: {text}"),
            ),
        }
    }

    fn timed_out(&self, remote: &Remote) -> Error {
        match self.timing.sent {
            None => remote.not_connected(),
            sent => {
                let mut error = timed_out(sent, self.timing.accepted);
                if self.timing.accepted.is_none() && !self.half_closes {
                    error.message.push_str(
                        "; a receiver that reads to the end of what is sent needs half_close",
                    );
                }
                error
            }
        }
    }
}

/// The header and the parameters, and the number of frames; the header belongs to the
/// first one.
fn encode(function: &FunctionNames, mut params: Bytes, marks_end: bool) -> (Outbox, u64) {
    let mut frames = u64::from(marks_end);
    let mut out = Outbox::default();
    let mut head = Vec::with_capacity(function.names().len() + 8);
    frames::put_header(function, &mut head);
    while !params.is_empty() {
        let frame = params.split_to(params.len().min(FRAME_BYTES_MAX));
        frames::put_head(frame.len(), &mut head);
        out.put(&head);
        out.put_bytes(frame);
        head.clear();
        frames += 1;
    }
    out.put(&head);
    if marks_end {
        out.put(EMPTY);
    }
    (out, frames)
}
