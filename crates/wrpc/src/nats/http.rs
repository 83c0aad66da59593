//! Makes an HTTP request. A large body is sent while the response arrives.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::call::FirstMessage;
use super::connection::Connection;
use super::headers::{self, STREAMS_BYTES_MAX};
use super::mailbox::{MadeCall, Mailbox};
use super::open_mailbox::OpenMailbox;
use super::streams::{End, MailboxStreams};
use crate::Outcome;
use crate::core_nats::Subject;
use crate::http::read_response;
use crate::http::{INLINE_BYTES_MAX, Message, Part, RequestHead, Response};
use crate::pending_call::Dispatch;
use crate::streams::Open;

impl Connection {
    /// Makes an HTTP request. The result is the head of a response, or an error no later
    /// than `deadline`. The body of the response is read afterwards, under the same
    /// deadline. Dropping the future, or the body, cancels the call.
    ///
    /// `function` comes from [`subject::function`], for
    /// [`INSTANCE`](crate::http::INSTANCE) and [`FUNCTION`](crate::http::FUNCTION).
    pub async fn http(
        &self,
        function: Subject,
        head: RequestHead,
        body: Bytes,
        deadline: Instant,
    ) -> Outcome<Response> {
        // Upstream's receivers on NATS expect another form of a body in the head. So the
        // body always follows: as a stream, or after the head if the receiver is ours.
        let request = Message {
            head,
            body: Part::Pending,
            trailers: Part::Ready(None),
        };
        let connection = self.moved().unwrap_or_else(|| self.clone());
        let made = MadeCall::with_streams(function.clone());
        let (address, reply) = connection.open(Mailbox::Call(made));
        let mailbox = Arc::new(OpenMailbox {
            connection,
            address,
        });
        let connection = &mailbox.connection;
        let mut params = request.encode();
        let is_inline = (body.is_empty() || connection.receivers_are_ours())
            && body.len() <= INLINE_BYTES_MAX
            && params.len() + body.len() <= connection.first_max(&reply, STREAMS_BYTES_MAX);
        if is_inline {
            params.extend_from_slice(&body);
        }
        let first = FirstMessage {
            function,
            reply: &reply,
            headers: Some(headers::of_streams(is_inline.then_some(body.len()))),
            headers_len: STREAMS_BYTES_MAX,
            params: params.into(),
        };
        let streams = MailboxStreams {
            mailbox: Arc::clone(&mailbox),
            end: End::Caller,
        };
        let mut open = Open::new(Arc::new(streams), deadline);

        let mut sent = Dispatch::default();
        let waited = {
            let answered = async {
                mailbox.send(first, &mut sent).await?;
                if wants_body(&mailbox, is_inline).await {
                    open.upload(body);
                }
                mailbox.finished().await
            };
            tokio::time::timeout_at(deadline.into(), answered).await
        };
        open.add_sent(sent.bytes);

        let (result, mut timing) = mailbox.ended(waited, &sent);
        mailbox.look(|made| {
            if let (Some(_), Some(streams)) = (made.call.accepted, &made.call.streams) {
                connection.set_receivers_are_ours(streams.has_window);
            }
        });
        timing.uploaded = open.uploaded(timing.finished);
        let traffic = open.traffic();
        let result = result.and_then(|results| read_response(&results, Some(open)));
        Outcome {
            result,
            timing,
            traffic,
        }
    }
}

/// Waits until the call is answered or accepted. Returns whether the body must then be
/// sent as a stream.
async fn wants_body(mailbox: &OpenMailbox, is_inline: bool) -> bool {
    mailbox
        .wait(|made| {
            let call = &made.call;
            let streams = call.streams.as_ref();
            let is_known = is_inline && streams.is_some_and(|streams| streams.has_window);
            match (&made.receiver, call.is_finished()) {
                (_, true) if call.is_failed() => Some(false),
                (Some(_), _) => Some(!is_known),
                (None, true) => Some(false),
                (None, false) => None,
            }
        })
        .await
}
