//! Makes an HTTP request on a shared connection. A large body is sent while the response
//! arrives.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::connection::{CallSlot, SharedConnection};
use super::frames::FunctionNames;
use super::messages::{CHUNK_BYTES_MAX, HEAD_BYTES, Kind};
use crate::http::read_response;
use crate::http::{Message, Part, RequestHead, Response};
use crate::pending_call::{Dispatch, PendingCall};
use crate::streams::{Carrier, Open, Streams, WINDOW_BYTES, Which};
use crate::{Error, Outcome};

/// The largest body that is sent with its head. Both fit into one message, unless the
/// head itself is large.
const WITH_HEAD_BYTES_MAX: usize = CHUNK_BYTES_MAX / 2;

impl SharedConnection {
    /// Makes an HTTP request. The result is the head of a response, or an error no later
    /// than `deadline`. The body of the response is read afterwards.
    pub(super) async fn http(
        &self,
        function: &FunctionNames,
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
        let carrier = Arc::clone(&place) as Arc<dyn Carrier>;
        let mut open = Open::new(carrier, deadline);
        let mut sent = Dispatch::default();
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
        let ended = CallSlot::look(&place, |call| call.ended(waited, &sent));
        let (result, mut timing) = ended.unwrap_or_else(|| {
            unreachable!("a call is there as long as its place");
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

/// Carries the streams of a call, at its caller's end.
impl Carrier for CallSlot {
    fn look(&self, look: &mut dyn FnMut(&mut Streams)) -> bool {
        let looked = CallSlot::look(self, |call| call.streams.as_deref_mut().map(look));
        looked.flatten().is_some()
    }

    fn send<'a>(
        &'a self,
        which: Which,
        head: &'a [u8],
        data: Bytes,
    ) -> BoxFuture<'a, Result<usize, Error>> {
        async move {
            let bytes = HEAD_BYTES + head.len() + data.len();
            self.put(which.into(), head, data).await?;
            Ok(bytes)
        }
        .boxed()
    }

    fn grant(&self, bytes: u64) {
        self.say(Kind::Window, &bytes.to_le_bytes());
    }

    fn cancel(&self) {
        self.say(Kind::Cancel, &[]);
    }

    fn bytes_received(&self) -> u64 {
        let bytes = CallSlot::look(self, |call| call.bytes_received);
        bytes.unwrap_or_default()
    }
}
