//! Messages as bodies have them: a flag, a length of four bytes, the message.

/// What stands before a message.
pub const PREFIX_BYTES: usize = 5;

/// Appends a message.
pub fn write(message: &[u8], is_compressed: bool, out: &mut Vec<u8>) {
    out.push(u8::from(is_compressed));
    out.extend_from_slice(&(message.len() as u32).to_be_bytes());
    out.extend_from_slice(message);
}

/// What is wrong with what came.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadMessage {
    /// It says that it is longer than accepted.
    #[error("a message of {0} bytes")]
    TooLong(u32),
    /// The first byte isn't 0 or 1.
    #[error("a message that begins with the byte {0}: this isn't gRPC")]
    Flag(u8),
    /// It is compressed, and nobody said how.
    #[error("a compressed message in an answer without grpc-encoding")]
    NoEncoding,
}

/// Tells messages apart as their bytes come, and keeps none of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader {
    prefix: [u8; PREFIX_BYTES],
    /// Bytes of the prefix that have come.
    have: usize,
    /// Bytes of the message that haven't come.
    left: u32,
}

/// What became of the messages while bytes came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// So many began.
    pub begun: u64,
    /// So many came to their ends.
    pub whole: u64,
}

impl Reader {
    /// Takes what came.
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

    /// Whether no message is there in part.
    pub fn is_between(&self) -> bool {
        self.have == 0
    }
}

/// A message that is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Whether it is compressed.
    pub is_compressed: bool,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// The messages that are whole in these bytes.
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
