//! A stream that is received.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use super::carrier::{self, Carrier};
use super::{WINDOW_BYTES, Which};
use crate::Error;

/// A stream that is received, in pieces of any size.
pub(crate) struct Incoming {
    carrier: Arc<dyn Carrier>,
    which: Which,
    /// The number of bytes read since the last announcement to the other end.
    unsaid: u64,
}

impl Incoming {
    /// The body and trailers of a call.
    pub(crate) fn of(carrier: &Arc<dyn Carrier>) -> (Self, Self) {
        let stream = |which| Self {
            carrier: Arc::clone(carrier),
            which,
            unsaid: 0,
        };
        (stream(Which::Body), stream(Which::Trailers))
    }

    /// The next piece; `None` after the last one.
    pub(crate) fn poll_piece(
        &mut self,
        context: &Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Error>> {
        let which = self.which;
        let polled = carrier::poll(&*self.carrier, context, |streams| {
            let has_window = streams.has_window;
            streams.next(which).map(|next| (next, has_window))
        });
        let Some((next, has_window)) = ready!(polled) else {
            return Poll::Ready(Ok(None));
        };
        if let (Ok(Some(piece)), true, Which::Body) = (&next, has_window, which) {
            self.unsaid += piece.len() as u64;
            if self.unsaid >= WINDOW_BYTES / 2 {
                self.carrier.grant(std::mem::take(&mut self.unsaid));
            }
        }
        Poll::Ready(next)
    }
}
