//! Parameters that didn't come with their call, while they arrive.

use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};

pub(crate) struct PendingParams {
    bytes: BytesMut,
    bytes_max: usize,
    state: Coming,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coming {
    More,
    Whole,
    TooLarge,
}

/// What became of parameters on their way.
pub(crate) enum Arrival {
    Whole(Bytes),
    TooLarge,
}

impl PendingParams {
    pub(crate) fn new(beginning: Bytes, bytes_max: usize) -> Self {
        Self {
            bytes: BytesMut::from(beginning),
            bytes_max,
            state: Coming::More,
            waker: None,
        }
    }

    /// More of them.
    pub(crate) fn push(&mut self, chunk: &[u8]) {
        if self.state != Coming::More {
            return;
        }
        if self.bytes.len() + chunk.len() <= self.bytes_max {
            self.bytes.extend_from_slice(chunk);
            return;
        }
        self.bytes = BytesMut::new();
        self.turn(Coming::TooLarge);
    }

    /// That was all.
    pub(crate) fn end(&mut self) {
        if self.state == Coming::More {
            self.turn(Coming::Whole);
        }
    }

    fn turn(&mut self, state: Coming) {
        self.state = state;
        self.wake();
    }

    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Takes what arrived, once nothing more is expected.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Arrival> {
        match self.state {
            Coming::More => {
                self.waker = Some(context.waker().clone());
                Poll::Pending
            }
            Coming::Whole => Poll::Ready(Arrival::Whole(std::mem::take(&mut self.bytes).freeze())),
            Coming::TooLarge => Poll::Ready(Arrival::TooLarge),
        }
    }
}
