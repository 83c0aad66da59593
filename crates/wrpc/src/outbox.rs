//! Bytes on their way to a socket. Many small pieces become one write, and large ones
//! aren't copied.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use crate::socket::Stream;

/// Pieces up to this size are copied to their neighbours.
const COPY_MAX: usize = 4 << 10;
/// The most pieces of one write.
const SLICES: usize = 32;

#[derive(Default)]
pub(crate) struct Outbox {
    /// The pieces before `tail`.
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    length: usize,
    /// The number of copied bytes since it was empty. They are in no other buffer.
    copied: usize,
    /// Whether TLS may still hold written bytes.
    is_unflushed: bool,
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The number of bytes in it that are copies, at most.
    pub(crate) fn copied(&self) -> usize {
        self.copied
    }

    /// Whether the kernel has all bytes.
    pub(crate) fn is_done(&self) -> bool {
        self.length == 0 && !self.is_unflushed
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.length += bytes.len();
        self.copied += bytes.len();
        self.is_unflushed = true;
    }

    pub(crate) fn put_bytes(&mut self, bytes: Bytes) {
        if bytes.len() <= COPY_MAX {
            return self.put(&bytes);
        }
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
        self.length += bytes.len();
        self.is_unflushed = true;
        self.pieces.push_back(bytes);
    }

    /// Writes until it is empty. Each `Ready` or `Pending` may have made it shorter.
    pub(crate) fn poll_write(
        &mut self,
        stream: &mut Stream,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.length > 0 {
            let written = if self.pieces.is_empty() {
                ready!(Pin::new(&mut *stream).poll_write(context, &self.tail))?
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let all = self
                    .pieces
                    .iter()
                    .map(|piece| &piece[..])
                    .chain([&self.tail[..]]);
                for (slice, bytes) in slices.iter_mut().zip(all) {
                    *slice = IoSlice::new(bytes);
                }
                ready!(Pin::new(&mut *stream).poll_write_vectored(context, &slices))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        if self.is_unflushed {
            ready!(Pin::new(stream).poll_flush(context))?;
            self.is_unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, mut written: usize) {
        self.length -= written;
        if self.length == 0 {
            self.copied = 0;
        }
        while let Some(piece) = self.pieces.front_mut() {
            if written < piece.len() {
                return piece.advance(written);
            }
            written -= piece.len();
            self.pieces.pop_front();
        }
        match written == self.tail.len() {
            true => self.tail.clear(),
            false => self.tail.advance(written),
        }
    }
}
