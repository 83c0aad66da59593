//! A call made whose response goes on arriving.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;

use super::carrier::{self, Carrier};
use super::{Incoming, outgoing};
use crate::task::AbortOnDrop;
use crate::{Error, Traffic};

/// A call of which more is to come. Dropped before [`Open::complete`], it tells the
/// receiver that nobody reads any more.
pub(crate) struct Open {
    carrier: Arc<dyn Carrier>,
    deadline: Instant,
    bytes_sent: Arc<AtomicU64>,
    is_complete: bool,
    upload: Option<AbortOnDrop>,
}

impl Open {
    pub(crate) fn new(carrier: Arc<dyn Carrier>, deadline: Instant) -> Self {
        Self {
            carrier,
            deadline,
            bytes_sent: Arc::default(),
            is_complete: false,
            upload: None,
        }
    }

    /// Sends the body of the request, while the response arrives.
    pub(crate) fn upload(&mut self, body: Bytes) {
        let upload = outgoing::upload(
            Arc::clone(&self.carrier),
            body,
            Arc::clone(&self.bytes_sent),
        );
        self.upload = Some(AbortOnDrop(tokio::spawn(upload)));
    }

    /// Body and trailers of the response.
    pub(crate) fn incoming(&self) -> (Incoming, Incoming) {
        Incoming::of(&self.carrier)
    }

    /// So many bytes were sent beside the body.
    pub(crate) fn add_sent(&self, bytes: u64) {
        self.bytes_sent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The response has arrived whole.
    pub(crate) fn complete(&mut self) {
        self.is_complete = true;
    }

    /// What has travelled so far.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            bytes_sent: self.bytes_sent.load(Ordering::Relaxed),
            bytes_received: self.carrier.bytes_received(),
        }
    }

    /// Ends when the deadline has passed, or when it is known that no more will come.
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
