//! The hot side: a buffer, handed over when it is full or old.

use crate::hit::Hit;

/// Takes the hits of one event loop.
#[derive(Debug)]
pub struct Recorder {
    hits: Vec<Hit>,
}

impl Recorder {
    /// Takes a hit. Neither formats, allocates (as long as the writer keeps
    /// up) nor waits.
    #[inline]
    pub fn record(&mut self, hit: &Hit) {
        self.hits.push(*hit);
    }

    /// Whether the trace wants that hit: ask before keeping copies of bytes.
    pub fn traces(&self, _hit: &Hit) -> bool {
        false
    }

    /// Whether there is a trace at all: without one the bytes of requests and
    /// answers needn't be kept.
    pub fn has_trace(&self) -> bool {
        false
    }

    /// Writes request and response to the trace, if its level wants the hit.
    pub fn trace(&mut self, _hit: &Hit, _request: &[u8], _response: &[u8]) {}

    /// Hands over what there is: call it when idle, about once a second, so
    /// that whoever reads the file while it grows sees it. Dropping flushes too.
    pub fn flush(&mut self) {}

    /// How often the queue was full up to now.
    pub fn queue_full_count(&self) -> u64 {
        0
    }
}
