//! The messages in a body, each with a flag and a length of four bytes before it.

/// The length of the prefix of a message.
pub const PREFIX_BYTES: usize = 5;

/// Appends a message.
pub fn write(message: &[u8], is_compressed: bool, out: &mut Vec<u8>) {
    out.push(u8::from(is_compressed));
    out.extend_from_slice(&(message.len() as u32).to_be_bytes());
    out.extend_from_slice(message);
}

/// Errors in the received bytes.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadMessage {
    /// The message is longer than accepted.
    #[error("a message of {0} bytes")]
    TooLong(u32),
    /// The first byte isn't 0 or 1.
    #[error("a message that begins with the byte {0}: this isn't gRPC")]
    Flag(u8),
    /// The message is compressed, but no header names the algorithm.
    #[error("a compressed message in an answer without grpc-encoding")]
    NoEncoding,
}

/// Finds the bounds of messages in arriving bytes, without keeping the bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader {
    prefix: [u8; PREFIX_BYTES],
    /// The number of bytes of the prefix that have arrived.
    have: usize,
    /// The number of bytes of the message that haven't arrived.
    left: u32,
}

/// The messages that began and ended in some bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The number of messages that began.
    pub begun: u64,
    /// The number of messages that ended.
    pub whole: u64,
}

impl Reader {
    /// Takes bytes that arrived.
    pub fn take(
        &mut self,
        mut bytes: &[u8],
        bytes_max: u32,
        may_be_compressed: bool,
    ) -> Result<Taken, BadMessage> {
        let mut taken = Taken::default();
        while !bytes.is_empty() {
            if self.have < PREFIX_BYTES {
                taken.begun += u64::from(self.have == 0);
                let count = bytes.len().min(PREFIX_BYTES - self.have);
                let (now, rest) = bytes.split_at(count);
                self.prefix[self.have..self.have + count].copy_from_slice(now);
                self.have += count;
                bytes = rest;
                match self.prefix[0] {
                    0 => {}
                    1 if may_be_compressed => {}
                    1 => return Err(BadMessage::NoEncoding),
                    flag => return Err(BadMessage::Flag(flag)),
                }
                if self.have < PREFIX_BYTES {
                    break;
                }
                let [_, a, b, c, d] = self.prefix;
                self.left = u32::from_be_bytes([a, b, c, d]);
                if self.left > bytes_max {
                    return Err(BadMessage::TooLong(self.left));
                }
            }
            let count = bytes.len().min(self.left as usize);
            self.left -= count as u32;
            bytes = &bytes[count..];
            if self.left == 0 {
                taken.whole += 1;
                self.have = 0;
            }
        }
        Ok(taken)
    }

    /// Whether no message is incomplete.
    pub fn is_between(&self) -> bool {
        self.have == 0
    }
}

/// A complete message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Whether the bytes are compressed.
    pub is_compressed: bool,
    /// The message's bytes.
    pub bytes: &'a [u8],
}

/// The complete messages in the bytes.
pub fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let (&[flag, a, b, c, d], rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let (message, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        Some(Message {
            is_compressed: flag == 1,
            bytes: message,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{BadMessage, Reader, Taken, messages, write};

    #[test]
    fn messages_come_out_whole_however_they_come_in() {
        let mut bytes = Vec::new();
        for message in [&b"hello"[..], b"", b"you"] {
            write(message, false, &mut bytes);
        }
        for size in 1..bytes.len() {
            let mut reader = Reader::default();
            let mut all = Taken::default();
            for piece in bytes.chunks(size) {
                let taken = reader.take(piece, 5, false).expect("sound");
                all.begun += taken.begun;
                all.whole += taken.whole;
            }
            assert_eq!((all.begun, all.whole), (3, 3), "{size}");
            assert!(reader.is_between());
        }
        let found: Vec<_> = messages(&bytes).map(|message| message.bytes).collect();
        assert_eq!(found, [&b"hello"[..], b"", b"you"]);
        assert_eq!(messages(&bytes[..bytes.len() - 1]).count(), 2);
        let mut reader = Reader::default();
        reader.take(&bytes[..7], 5, false).expect("sound");
        assert!(!reader.is_between());
    }

    #[test]
    fn lengths_and_flags_are_checked_at_once() {
        let take = |bytes: &[u8], compressed| Reader::default().take(bytes, 100, compressed);
        let long = [0, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(take(&long, false), Err(BadMessage::TooLong(u32::MAX)));
        assert_eq!(take(&[1], false), Err(BadMessage::NoEncoding));
        assert_eq!(take(b"<", true), Err(BadMessage::Flag(b'<')));
        assert_eq!(take(&[1], true).map(|taken| taken.begun), Ok(1));
    }
}
