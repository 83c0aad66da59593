//! A record: what is sent.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::script::Script;
use crate::strings::StringId;

/// A record, as a file or the command line gives it.
#[derive(Clone, Debug)]
pub struct Record {
    /// The label under which results are grouped.
    pub label: StringId,
    /// The address of this record; 0 means the default address.
    pub address: StringId,
    /// The instant of this record, in ns from the start of the run (`stpd` files).
    pub scheduled_ns: Option<u64>,
    /// The bytes.
    pub payload: Payload,
    /// Its script.
    pub script: Option<Arc<Script>>,
    /// Whether a pass through the input starts with it.
    pub first_of_pass: bool,
}

impl Record {
    /// A record with these bytes for the default address.
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

/// The bytes of a record, which need not be text.
#[derive(Clone, Debug)]
pub enum Payload {
    /// In memory, as a view into the block that was read.
    Memory(Bytes),
    /// In the file, because it is large; it is sent piece by piece.
    File {
        /// The open file.
        file: Arc<File>,
        /// The range of its bytes.
        range: Range<u64>,
    },
}

impl Payload {
    /// The number of bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { range, .. } => range.end.saturating_sub(range.start),
        }
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
