//! An HTTP request made. Its body, if it is large, goes on while the response
//! arrives.

use std::sync::Arc;
use std::time::Instant;

use async_nats::Subject;
use bytes::Bytes;

use super::call::wait;
use super::connection::Connection;
use super::mailbox::{Address, Mailbox, PendingCall};
use super::streams::{Carrier, End, Inbox, headers};
use crate::Timing;
use crate::http::client::{Outcome, read_response};
use crate::http::{INLINE_BYTES_MAX, Message, Part, RequestHead};
use crate::streams::{self, Open};

impl Connection {
    /// Makes an HTTP request, with the head of a response or an error no later than
    /// `deadline`. The body of the response is read afterwards, under the same
    /// deadline. Dropping the future, or the body, gives the call up.
    ///
    /// `function` comes from [`subject::function`], for
    /// [`INSTANCE`](crate::http::INSTANCE) and [`FUNCTION`](crate::http::FUNCTION).
    pub async fn http(
        &self,
        function: Subject,
        head: RequestHead,
        body: Bytes,
        deadline: Instant,
    ) -> Outcome {
        // Upstream's receivers on NATS read a body of another form if it stands in the
        // head, so that it always follows: as a stream, or behind the head where a
        // receiver of ours will look for it.
        let request = Message {
            head,
            body: Part::Pending,
            trailers: Part::Ready(None),
        };
        let (address, reply) = self.open(Mailbox::Call(PendingCall::with_streams()));
        let mut params = request.encode();
        let is_inline = (body.is_empty() || self.receivers_are_ours())
            && body.len() <= INLINE_BYTES_MAX
            && params.len() + body.len() <= self.first_max(&reply, true);
        if is_inline {
            params.extend_from_slice(&body);
        }
        let headers = headers(is_inline.then_some(body.len()));
        let inbox = Arc::new(Inbox {
            connection: self.clone(),
            address,
        });
        let end = End::Caller(reply.clone());
        let mut open = Open::new(streams::Carrier::Nats(Carrier { inbox, end }), deadline);

        let mut sent = None;
        let mut bytes_sent = 0;
        let answer = {
            let exchange = async {
                self.send(
                    address,
                    function,
                    &reply,
                    params.into(),
                    Some(headers),
                    &mut sent,
                    &mut bytes_sent,
                )
                .await?;
                if self.wants_body(address, is_inline).await {
                    open.upload(body);
                }
                self.finished(address, &reply).await
            };
            tokio::time::timeout_at(deadline.into(), exchange).await
        };
        open.add_sent(bytes_sent);

        let (accepted, finished, results) = {
            let mut mailboxes = self.mailboxes();
            let Some(Mailbox::Call(call)) = mailboxes.get(address) else {
                unreachable!("the mailbox of a call is open as long as its inbox");
            };
            if let (Some(_), Some(streams)) = (call.accepted, &call.streams) {
                self.set_receivers_are_ours(streams.has_window);
            }
            let results = std::mem::take(&mut call.results);
            (call.accepted, call.finished.clone(), results.into_bytes())
        };
        let (finished, result) = match (answer, finished) {
            (_, Some((at, result))) => (at, result),
            (Ok(Err(error)), None) => (Instant::now(), Err(error)),
            (Ok(Ok(())), None) | (Err(_), None) => {
                (Instant::now(), Err(self.timed_out(sent, accepted)))
            }
        };
        let timing = Timing {
            sent,
            accepted,
            finished: Some(finished),
        };
        let traffic = open.traffic();
        let result = result.and_then(|()| read_response(&results, Some(open)));
        Outcome {
            result,
            timing,
            traffic,
        }
    }

    /// Waits until the call is answered or accepted. Whether the body is to be sent as
    /// a stream then.
    async fn wants_body(&self, address: Address, is_inline: bool) -> bool {
        wait(self, address, |call| {
            let streams = call.streams.as_ref();
            let is_known = is_inline && streams.is_some_and(|streams| streams.has_window);
            match (&call.receiver, &call.finished) {
                (_, Some((_, Err(_)))) => Some(false),
                (Some(_), _) => Some(!is_known),
                (None, Some(_)) => Some(false),
                (None, None) => None,
            }
        })
        .await
    }
}
