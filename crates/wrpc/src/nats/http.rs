//! An HTTP request made. Its body, if it is large, goes on while the response
//! arrives.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Instant;

use async_nats::Subject;
use bytes::Bytes;

use super::call::{PROBE_INTERVAL, exchange};
use super::connection::Connection;
use super::mailbox::{Mailbox, PROBE, PendingCall};
use super::streams::{self, Inbox, Incoming, Which};
use super::subject;
use crate::http::client::{Outcome, read_response};
use crate::http::{BODY_PATH, Message, Part, RequestHead};
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
    _upload: AbortOnDrop,
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
        // head, so that it always follows.
        let request = Message {
            head,
            body: Part::Pending,
            trailers: Part::Ready(None),
        };
        let (address, reply) = self.open(Mailbox::Call(PendingCall::with_streams()));
        let inbox = Arc::new(Inbox {
            connection: self.clone(),
            address,
        });
        let uploaded = Arc::new(AtomicU64::new(0));
        let upload = upload(Arc::clone(&inbox), body, Arc::clone(&uploaded));
        let upload = AbortOnDrop(tokio::spawn(upload));
        let mut open = Open {
            inbox,
            reply: reply.clone(),
            receiver: None,
            deadline,
            bytes_sent: Arc::clone(&uploaded),
            is_complete: false,
            _upload: upload,
        };

        let mut sent = None;
        let mut bytes_sent = 0;
        let params = Bytes::from(request.encode());
        let answer = {
            let exchange = exchange(
                self,
                address,
                function,
                &reply,
                params,
                Some(streams::window_header()),
                &mut sent,
                &mut bytes_sent,
            );
            tokio::time::timeout_at(deadline.into(), exchange).await
        };
        uploaded.fetch_add(bytes_sent, Ordering::Relaxed);

        let (accepted, finished, results) = {
            let mut mailboxes = self.mailboxes();
            let Some(Mailbox::Call(call)) = mailboxes.get(address) else {
                unreachable!("the mailbox of a call is open as long as its inbox");
            };
            open.receiver = call.receiver.clone();
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
}

/// Sends a body once the receiver has accepted the call.
async fn upload(inbox: Arc<Inbox>, body: Bytes, bytes_sent: Arc<AtomicU64>) {
    let connection = &inbox.connection;
    let receiver = poll_fn(|context| {
        let mut mailboxes = connection.mailboxes();
        let Some(Mailbox::Call(call)) = mailboxes.get(inbox.address) else {
            return Poll::Ready(None);
        };
        match (&call.receiver, &call.finished, &mut call.streams) {
            (Some(receiver), ..) => Poll::Ready(Some(receiver.clone())),
            (None, None, Some(streams)) => {
                streams.wake_by(context.waker());
                Poll::Pending
            }
            _ => Poll::Ready(None),
        }
    });
    let Some(receiver) = receiver.await else {
        return;
    };
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
