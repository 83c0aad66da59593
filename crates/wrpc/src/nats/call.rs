//! Makes a call: sends message 1, receives messages 2 to 4.

use std::time::Instant;

use bytes::Bytes;
use tokio::time::error::Elapsed;

use super::connection::Connection;
use super::mailbox::{MadeCall, Mailbox};
use super::open_mailbox::OpenMailbox;
use super::{headers, subject};
use crate::core_nats::{self, Subject};
use crate::pending_call::Dispatch;
use crate::{Error, Headers, Outcome, Timing, Traffic};

/// The parts of message 1.
pub(super) struct FirstMessage<'a> {
    pub(super) function: Subject,
    pub(super) reply: &'a Subject,
    pub(super) headers: Option<core_nats::Headers>,
    /// The bytes of the headers in the message.
    pub(super) headers_len: usize,
    pub(super) params: Bytes,
}

impl Connection {
    /// Calls a function, with a result or an error no later than `deadline`.
    ///
    /// `function` comes from [`subject::function`]. Dropping the future cancels the call.
    pub async fn call(&self, function: Subject, params: Bytes, deadline: Instant) -> Outcome {
        let none = Headers::default();
        self.call_with_headers(function, params, &none, deadline)
            .await
    }

    /// Calls a function with headers.
    pub async fn call_with_headers(
        &self,
        function: Subject,
        params: Bytes,
        headers: &Headers,
        deadline: Instant,
    ) -> Outcome {
        let connection = self.moved().unwrap_or_else(|| self.clone());
        let (address, reply) = connection.open(Mailbox::Call(MadeCall::new(function.clone())));
        let mailbox = OpenMailbox {
            connection,
            address,
        };
        let first = FirstMessage {
            function,
            reply: &reply,
            headers: headers::of_call(headers),
            headers_len: headers.encoded_len(),
            params,
        };
        let mut sent = Dispatch::default();
        let waited = {
            let answered = async {
                mailbox.send(first, &mut sent).await?;
                mailbox.finished().await
            };
            tokio::time::timeout_at(deadline.into(), answered).await
        };
        let (result, timing) = mailbox.ended(waited, &sent);
        let bytes_received = mailbox.look(|made| made.call.bytes_received);
        Outcome {
            result,
            timing,
            traffic: Traffic {
                bytes_sent: sent.bytes,
                bytes_received: bytes_received.unwrap_or_default(),
            },
        }
    }

    /// The number of the parameters' bytes that fit into message 1.
    pub(super) fn first_max(&self, reply: &Subject, headers_len: usize) -> usize {
        let taken = reply.len() + headers_len;
        self.max_payload().saturating_sub(taken).max(1)
    }
}

impl OpenMailbox {
    /// Sends a call with all of its parameters.
    pub(super) async fn send(
        &self,
        first: FirstMessage<'_>,
        sent: &mut Dispatch,
    ) -> Result<(), Error> {
        let connection = &self.connection;
        connection.ready().await?;
        let FirstMessage {
            function,
            reply,
            headers,
            headers_len,
            mut params,
        } = first;
        let headers_len = headers.as_ref().map_or(0, |_| headers_len);
        let first_max = connection.first_max(reply, headers_len);
        let beginning = params.split_to(params.len().min(first_max));
        sent.bytes += (beginning.len() + function.len() + reply.len()) as u64;
        connection
            .publish(function, Some(reply.clone()), headers, beginning)
            .await?;
        sent.at = Some(Instant::now());
        if params.is_empty() {
            return Ok(());
        }

        let receiver = self
            .wait(|made| match (&made.receiver, made.call.is_finished()) {
                (_, true) => Some(None),
                (Some(receiver), false) => Some(Some(receiver.clone())),
                (None, false) => None,
            })
            .await;
        let Some(receiver) = receiver else {
            return Ok(()); // it was refused
        };
        let subject = subject::params(&receiver);
        // An empty chunk ends the parameters.
        loop {
            let chunk = params.split_to(params.len().min(connection.first_max(reply, 0)));
            let is_end = chunk.is_empty();
            sent.bytes += (chunk.len() + subject.len()) as u64;
            connection
                .publish(subject.clone(), None, None, chunk)
                .await?;
            if is_end {
                return Ok(());
            }
        }
    }

    /// The outcome of a call after waiting for it.
    pub(super) fn ended(
        &self,
        waited: Result<Result<(), Error>, Elapsed>,
        sent: &Dispatch,
    ) -> (Result<Bytes, Error>, Timing) {
        let is_late = waited.is_err();
        let ended = self.look(|made| {
            let is_unanswered = is_late && !made.call.is_finished();
            (made.call.ended(waited, sent), is_unanswered)
        });
        let Some(((mut result, timing), is_unanswered)) = ended else {
            unreachable!("the mailbox of a call is open as long as its owner");
        };
        if let (true, None, Err(error)) = (is_unanswered, timing.accepted, &mut result)
            && let Some(refusal) = self.connection.refusal()
        {
            error.message = format!("{error}; NATS has refused: {refusal}");
        }
        (result, timing)
    }
}
