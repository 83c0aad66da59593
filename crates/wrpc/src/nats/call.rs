//! A call made: message 1 out, messages 2 to 4 back.

use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use async_nats::{Message, StatusCode, Subject};
use bytes::{Bytes, BytesMut};

use super::connection::{Address, Connection, Mailbox, Traffic};
use super::serve::error_from_headers;
use super::subject;
use crate::{Error, ErrorCode};

/// A call that was accepted and isn't answered is probed this often: its
/// receiver may have died, and NATS doesn't say so by itself.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Results beyond this are refused.
const RESULT_BYTES_MAX: usize = 256 << 20;

/// The part of a reply subject on which the answer to a probe arrives.
const PROBE: &str = "probe";

/// When things happened. What didn't happen is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// Message 1 was handed to the connection.
    pub sent: Option<Instant>,
    /// The receiver's message 2 arrived.
    pub accepted: Option<Instant>,
    /// The end of the result arrived, or the failure was known.
    pub finished: Option<Instant>,
}

/// What became of a call.
#[derive(Debug)]
pub struct Outcome {
    /// The bytes of the results, or what went wrong.
    pub result: Result<Bytes, Error>,
    /// When things happened.
    pub timing: Timing,
    /// Bytes of payload and subjects, both ways.
    pub traffic: Traffic,
}

/// The mailbox of a call.
#[derive(Default)]
pub(super) struct PendingCall {
    waker: Option<Waker>,
    accepted: Option<Instant>,
    /// Rs, the subject of the receiver's side.
    receiver: Option<Subject>,
    results: Results,
    bytes_received: u64,
    finished: Option<(Instant, Result<(), Error>)>,
}

/// Most results are one message: kept as it came.
#[derive(Default)]
enum Results {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Results {
    fn push(&mut self, chunk: &Bytes) {
        match self {
            Results::None => *self = Results::One(chunk.clone()),
            Results::One(first) => {
                let mut all = BytesMut::with_capacity(first.len() + chunk.len());
                all.extend_from_slice(first);
                all.extend_from_slice(chunk);
                *self = Results::Many(all);
            }
            Results::Many(all) => all.extend_from_slice(chunk),
        }
    }

    fn len(&self) -> usize {
        match self {
            Results::None => 0,
            Results::One(one) => one.len(),
            Results::Many(all) => all.len(),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Results::None => Bytes::new(),
            Results::One(one) => one,
            Results::Many(all) => all.freeze(),
        }
    }
}

impl PendingCall {
    pub(super) fn deliver(&mut self, part: &str, message: &Message, now: Instant, peers: &str) {
        self.bytes_received += message.length as u64;
        let no_responders = message.status == Some(StatusCode::NO_RESPONDERS);
        match part {
            "" if no_responders => self.fail(
                Error::new(
                    ErrorCode::NoResponders,
                    format!("nobody serves the function on NATS at {peers}"),
                ),
                now,
            ),
            "" if self.accepted.is_none() => {
                self.accepted = Some(now);
                self.receiver = message.reply.clone();
                self.wake(); // parameters may wait to be sent on
            }
            "results" if message.payload.is_empty() => {
                let result = message.headers.as_ref().map_or(Ok(()), error_from_headers);
                self.finish(result, now);
            }
            "results" => {
                if self.results.len() + message.payload.len() > RESULT_BYTES_MAX {
                    let text = format!("the result is larger than {RESULT_BYTES_MAX} bytes");
                    self.fail(Error::new(ErrorCode::PayloadTooLarge, text), now);
                } else if self.finished.is_none() {
                    self.results.push(&message.payload);
                }
            }
            PROBE if no_responders => self.fail(
                Error::new(
                    ErrorCode::ReceiverGone,
                    "the receiver accepted the call and is gone",
                ),
                now,
            ),
            // Accepted twice, or results of another path: no function of ours has any.
            _ => {}
        }
    }

    pub(super) fn fail(&mut self, error: Error, now: Instant) {
        self.finish(Err(error), now);
    }

