//! Sends a body.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;

use super::Which;
use super::carrier::{self, Carrier};
use crate::value::Write as _;
use crate::{Error, ErrorCode};

/// The most bytes of a chunk's length.
const LENGTH_BYTES_MAX: usize = 5;

/// The end of a body: an empty chunk.
pub(crate) const END: &[u8] = &[0];

/// Sends `data` as chunks of the body, as the window allows.
pub(crate) async fn send(
    carrier: &dyn Carrier,
    mut data: Bytes,
    mut sent: impl FnMut(usize),
) -> Result<(), Error> {
    let chunk_max = carrier.piece_bytes_max() - LENGTH_BYTES_MAX;
    while !data.is_empty() {
        let wanted = data.len().min(chunk_max);
        let allowed = poll_fn(|context| {
            carrier::poll(carrier, context, |streams| match streams.is_cancelled {
                true => Some(None),
                false => streams.take_window(wanted).map(Some),
            })
        });
        let allowed = allowed.await.flatten().ok_or_else(gone)?;
        let chunk = data.split_to(allowed);
        let mut length = Vec::with_capacity(LENGTH_BYTES_MAX);
        length.unsigned(chunk.len() as u64);
        sent(carrier.send(Which::Body, &length, chunk).await?);
    }
    Ok(())
}

/// How much of a request's body has been sent.
#[derive(Default)]
pub(super) struct Upload {
    /// The number of bytes that were sent.
    pub(super) bytes: AtomicU64,
    /// The instant at which the body had been sent, or wasn't wanted any more.
    pub(super) ended: OnceLock<Instant>,
}

/// Sends the whole body of a request.
pub(super) async fn upload(carrier: Arc<dyn Carrier>, body: Bytes, upload: Arc<Upload>) {
    let count = |bytes: usize| {
        upload.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    };
    // The call learns of this error in another way, or it isn't a failure of the call.
    if send(&*carrier, body, count).await.is_ok()
        && let Ok(bytes) = carrier.send(Which::Body, END, Bytes::new()).await
    {
        count(bytes);
    }
    upload.ended.get_or_init(Instant::now);
}

fn gone() -> Error {
    Error::new(ErrorCode::Cancelled, "the reader of the body is gone")
}
