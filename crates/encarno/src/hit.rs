//! What is sent, and what became of it.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::script::Script;
use crate::strings::StringId;

/// Something to send, as a file or the command line gave it.
#[derive(Clone, Debug)]
pub struct Record {
    /// The name under which results are grouped.
    pub label: StringId,
    /// Where to send it, when the record itself says so; 0 = the default address.
    pub address: StringId,
    /// The instant it asks for, in ns from the start of the run (`stpd` files).
    pub scheduled_ns: Option<u64>,
    /// The bytes.
    pub payload: Payload,
    /// What else it asks for; none = send it and be done.
    pub script: Option<Arc<Script>>,
}

/// The bytes of a record. They are bytes, never text.
#[derive(Clone, Debug)]
pub enum Payload {
    /// Held in memory, as a view into the block that was read.
    Memory(Bytes),
    /// Too large for that: sent from the file, piece by piece.
    File {
        /// The file, open.
        file: Arc<File>,
        /// Where the bytes lie in it.
        range: Range<u64>,
    },
}

/// What became of one hit. Instants are ns on the run's monotonic clock, from
/// its start; an instant that wasn't reached is 0 from there on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Hit {
    /// When it should have started. In a closed workload: when its worker was free.
    pub scheduled_ns: u64,
    /// When it started.
    pub started_ns: u64,
    /// When the connection was there; equal to the start if it was reused.
    pub connected_ns: u64,
    /// When the last byte was sent.
    pub sent_ns: u64,
    /// When the first byte of the answer came.
    pub first_byte_ns: u64,
    /// When it ended, well or not.
    pub ended_ns: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// The name under which results are grouped.
    pub label: StringId,
    /// What went wrong, as text; 0 = nothing.
    pub error: StringId,
    /// How many hits were running, this one included, when it started.
    pub concurrency: u32,
    /// The worker that made it.
    pub worker: u32,
    /// The operating system's error number, or one of ours (see `nib`); 0 = none.
    pub net_code: u16,
    /// The protocol's status (HTTP 200 …); 0 = none.
    pub protocol_code: u16,
    /// DNS took so long, in µs; part of the connect time.
    pub dns_us: u32,
}

impl Hit {
    /// From its start: what the service took.
    pub fn service_ns(&self) -> u64 {
        self.ended_ns.saturating_sub(self.started_ns)
    }

    /// From the instant it should have started: what a user would have felt.
    pub fn response_ns(&self) -> u64 {
        self.ended_ns.saturating_sub(self.scheduled_ns)
    }

    /// How late it started.
    pub fn lag_ns(&self) -> u64 {
        self.started_ns.saturating_sub(self.scheduled_ns)
    }
}
