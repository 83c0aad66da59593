//! A call made: message 1 out, messages 2 to 4 back.

use std::future::poll_fn;
use std::task::Poll;
use std::time::{Duration, Instant};

use async_nats::{HeaderMap, Subject};
use bytes::Bytes;

use super::connection::Connection;
use super::mailbox::{Address, Mailbox, PROBE, PendingCall};
use super::streams::HEADERS_BYTES_MAX;
use super::subject;
use crate::{Error, ErrorCode, Outcome, Timing, Traffic};

/// A call that was accepted and isn't answered is probed this often: its
/// receiver may have died, and NATS doesn't say so by itself.
pub(super) const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// Closes the mailbox whichever way the call ends, also by being dropped.
struct Open<'a> {
    connection: &'a Connection,
    address: Address,
}

/// Waits until `ready` finds in the call what it looks for.
pub(super) async fn wait<T>(
    connection: &Connection,
    address: Address,
    mut ready: impl FnMut(&mut PendingCall) -> Option<T>,
) -> T {
    poll_fn(|context| {
        let mut mailboxes = connection.mailboxes();
        let Some(Mailbox::Call(call)) = mailboxes.get(address) else {
            unreachable!("the mailbox of a call is open as long as its guard");
        };
        match ready(call) {
            Some(found) => Poll::Ready(found),
            None => {
                call.wake_by(context.waker());
                Poll::Pending
            }
        }
    })
    .await
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.connection.close(self.address);
    }
}

impl Connection {
    /// What a call says that had no end in time, and how far it came.
    pub(super) fn timed_out(&self, sent: Option<Instant>, accepted: Option<Instant>) -> Error {
        let phase = match (sent, accepted) {
            (None, _) => "it could not be sent",
            (_, None) => "the receiver did not accept it",
            (_, Some(_)) => "it was accepted and not answered",
        };
        let mut text = format!("the call timed out: {phase}");
        if let (None, Some(refusal)) = (accepted, self.refusal()) {
            text = format!("{text}; NATS has said: {refusal}");
        }
        Error::new(ErrorCode::Timeout, text)
    }

    /// Calls a function, with a result or an error no later than `deadline`.
    ///
    /// `function` comes from [`subject::function`]. Dropping the future gives
    /// the call up.
    pub async fn call(&self, function: Subject, params: Bytes, deadline: Instant) -> Outcome {
        let (address, reply) = self.open(Mailbox::Call(PendingCall::default()));
        let _open = Open {
            connection: self,
            address,
        };
        let mut sent = None;
        let mut bytes_sent = 0;
        let answer = {
            let exchange = async {
                self.send(
                    address,
                    function,
                    &reply,
                    params,
                    None,
                    &mut sent,
                    &mut bytes_sent,
                )
                .await?;
                self.finished(address, &reply).await
            };
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
                let error = self.timed_out(sent, call.accepted);
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

    /// Sends the call with all of its parameters.
    #[allow(
        clippy::too_many_arguments,
        reason = "two callers, which differ in few of them"
    )]
    pub(super) async fn send(
        &self,
        address: Address,
        function: Subject,
        reply: &Subject,
        mut params: Bytes,
        headers: Option<HeaderMap>,
        sent: &mut Option<Instant>,
        bytes_sent: &mut u64,
    ) -> Result<(), Error> {
        self.ready().await?;
        let first_max = self.first_max(reply, headers.is_some());
        let first = params.split_to(params.len().min(first_max));
        *bytes_sent += (first.len() + function.len() + reply.len()) as u64;
        self.publish(function, Some(reply.clone()), headers, first)
            .await?;
        *sent = Some(Instant::now());
        if params.is_empty() {
            return Ok(());
        }

        let receiver = wait(self, address, |call| {
            match (&call.receiver, &call.finished) {
                (Some(receiver), None) => Some(Some(receiver.clone())),
                (_, Some(_)) => Some(None),
                (None, None) => None,
            }
        })
        .await;
        let Some(receiver) = receiver else {
            return Ok(()); // it was refused
        };
        let subject = subject::params(&receiver);
        // The empty chunk is the end of the parameters.
        loop {
            let chunk = params.split_to(params.len().min(self.first_max(reply, false)));
            let is_end = chunk.is_empty();
            *bytes_sent += (chunk.len() + subject.len()) as u64;
            self.publish(subject.clone(), None, None, chunk).await?;
            if is_end {
                return Ok(());
            }
        }
    }

    /// What message 1 holds of the parameters.
    pub(super) fn first_max(&self, reply: &Subject, has_headers: bool) -> usize {
        let taken = match has_headers {
            true => reply.len() + HEADERS_BYTES_MAX,
            false => reply.len(),
        };
        self.max_payload().saturating_sub(taken).max(1)
    }

    /// Waits for the end of a call; the end itself lies in the mailbox.
    pub(super) async fn finished(&self, address: Address, reply: &Subject) -> Result<(), Error> {
        let finished = wait(self, address, |call| call.finished.is_some().then_some(()));
        let mut finished = std::pin::pin!(finished);
        while tokio::time::timeout(PROBE_INTERVAL, &mut finished)
            .await
            .is_err()
        {
            let receiver = {
                let mut mailboxes = self.mailboxes();
                match mailboxes.get(address) {
                    Some(Mailbox::Call(call)) => call.receiver.clone(),
                    _ => None,
                }
            };
            if let Some(receiver) = receiver {
                // To a receiver that lives this is the end of the parameters, which it
                // has seen or doesn't wait for. If it has gone, the server answers.
                let probe = Subject::from([reply.as_str(), ".", PROBE].concat());
                self.publish(subject::params(&receiver), Some(probe), None, Bytes::new())
                    .await?;
            }
        }
        Ok(())
    }
}
