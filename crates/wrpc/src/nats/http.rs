//! An HTTP request made. Its body, if it is large, goes on while the response
//! arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_nats::Subject;
use bytes::Bytes;

use super::call::{PROBE_INTERVAL, wait};
use super::connection::Connection;
use super::mailbox::{Address, Mailbox, PROBE, PendingCall};
use super::streams::{self, Inbox, Incoming, Which};
use super::subject;
use crate::http::client::{Outcome, read_response};
use crate::http::{BODY_PATH, INLINE_BYTES_MAX, Message, Part, RequestHead};
use crate::task::AbortOnDrop;
use crate::{Error, ErrorCode, Timing, Traffic};

/// A call whose response goes on arriving. Dropped before [`Open::complete`], it
/// tells the receiver that nobody reads any more.
pub(crate) struct Open {
    inbox: Arc<Inbox>,
    reply: Subject,
    /// Rs, the subject of the receiver's side.
    receiver: Option<Subject>,
    deadline: Instant,
    bytes_sent: Arc<AtomicU64>,
    is_complete: bool,
    upload: Option<AbortOnDrop>,
}

impl Open {
    pub(crate) fn complete(&mut self) {
        self.is_complete = true;
    }

    /// What has travelled so far.
    pub(crate) fn traffic(&self) -> Traffic {
        let mut mailboxes = self.inbox.connection.mailboxes();
        let bytes_received = match mailboxes.get(self.inbox.address) {
            Some(Mailbox::Call(call)) => call.bytes_received,
            _ => 0,
        };
        Traffic {
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            bytes_received,
        }
    }

    /// Ends when the deadline has passed; meanwhile it asks now and then whether
    /// the receiver lives.
    pub(crate) fn watch(&self) -> impl Future<Output = Error> + use<> {
        let inbox = Arc::clone(&self.inbox);
        let receiver = self.receiver.clone();
        let probe = Subject::from([self.reply.as_str(), ".", PROBE].concat());
        let deadline = self.deadline;
        async move {
            loop {
                let next = deadline.min(Instant::now() + PROBE_INTERVAL);
                tokio::time::sleep_until(next.into()).await;
                if Instant::now() >= deadline {
                    return Error::new(
                        ErrorCode::Timeout,
                        "the call timed out: the body of the response did not end",
                    );
                }
                if let Some(receiver) = &receiver {
                    let to = subject::params(receiver);
                    let sent =
                        inbox
                            .connection
                            .publish(to, Some(probe.clone()), None, Bytes::new());
                    if let Err(error) = sent.await {
                        return error;
                    }
                }
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.is_complete {
            return;
        }
        let Some(receiver) = &self.receiver else {
            return;
        };
        let mut mailboxes = self.inbox.connection.mailboxes();
        let streams = mailboxes
            .get(self.inbox.address)
            .and_then(|mailbox| mailbox.streams());
        if streams.is_some_and(|streams| streams.has_window) {
            drop(mailboxes);
            let connection = &self.inbox.connection;
            streams::send(connection, receiver, streams::CANCEL, Bytes::new());
        }
    }
}

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
        let headers = streams::headers(is_inline.then_some(body.len()));
        let uploaded = Arc::new(AtomicU64::new(0));
        let mut open = Open {
            inbox: Arc::new(Inbox {
                connection: self.clone(),
                address,
            }),
            reply,
            receiver: None,
            deadline,
            bytes_sent: Arc::clone(&uploaded),
            is_complete: false,
            upload: None,
        };

        let mut sent = None;
        let mut bytes_sent = 0;
        let answer = {
            let exchange = async {
                self.send(
                    address,
                    function,
                    &open.reply,
                    params.into(),
                    Some(headers),
                    &mut sent,
                    &mut bytes_sent,
                )
                .await?;
                if let Some(receiver) = self.wants_body(address, is_inline).await {
                    let inbox = Arc::clone(&open.inbox);
                    let upload = upload(inbox, receiver, body, Arc::clone(&uploaded));
                    open.upload = Some(AbortOnDrop(tokio::spawn(upload)));
                }
                self.finished(address, &open.reply).await
            };
            tokio::time::timeout_at(deadline.into(), exchange).await
        };
        uploaded.fetch_add(bytes_sent, Ordering::Relaxed);

        let (accepted, finished, results) = {
            let mut mailboxes = self.mailboxes();
            let Some(Mailbox::Call(call)) = mailboxes.get(address) else {
                unreachable!("the mailbox of a call is open as long as its inbox");
            };
            open.receiver = call.receiver.clone();
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
        let result = result.and_then(|()| {
            let peer = open.receiver.clone();
            let inbox = Arc::clone(&open.inbox);
            let incoming = |which| Incoming::new(Arc::clone(&inbox), which, peer.clone());
            let streams = || Some((incoming(Which::Body), incoming(Which::Trailers)));
            read_response(&results, streams, Some(open))
        });
        Outcome {
            result,
            timing,
            traffic,
        }
    }

    /// Waits until the call is answered or accepted: by a receiver that takes the body
    /// as a stream, which is returned, or that has it with the parameters.
    async fn wants_body(&self, address: Address, is_inline: bool) -> Option<Subject> {
        wait(self, address, |call| {
            let has_window = call
                .streams
                .as_ref()
                .is_some_and(|streams| streams.has_window);
            match (&call.receiver, &call.finished) {
                (_, Some((_, Err(_)))) => Some(None),
                (Some(_), _) if is_inline && has_window => Some(None),
                (Some(receiver), _) => Some(Some(receiver.clone())),
                (None, Some(_)) => Some(None),
                (None, None) => None,
            }
        })
        .await
    }
}

/// Sends a body to a receiver that has accepted the call.
async fn upload(inbox: Arc<Inbox>, receiver: Subject, body: Bytes, bytes_sent: Arc<AtomicU64>) {
    let connection = &inbox.connection;
    let subject = subject::params(&receiver);
    let subject = Subject::from([subject.as_str(), ".", BODY_PATH].concat());
    let count = |bytes: usize| {
        bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    };
    let sent = streams::send_chunks(&inbox, &subject, body, count).await;
    // What stops it is known to the call as well, or is no failure of it.
    if sent.is_ok() {
        let end = Bytes::from_static(&[0]);
        let _ = connection.publish(subject, None, None, end).await;
    }
}
