//! The state of one stream.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::ErrorCode;

/// Streams by their numbers.
pub(crate) type Streams<T> = HashMap<u32, Stream<T>, BuildHasherDefault<NumberHasher>>;

#[derive(Debug)]
pub(crate) struct Stream<T> {
    pub(crate) user: T,
    /// The number of bytes that may be sent. Settings may make it negative.
    pub(crate) send_window: i64,
    /// The number of bytes received since the last credit to the peer.
    pub(crate) received: u32,
    /// Whether we haven't sent our end.
    pub(crate) sends: bool,
    /// Whether the peer hasn't sent its end.
    pub(crate) receives: bool,
    /// Whether its final head has arrived.
    pub(crate) has_head: bool,
    /// Whether it is a HEAD request, so that the announced length isn't that of this
    /// message.
    pub(crate) is_head: bool,
    /// The announced length of the body minus the received bytes.
    pub(crate) body_left: Option<u64>,
}

impl<T> Stream<T> {
    pub(crate) fn new(user: T, window: u32) -> Self {
        Self {
            user,
            send_window: i64::from(window),
            received: 0,
            sends: true,
            receives: true,
            has_head: false,
            is_head: false,
            body_left: None,
        }
    }
}

/// Why a stream ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The peer reset it, with this code.
    Peer(ErrorCode),
    /// The received data aren't a valid message.
    Malformed(&'static str),
    /// Its head is too long.
    HeadTooLong,
    /// The peer goes away, and hasn't processed the stream.
    NotProcessed(ErrorCode),
}

/// A hasher for stream numbers, which are regular: a multiplication spreads them.
#[derive(Debug, Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }
}
