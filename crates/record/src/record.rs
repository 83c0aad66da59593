//! What is sent.

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
    /// What it asks for beyond being sent.
    pub script: Option<Arc<Script>>,
    /// It starts a pass through the input.
    pub first_of_pass: bool,
}

impl Record {
    /// These bytes, for the default address, and nothing else said.
    pub fn new(payload: Payload) -> Self {
        Self {
            label: StringId(0),
            address: StringId(0),
            scheduled_ns: None,
            payload,
            script: None,
            first_of_pass: false,
        }
    }
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

impl Payload {
    /// How many bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { range, .. } => range.end.saturating_sub(range.start),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
