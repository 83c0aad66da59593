//! What is known of one stream.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::ErrorCode;

/// Streams by their numbers.
pub(crate) type Streams<T> = HashMap<u32, Stream<T>, BuildHasherDefault<NumberHasher>>;

#[derive(Debug)]
pub(crate) struct Stream<T> {
    pub(crate) user: T,
    /// So much may be sent. Settings may make it less than nothing.
    pub(crate) send_window: i64,
    /// So much came since the peer was given credit.
    pub(crate) received: u32,
    /// We have not sent our end.
    pub(crate) sends: bool,
    /// The peer has not sent its end.
    pub(crate) receives: bool,
    /// Its head has come, and not just an interim one.
    pub(crate) has_head: bool,
    /// It asks for a head only: what that says of a body isn't about this message.
    pub(crate) is_head: bool,
    /// What its head promised of the body, less what came.
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

/// Why a stream ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The peer closed it, with that code.
    Peer(ErrorCode),
    /// What came isn't a message.
    Malformed(&'static str),
    /// Its head is longer than accepted.
    HeadTooLong,
    /// The peer goes away, and didn't and won't look at it.
    NotProcessed(ErrorCode),
}

/// Numbers of streams are anything but random: a multiplication spreads them.
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
