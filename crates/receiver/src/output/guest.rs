//! The output of guests: their stdout and stderr.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// The most bytes that all guests together may write per second.
pub(super) const BYTES_PER_SECOND: usize = 256 << 10;

/// The most bytes that they may write at once.
const BURST_BYTES: usize = 256 << 10;

/// The most bytes that a guest may write at once.
const PIECE_BYTES_MAX: usize = 16 << 10;

/// Limits the rate of all guests.
pub(super) struct Rate {
    bytes: usize,
    at: Option<Instant>,
}

impl Rate {
    pub(super) const fn new() -> Self {
        Self {
            bytes: BURST_BYTES,
            at: None,
        }
    }

    /// Whether this many more bytes may be written.
    pub(super) fn take(&mut self, bytes: usize, now: Instant) -> bool {
        let at = self.at.unwrap_or(now);
        let since_ns = now.saturating_duration_since(at).as_nanos();
        let more = (since_ns * BYTES_PER_SECOND as u128 / 1_000_000_000) as usize;
        // A rest of less than a byte counts the next time.
        let counted_ns = (more as u128 * 1_000_000_000).div_ceil(BYTES_PER_SECOND as u128);
        self.at = Some(at + Duration::from_nanos(counted_ns as u64));
        self.bytes = self.bytes.saturating_add(more).min(BURST_BYTES);
        match self.bytes.checked_sub(bytes) {
            Some(left) => {
                self.bytes = left;
                true
            }
            None => false,
        }
    }
}

/// The stdout and stderr of guests. Output beyond the rate is dropped, so that no guest
/// waits for a reader.
#[derive(Clone, Copy)]
pub(crate) struct GuestOutput;

fn push(bytes: &[u8]) {
    super::lock().push_of_guest(bytes, Instant::now());
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(Self)
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Self)
    }
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(PIECE_BYTES_MAX)
    }
}

#[async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

impl AsyncWrite for GuestOutput {
    fn poll_write(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let piece = &bytes[..bytes.len().min(PIECE_BYTES_MAX)];
        push(piece);
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{BURST_BYTES, BYTES_PER_SECOND, Rate};

    #[test]
    fn a_rate_holds_whatever_the_steps() {
        let start = Instant::now();
        for step in [10, 1000, 100_000] {
            let mut rate = Rate::new();
            let mut written = 0;
            for microseconds in (0..2_000_000).step_by(step) {
                let now = start + Duration::from_micros(microseconds);
                while rate.take(100, now) {
                    written += 100;
                }
            }
            let expected = BURST_BYTES + 2 * BYTES_PER_SECOND;
            assert!(written <= expected, "{step}: {written}");
            assert!(written > expected / 10 * 9, "{step}: {written}");
        }
    }
}
