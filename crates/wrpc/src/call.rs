//! What becomes of a call, whichever transport carries it.

use std::time::Instant;

use bytes::Bytes;

use crate::Error;

/// When things happened. What didn't happen is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// The call was handed to the connection.
    pub sent: Option<Instant>,
    /// The receiver said that it accepted the call.
    pub accepted: Option<Instant>,
    /// The end of the result arrived, or the failure was known.
    pub finished: Option<Instant>,
}

/// Bytes as a caller counts them: see the transport for what they are of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
}

/// What became of a call.
#[derive(Debug)]
pub struct Outcome {
    /// The bytes of the results, or what went wrong.
    pub result: Result<Bytes, Error>,
    /// When things happened.
    pub timing: Timing,
    /// What travelled for it.
    pub traffic: Traffic,
}

impl Outcome {
    /// A call that failed before anything was sent.
    pub fn unsent(error: Error) -> Self {
        Self {
            result: Err(error),
            timing: Timing {
                finished: Some(Instant::now()),
                ..Timing::default()
            },
            traffic: Traffic::default(),
        }
    }
}
