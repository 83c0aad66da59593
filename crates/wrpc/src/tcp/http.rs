//! An HTTP request made on a shared connection. Its body, if it is large, goes on
//! while the response arrives.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::connection::{Connection, Place};
use super::frames::Function;
use super::messages::{CHUNK_BYTES_MAX, HEAD_BYTES, Kind};
use crate::http::client::read_response;
use crate::http::{Message, Part, RequestHead, Response};
use crate::pending_call::{PendingCall, Sent};
use crate::streams::{self, Open, Streams, WINDOW_BYTES, Which};
use crate::{Error, Outcome};

/// Bodies up to this travel with their head: both fit into one message, but for heads
/// that are large themselves.
const WITH_HEAD_BYTES_MAX: usize = CHUNK_BYTES_MAX / 2;

impl Connection {
    /// Makes an HTTP request, with the head of a response or an error no later than
    /// `deadline`. The body of the response is read afterwards.
    pub(super) async fn http(
        &self,
        function: &Function,
        head: RequestHead,
        body: Bytes,
        deadline: Instant,
    ) -> Outcome<Response> {
        let (with_head, streamed) = match body.len() <= WITH_HEAD_BYTES_MAX {
            true => (Part::Ready(body), None),
            false => (Part::Pending, Some(body)),
        };
        let request = Message {
            head,
            body: with_head,
            trailers: Part::Ready(None),
        };
        let call = PendingCall::with_streams(Streams::with_window(Some(WINDOW_BYTES)));
        let place = Arc::new(self.place(call));
        let carrier = streams::Carrier::TcpCaller(Carrier(Arc::clone(&place)));
        let mut open = Open::new(carrier, deadline);
        let mut sent = Sent::default();
        let waited = {
            let answered = async {
                let params = request.encode().into();
                place.send(function, params, &mut sent).await?;
                if let Some(body) = streamed {
                    open.upload(body);
                }
                place.finished().await;
                Ok(())
            };
            tokio::time::timeout_at(deadline.into(), answered).await
        };
        open.add_sent(sent.bytes);
        let ended = place.look(|call| call.ended(waited, &sent));
        let (result, timing) = ended.unwrap_or_else(|| {
            unreachable!("a call is there as long as its place");
        });
        let traffic = open.traffic();
        let result = result.and_then(|results| read_response(&results, Some(open)));
        Outcome {
            result,
            timing,
            traffic,
        }
    }
}

/// The way of the streams of a call, from its caller's end.
#[derive(Clone)]
pub(crate) struct Carrier(Arc<Place>);

impl Carrier {
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Streams) -> T) -> Option<T> {
        let looked = self.0.look(|call| call.streams.as_deref_mut().map(look));
        looked.flatten()
    }

    pub(crate) async fn send(
        &self,
        which: Which,
        head: &[u8],
        data: Bytes,
    ) -> Result<usize, Error> {
        let bytes = HEAD_BYTES + head.len() + data.len();
        self.0.put(which.into(), head, data).await?;
        Ok(bytes)
    }

    pub(crate) fn grant(&self, bytes: u64) {
        self.0.say(Kind::Window, &bytes.to_le_bytes());
    }

    pub(crate) fn cancel(&self) {
        self.0.say(Kind::Cancel, &[]);
    }

    pub(crate) fn bytes_received(&self) -> u64 {
        self.0.look(|call| call.bytes_received).unwrap_or_default()
    }
}
