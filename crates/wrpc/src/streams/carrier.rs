//! The way of a call's streams through the transport that carries the call.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Streams, Which};
use crate::{Error, call};

/// A piece of a stream is no longer than this: small enough for any window and any
/// server, large enough to cost little.
pub(crate) const PIECE_BYTES_MAX: usize = 128 << 10;

/// The place of a call at its connection, as each transport has it. The call is there
/// as long as anyone has this.
pub(crate) trait Carrier: Send + Sync {
    /// Looks at the streams. `false`: the call is no more.
    fn look(&self, look: &mut dyn FnMut(&mut Streams)) -> bool;

    /// The most that one message carries of a stream.
    fn piece_bytes_max(&self) -> usize {
        PIECE_BYTES_MAX
    }

    /// Sends a piece of a stream: `head`, then `data`. Returns what has travelled.
    fn send<'a>(
        &'a self,
        which: Which,
        head: &'a [u8],
        data: Bytes,
    ) -> BoxFuture<'a, Result<usize, Error>>;

    /// Ends the streams after their last piece, or with what went wrong. A caller's
    /// need no such end.
    fn end(&self, end: Result<(), Error>) -> BoxFuture<'_, Result<(), Error>> {
        let _ = end;
        Box::pin(std::future::ready(Ok(())))
    }

    /// Says that so many bytes more may come.
    fn grant(&self, bytes: u64);

    /// Says that nobody reads the response any more.
    fn cancel(&self) {}

    /// What has arrived for the call.
    fn bytes_received(&self) -> u64 {
        0
    }

    /// Ends when it is known that no more will come, and says why. Where the streams
    /// fail by themselves then, it need not end.
    fn broken(&self) -> BoxFuture<'_, Error> {
        Box::pin(std::future::pending())
    }
}

/// Looks at the streams until `ready` finds what it looks for. `None`: the call is no
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

/// Done when the other end reads no more, or the call is no more.
pub(crate) async fn cancelled(carrier: &dyn Carrier) {
    let cancelled = |streams: &mut Streams| streams.is_cancelled.then_some(());
    poll_fn(|context| poll(carrier, context, cancelled)).await;
}

/// Ends when the deadline has passed, or when it is known that no more will come.
pub(super) async fn watch(carrier: &dyn Carrier, deadline: Instant) -> Error {
    let broken = tokio::time::timeout_at(deadline.into(), carrier.broken());
    broken
        .await
        .unwrap_or_else(|_| call::timed_out("the body of the response did not end"))
}