    fn finish(&mut self, result: Result<(), Error>, now: Instant) {
        if self.finished.is_none() {
            self.finished = Some((now, result));
            self.wake();
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Closes the mailbox whichever way the call ends, also by being dropped.
struct Open<'a> {
    connection: &'a Connection,
    address: Address,
}

impl Open<'_> {
    /// Waits until `ready` finds in the call what it looks for.
    async fn wait<T>(&self, mut ready: impl FnMut(&mut PendingCall) -> Option<T>) -> T {
        poll_fn(|context| {
            let mut mailboxes = self.connection.mailboxes();
            let Some(Mailbox::Call(call)) = mailboxes.get(self.address) else {
                unreachable!("the mailbox of a call is open as long as its guard");
            };
            match ready(call) {
                Some(found) => Poll::Ready(found),
                None => {
                    match &mut call.waker {
                        Some(waker) => waker.clone_from(context.waker()),
                        none => *none = Some(context.waker().clone()),
                    }
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.connection.close(self.address);
    }
}

impl Connection {
    /// Calls a function, with a result or an error no later than `deadline`.
    ///
    /// `function` comes from [`subject::function`]. Dropping the future gives
    /// the call up.
    pub async fn call(&self, function: Subject, params: Bytes, deadline: Instant) -> Outcome {
        let (address, reply) = self.open(Mailbox::Call(PendingCall::default()));
        let open = Open {
            connection: self,
            address,
        };
        let mut sent = None;
        let mut bytes_sent = 0;
        let answer = {
            let exchange = exchange(
                self,
                &open,
                function,
                &reply,
                params,
                &mut sent,
                &mut bytes_sent,
            );
            tokio::time::timeout_at(deadline.into(), exchange).await
        };

        let Some(Mailbox::Call(call)) = self.close(address) else {
            unreachable!("the mailbox of a call is open as long as its guard");
        };
        let (finished, result) = match (answer, call.finished) {
            // A result that came in the same instant as the deadline is a result.
            (_, Some((at, result))) => (at, result),
            (Ok(Err(error)), None) => (Instant::now(), Err(error)),
            (Ok(Ok(())), None) | (Err(_), None) => {
                let phase = match (sent, call.accepted) {
                    (None, _) => "it could not be sent",
                    (_, None) => "the receiver did not accept it",
                    (_, Some(_)) => "it was accepted and not answered",
                };
                let error = Error::new(ErrorCode::Timeout, format!("the call timed out: {phase}"));
                (Instant::now(), Err(error))
            }
        };
        let results = call.results;
        Outcome {
            result: result.map(|()| results.into_bytes()),
            timing: Timing {
                sent,
                accepted: call.accepted,
                finished: Some(finished),
            },
            traffic: Traffic {
                bytes_sent,
                bytes_received: call.bytes_received,
            },
        }
    }
}

/// Sends the call and waits for its end; the end itself lies in the mailbox.
async fn exchange(
    connection: &Connection,
    open: &Open<'_>,
    function: Subject,
    reply: &Subject,
    mut params: Bytes,
    sent: &mut Option<Instant>,
    bytes_sent: &mut u64,
) -> Result<(), Error> {
    connection.ready().await?;
    let chunk_max = connection.max_payload().saturating_sub(reply.len()).max(1);
    let first = params.split_to(params.len().min(chunk_max));
    *bytes_sent += (first.len() + function.len() + reply.len()) as u64;
    connection
        .publish(function, Some(reply.clone()), None, first)
        .await?;
    *sent = Some(Instant::now());

    if !params.is_empty() {
        let receiver = open
            .wait(|call| match (&call.receiver, &call.finished) {
                (Some(receiver), None) => Some(Ok(receiver.clone())),
                (_, Some(_)) => Some(Err(())),
                (None, None) => None,
            })
            .await;
        if let Ok(receiver) = receiver {
            let subject = subject::params(&receiver);
            // The empty chunk is the end of the parameters.
            loop {
                let chunk = params.split_to(params.len().min(chunk_max));
                let is_end = chunk.is_empty();
                *bytes_sent += (chunk.len() + subject.len()) as u64;
                connection
                    .publish(subject.clone(), None, None, chunk)
                    .await?;
                if is_end {
                    break;
                }
            }
        }
    }

    let finished = open.wait(|call| call.finished.is_some().then_some(()));
    let mut finished = std::pin::pin!(finished);
    while tokio::time::timeout(PROBE_INTERVAL, &mut finished)
        .await
        .is_err()
    {
        let receiver = {
            let mut mailboxes = connection.mailboxes();
            match mailboxes.get(open.address) {
                Some(Mailbox::Call(call)) => call.receiver.clone(),
                _ => None,
            }
        };
        if let Some(receiver) = receiver {
            // To a receiver that lives this is the end of the parameters, which it
            // has seen or doesn't wait for. If it has gone, the server answers.
            let probe = Subject::from([reply.as_str(), ".", PROBE].concat());
            connection
                .publish(subject::params(&receiver), Some(probe), None, Bytes::new())
                .await?;
        }
    }
    Ok(())
}
