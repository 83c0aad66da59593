//! The trait that carries a call's streams over a transport.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Streams, Which};
use crate::{Error, call};

/// The longest piece of a stream: small enough for any window and any server, large
/// enough to be cheap.
pub(crate) const PIECE_BYTES_MAX: usize = 128 << 10;

/// The place of a call at its connection, as each transport has it. The call exists as
/// long as this.
pub(crate) trait Carrier: Send + Sync {
    /// Calls `look` with the streams. `false` if the call doesn't exist any more.
    fn look(&self, look: &mut dyn FnMut(&mut Streams)) -> bool;

    /// The most bytes of a stream in one message.
    fn piece_bytes_max(&self) -> usize {
        PIECE_BYTES_MAX
    }

    /// Sends a piece of a stream: `head`, then `data`. Returns the number of bytes that
    /// were sent.
    fn send<'a>(
        &'a self,
        which: Which,
        head: &'a [u8],
        data: Bytes,
    ) -> BoxFuture<'a, Result<usize, Error>>;

    /// Ends the streams after their last piece, or with an error. A caller's streams
    /// don't need this.
    fn end(&self, end: Result<(), Error>) -> BoxFuture<'_, Result<(), Error>> {
        let _ = end;
        Box::pin(std::future::ready(Ok(())))
    }

    /// Allows the other end to send this many more bytes.
    fn grant(&self, bytes: u64);

    /// Tells the other end that the response isn't read any more.
    fn cancel(&self) {}

    /// The number of bytes that have arrived for the call.
    fn bytes_received(&self) -> u64 {
        0
    }

    /// Completes when no more data can come, with the reason. If the streams fail by
    /// themselves in this case, it need not complete.
    fn broken(&self) -> BoxFuture<'_, Error> {
        Box::pin(std::future::pending())
    }
}

/// Polls the streams until `ready` returns a value; `None` if the call doesn't exist any
/// more.
pub(super) fn poll<T>(
    carrier: &dyn Carrier,
    context: &Context<'_>,
    ready: impl FnOnce(&mut Streams) -> Option<T>,
) -> Poll<Option<T>> {
    let (mut ready, mut found) = (Some(ready), None);
    let is_there = carrier.look(&mut |streams| {
        found = ready.take().and_then(|ready| ready(streams));
        if found.is_none() {
            streams.wake_by(context.waker());
        }
    });
    match found {
        Some(found) => Poll::Ready(Some(found)),
        None if is_there => Poll::Pending,
        None => Poll::Ready(None),
    }
}

/// Waits until the other end stops reading, or the call doesn't exist any more.
pub(crate) async fn cancelled(carrier: &dyn Carrier) {
    let cancelled = |streams: &mut Streams| streams.is_cancelled.then_some(());
    poll_fn(|context| poll(carrier, context, cancelled)).await;
}

/// Waits until the deadline has passed, or until no more data can come.
pub(super) async fn watch(carrier: &dyn Carrier, deadline: Instant) -> Error {
    let broken = tokio::time::timeout_at(deadline.into(), carrier.broken());
    broken
        .await
        .unwrap_or_else(|_| call::timed_out("the body of the response did not end"))
}
