//! A call whose response is still arriving.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;

use super::carrier::{self, Carrier};
use super::outgoing::Upload;
use super::{Incoming, outgoing};
use crate::task::AbortOnDrop;
use crate::{Error, Traffic};

/// A call whose response is still arriving. If it is dropped before [`Open::complete`],
/// it tells the receiver that the response isn't read any more.
pub(crate) struct Open {
    carrier: Arc<dyn Carrier>,
    deadline: Instant,
    upload: Arc<Upload>,
    is_complete: bool,
    uploading: Option<AbortOnDrop>,
}

impl Open {
    pub(crate) fn new(carrier: Arc<dyn Carrier>, deadline: Instant) -> Self {
        Self {
            carrier,
            deadline,
            upload: Arc::default(),
            is_complete: false,
            uploading: None,
        }
    }

    /// Sends the body of the request, while the response arrives.
    pub(crate) fn upload(&mut self, body: Bytes) {
        let (carrier, upload) = (Arc::clone(&self.carrier), Arc::clone(&self.upload));
        let uploading = outgoing::upload(carrier, body, upload);
        self.uploading = Some(AbortOnDrop(tokio::spawn(uploading)));
    }

    /// The instant at which the body of the request had been sent, at the latest `now`;
    /// `None` if it isn't sent as a stream.
    pub(crate) fn uploaded(&self, now: Option<Instant>) -> Option<Instant> {
        self.uploading.as_ref()?;
        let ended = self.upload.ended.get().copied();
        [ended, now].into_iter().flatten().min()
    }

    /// The body and trailers of the response.
    pub(crate) fn incoming(&self) -> (Incoming, Incoming) {
        Incoming::of(&self.carrier)
    }

    /// Adds bytes that were sent in addition to the body.
    pub(crate) fn add_sent(&self, bytes: u64) {
        self.upload.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Notes that the response has arrived completely.
    pub(crate) fn complete(&mut self) {
        self.is_complete = true;
    }

    /// The bytes so far.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            bytes_sent: self.upload.bytes.load(Ordering::Relaxed),
            bytes_received: self.carrier.bytes_received(),
        }
    }

    /// Waits until the deadline has passed, or until no more data can come.
    pub(crate) fn watch(&self) -> impl Future<Output = Error> + use<> {
        let (carrier, deadline) = (Arc::clone(&self.carrier), self.deadline);
        async move { carrier::watch(&*carrier, deadline).await }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.is_complete {
            self.carrier.cancel();
        }
    }
}
