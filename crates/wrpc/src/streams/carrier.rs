//! The way of a call's streams through the transport that carries the call.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;

use super::{Streams, Which};
use crate::{Error, call, nats, tcp};

/// The place of a call at its connection. The call is there as long as anyone has this.
#[derive(Clone)]
pub(crate) enum Carrier {
    Nats(nats::streams::Carrier),
    TcpCaller(tcp::http::Carrier),
    TcpReceiver(tcp::respond_shared::Carrier),
}

impl Carrier {
    /// Looks at the streams. `None`: the call is no more.
    pub(super) fn look<T>(&self, look: impl FnOnce(&mut Streams) -> T) -> Option<T> {
        match self {
            Self::Nats(carrier) => carrier.look(look),
            Self::TcpCaller(carrier) => carrier.look(look),
            Self::TcpReceiver(carrier) => carrier.look(look),
        }
    }

    /// Looks at the streams until `ready` finds what it looks for. `None`: the call is
    /// no more.
    pub(super) fn poll<T>(
        &self,
        context: &Context<'_>,
        ready: impl FnOnce(&mut Streams) -> Option<T>,
    ) -> Poll<Option<T>> {
        let looked = self.look(|streams| {
            let found = ready(streams);
            if found.is_none() {
                streams.wake_by(context.waker());
            }
            found
        });
        match looked {
            None => Poll::Ready(None),
            Some(Some(found)) => Poll::Ready(Some(found)),
            Some(None) => Poll::Pending,
        }
    }

    /// Done when the other end reads no more, or the call is no more.
    pub(crate) async fn cancelled(&self) {
        let cancelled = |streams: &mut Streams| streams.is_cancelled.then_some(());
        poll_fn(|context| self.poll(context, cancelled)).await;
    }

    /// The most that one message carries of a stream.
    pub(super) fn piece_bytes_max(&self) -> usize {
        match self {
            Self::Nats(carrier) => carrier.piece_bytes_max(),
            Self::TcpCaller(_) | Self::TcpReceiver(_) => super::outgoing::PIECE_BYTES_MAX,
        }
    }

    /// Sends a piece of a stream: `head`, then `data`. Returns what has travelled.
    pub(super) async fn send(
        &self,
        which: Which,
        head: &[u8],
        data: Bytes,
    ) -> Result<usize, Error> {
        match self {
            Self::Nats(carrier) => carrier.send(which, head, data).await,
            Self::TcpCaller(carrier) => carrier.send(which, head, data).await,
            Self::TcpReceiver(carrier) => carrier.send(which, head, data).await,
        }
    }

    /// Ends the streams after their last piece, or with what went wrong. A caller's
    /// need no such end.
    pub(super) async fn end(&self, end: Result<(), Error>) -> Result<(), Error> {
        match self {
            Self::Nats(carrier) => carrier.end(end).await,
            Self::TcpCaller(_) => Ok(()),
            Self::TcpReceiver(carrier) => {
                carrier.end(end);
                Ok(())
            }
        }
    }

    /// Says that so many bytes more may come.
    pub(super) fn grant(&self, bytes: u64) {
        match self {
            Self::Nats(carrier) => carrier.grant(bytes),
            Self::TcpCaller(carrier) => carrier.grant(bytes),
            Self::TcpReceiver(carrier) => carrier.grant(bytes),
        }
    }

    /// Says that nobody reads the response any more.
    pub(super) fn cancel(&self) {
        match self {
            Self::Nats(carrier) => carrier.cancel(),
            Self::TcpCaller(carrier) => carrier.cancel(),
            Self::TcpReceiver(_) => {}
        }
    }

    /// What has arrived for the call.
    pub(super) fn bytes_received(&self) -> u64 {
        match self {
            Self::Nats(carrier) => carrier.bytes_received(),
            Self::TcpCaller(carrier) => carrier.bytes_received(),
            Self::TcpReceiver(_) => 0,
        }
    }

    /// Ends when the deadline has passed, or when it is known that no more will come.
    pub(super) async fn watch(&self, deadline: Instant) -> Error {
        match self {
            Self::Nats(carrier) => {
                if let Some(error) = carrier.watch(deadline).await {
                    return error;
                }
            }
            // A connection that is lost fails the streams by itself.
            Self::TcpCaller(_) | Self::TcpReceiver(_) => {
                tokio::time::sleep_until(deadline.into()).await;
            }
        }
        call::timed_out("the body of the response did not end")
    }
}
