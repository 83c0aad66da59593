//! The answers to a call on a shared connection, and its streams, at the receiver's end.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::timeout;

use super::messages::{CHUNK_BYTES_MAX, HEAD_BYTES, Kind};
use super::shared_calls::{OUTBOX_BYTES_MAX, Shared, State};
use crate::http::Streaming;
use crate::streams::{Carrier, Streams, Which};
use crate::{Error, ErrorCode, lock};

/// Answers one call.
pub struct SharedResponder {
    place: CallPlace,
    is_accepted: bool,
    is_finished: bool,
}

impl SharedResponder {
    pub(super) fn new(shared: Arc<Shared>, call: u64) -> Self {
        Self {
            place: CallPlace { shared, call },
            is_accepted: false,
            is_finished: false,
        }
    }

    pub(super) fn accept(&mut self) {
        if !self.is_accepted {
            self.is_accepted = true;
            self.place.say(Kind::Accepted, &[]);
        }
    }

    pub(super) async fn complete(&mut self) -> Result<Bytes, Error> {
        self.accept();
        let CallPlace { shared, call } = &self.place;
        let arrived = poll_fn(|context| {
            let mut state = lock(&shared.state);
            let served = state.calls.get_mut(call);
            match served.and_then(|served| served.params.as_mut()) {
                Some(params) => params.poll(context).map(Some),
                None => Poll::Ready(None),
            }
        });
        let limits = &shared.limits;
        match timeout(limits.params_timeout, arrived).await {
            Ok(Some(arrived)) => arrived,
            Ok(None) => Err(caller_gone()),
            Err(_) => Err(limits.params_late()),
        }
    }

    /// Waits until the caller doesn't want the answer any more.
    pub(super) async fn caller_gone(&self) {
        poll_fn(|context| {
            let mut state = lock(&self.place.shared.state);
            match state.calls.get_mut(&self.place.call) {
                Some(served) => {
                    served.waker = Some(context.waker().clone());
                    Poll::Pending
                }
                None => Poll::Ready(()),
            }
        })
        .await;
    }

    pub(super) fn streams(&self) -> Streaming {
        Streaming::new(Arc::new(self.place.clone()))
    }

    /// Sends results whose streams follow.
    pub(super) async fn begin(&mut self, results: Bytes) {
        let last = self.place.send_all_but_last(results).await;
        self.place.say(Kind::End, &last);
    }

    pub(super) async fn finish(mut self, result: Result<Bytes, Error>) {
        let results = match result {
            Ok(results) => results,
            Err(error) => return self.end(|state, call| state.put_error(call, &error)),
        };
        let last = self.place.send_all_but_last(results).await;
        self.end(|state, call| state.put(Kind::End, call, &[], last));
    }

    fn end(&mut self, answer: impl FnOnce(&mut State, u64)) {
        self.is_finished = true;
        self.place.end_with(answer);
    }
}

impl Drop for SharedResponder {
    fn drop(&mut self) {
        if !self.is_finished {
            let error = Error::new(ErrorCode::Internal, "the receiver dropped the call");
            self.end(|state, call| state.put_error(call, &error));
        }
    }
}

/// The place of a call at its connection, which carries its streams.
#[derive(Clone)]
struct CallPlace {
    shared: Arc<Shared>,
    call: u64,
}

impl Carrier for CallPlace {
    fn look(&self, look: &mut dyn FnMut(&mut Streams)) -> bool {
        let mut state = lock(&self.shared.state);
        let served = state.calls.get_mut(&self.call);
        let streams = served.and_then(|served| served.streams.as_deref_mut());
        streams.map(look).is_some()
    }

    fn send<'a>(
        &'a self,
        which: Which,
        head: &'a [u8],
        data: Bytes,
    ) -> BoxFuture<'a, Result<usize, Error>> {
        async move {
            self.room().await;
            let bytes = HEAD_BYTES + head.len() + data.len();
            let mut state = lock(&self.shared.state);
            if !state.calls.contains_key(&self.call) {
                return Err(caller_gone());
            }
            state.put(which.into(), self.call, head, data);
            Ok(bytes)
        }
        .boxed()
    }

    fn end(&self, end: Result<(), Error>) -> BoxFuture<'_, Result<(), Error>> {
        self.end_with(|state, call| {
            if let Err(error) = end {
                state.put_error(call, &error);
            }
        });
        std::future::ready(Ok(())).boxed()
    }

    fn grant(&self, bytes: u64) {
        self.say(Kind::Window, &bytes.to_le_bytes());
    }
}

impl CallPlace {
    /// Puts a small message into the outbox, unless the caller has gone.
    fn say(&self, kind: Kind, payload: &[u8]) {
        let mut state = lock(&self.shared.state);
        if state.calls.contains_key(&self.call) {
            state.put(kind, self.call, payload, Bytes::new());
        }
    }

    /// Sends all results but the last message, which is returned.
    async fn send_all_but_last(&self, mut results: Bytes) -> Bytes {
        while results.len() > CHUNK_BYTES_MAX {
            let chunk = results.split_to(CHUNK_BYTES_MAX);
            self.room().await;
            let mut state = lock(&self.shared.state);
            if !state.calls.contains_key(&self.call) {
                break;
            }
            state.put(Kind::Results, self.call, &[], chunk);
        }
        if results.len() > 1 << 10 {
            self.room().await;
        }
        results
    }

    /// Waits until the peer has read earlier messages, so that there is room.
    async fn room(&self) {
        poll_fn(|context| {
            let mut state = lock(&self.shared.state);
            if state.is_lost || state.out.len() <= OUTBOX_BYTES_MAX {
                return Poll::Ready(());
            }
            state.waiting.push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Removes the call, with a last message if its caller still exists.
    fn end_with(&self, answer: impl FnOnce(&mut State, u64)) {
        let mut state = lock(&self.shared.state);
        if state.remove(self.call) {
            answer(&mut state, self.call);
        }
    }
}

fn caller_gone() -> Error {
    Error::new(ErrorCode::Cancelled, "the caller is gone")
}
