//! Bytes that arrive in pieces. A single piece, the common case, is kept as it came.

use bytes::{Bytes, BytesMut};

#[derive(Default)]
pub(crate) enum Chunks {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Chunks {
    pub(crate) fn push(&mut self, chunk: Bytes) {
        match self {
            Self::None => *self = Self::One(chunk),
            Self::One(first) => {
                let mut all = BytesMut::with_capacity(first.len() + chunk.len());
                all.extend_from_slice(first);
                all.extend_from_slice(&chunk);
                *self = Self::Many(all);
            }
            Self::Many(all) => all.extend_from_slice(&chunk),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(one) => one.len(),
            Self::Many(all) => all.len(),
        }
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        match self {
            Self::None => Bytes::new(),
            Self::One(one) => one,
            Self::Many(all) => all.freeze(),
        }
    }
}
