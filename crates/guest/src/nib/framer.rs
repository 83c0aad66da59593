//! What has arrived, cut into what the guest needs.

use memchr::memmem;

use crate::bindings::nib::exports::encarno::nib::protocol as wit;

/// How long a text is that a guest may ask for bytes up to.
const UNTIL_BYTES_MAX: usize = 64;
/// So many bytes may come before a length.
const OFFSET_MAX: u32 = 256;

/// What the guest gets next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Whatever has arrived.
    Any,
    /// So many bytes.
    Exactly(usize),
    /// Everything up to these bytes, and these bytes.
    Until(Vec<u8>),
    /// A message that contains its length.
    Prefixed(Prefix),
    /// Everything until the peer closes.
    Close,
}

/// Where a message's length is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// So many bytes come before the length.
    pub offset: usize,
    /// So many bytes has the length: 1, 2, 4 or 8.
    pub size: usize,
    /// Whether its lowest byte comes first.
    pub little_endian: bool,
    /// What is behind the length has its value plus so many bytes.
    pub adjust: i64,
}

/// What has arrived is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// It would be longer than allowed.
    TooLong,
    /// Its length can't be.
    Length(i128),
}

impl Need {
    /// What a guest asks for, if that can be.
    pub(crate) fn new(need: wit::Need) -> Result<Self, String> {
        Ok(match need {
            wit::Need::Any => Self::Any,
            wit::Need::Exactly(0) => return Err("the guest needs exactly 0 bytes".to_owned()),
            wit::Need::Exactly(count) => Self::Exactly(count as usize),
            wit::Need::Until(bytes) if (1..=UNTIL_BYTES_MAX).contains(&bytes.len()) => {
                Self::Until(bytes)
            }
            wit::Need::Until(bytes) => {
                let count = bytes.len();
                return Err(format!(
                    "the guest needs bytes until {count} others: 1 to {UNTIL_BYTES_MAX} are possible"
                ));
            }
            wit::Need::Prefixed(prefix) => {
                let wit::Prefix {
                    offset,
                    size,
                    little_endian,
                    adjust,
                } = prefix;
                if !matches!(size, 1 | 2 | 4 | 8) || offset > OFFSET_MAX {
                    return Err(format!(
                        "the guest's lengths have {size} bytes behind {offset} others: 1, 2, 4 or 8 \
                         behind at most {OFFSET_MAX} are possible"
                    ));
                }
                Self::Prefixed(Prefix {
                    offset: offset as usize,
                    size: size.into(),
                    little_endian,
                    adjust: adjust.into(),
                })
            }
            wit::Need::Close => Self::Close,
        })
    }

    /// How many of these bytes the guest gets now; none = more have to arrive.
    /// `looked` is how many of them were looked at before.
    fn count(&self, bytes: &[u8], looked: usize, bytes_max: usize) -> Result<Option<usize>, Bad> {
        let found = match self {
            Self::Any => (!bytes.is_empty()).then_some(bytes.len()),
            Self::Exactly(count) if *count > bytes_max => return Err(Bad::TooLong),
            Self::Exactly(count) => (bytes.len() >= *count).then_some(*count),
            Self::Until(end) => {
                let from = looked.saturating_sub(end.len() - 1).min(bytes.len());
                memmem::find(&bytes[from..], end).map(|at| from + at + end.len())
            }
            Self::Prefixed(prefix) => {
                let count = prefix.count(bytes, bytes_max)?;
                count.filter(|&count| bytes.len() >= count)
            }
            Self::Close => None,
        };
        match found {
            Some(count) if count > bytes_max && *self != Self::Any => Err(Bad::TooLong),
            None if bytes.len() > bytes_max => Err(Bad::TooLong),
            found => Ok(found),
        }
    }
}

impl Prefix {
    /// How long the message is that begins here, if its length has arrived.
    fn count(&self, bytes: &[u8], bytes_max: usize) -> Result<Option<usize>, Bad> {
        let head = self.offset + self.size;
        let Some(length) = bytes.get(self.offset..head) else {
            return Ok(None);
        };
        let fold = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
        let length = match self.little_endian {
            true => length.iter().rev().fold(0, fold),
            false => length.iter().fold(0, fold),
        };
        let rest = i128::from(length) + i128::from(self.adjust);
        match usize::try_from(rest) {
            Err(_) => Err(Bad::Length(rest)),
            Ok(rest) if rest > bytes_max => Err(Bad::TooLong),
            Ok(rest) => Ok(Some(head + rest)),
        }
    }
}

/// What has arrived and wasn't needed yet.
#[derive(Debug, Default)]
pub struct Framer {
    held: Vec<u8>,
    /// So many of them were looked at in vain.
    looked: usize,
}

impl Framer {
    /// So many bytes wait.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Another thing is needed: what is held is looked at anew.
    pub fn look_again(&mut self) {
        self.looked = 0;
    }

    /// All that waits: the peer has closed.
    pub fn take(&mut self) -> Vec<u8> {
        self.looked = 0;
        std::mem::take(&mut self.held)
    }

    /// Hands over what is needed of what was held and of `bytes`, as often as there is
    /// enough. `next` is what is needed next, and `usual` what is needed where that is none.
    /// `hand` says what is needed next, and whether to go on.
    pub fn feed<E: From<Bad>>(
        &mut self,
        bytes: &[u8],
        bytes_max: usize,
        usual: &Need,
        next: &mut Option<Need>,
        mut hand: impl FnMut(&[u8], &mut Option<Need>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let held = std::mem::take(&mut self.held);
        let looked = std::mem::take(&mut self.looked);
        let (whole, mut looked) = match held.is_empty() {
            true => (None, 0),
            false => {
                let mut whole = held;
                whole.extend_from_slice(bytes);
                (Some(whole), looked)
            }
        };
        let mut rest = whole.as_deref().unwrap_or(bytes);
        while !rest.is_empty() {
            let need = next.as_ref().unwrap_or(usual);
            let Some(count) = need.count(rest, looked, bytes_max)? else {
                self.looked = rest.len();
                break;
            };
            looked = 0;
            let (part, behind) = rest.split_at(count);
            rest = behind;
            *next = None;
            if !hand(part, next)? {
                return Ok(());
            }
        }
        // What is too long is told before any of it comes.
        if let Need::Exactly(count) = next.as_ref().unwrap_or(usual)
            && *count > bytes_max
        {
            return Err(Bad::TooLong.into());
        }
        let behind = rest.len();
        self.held = match whole {
            Some(mut whole) => {
                let gone = whole.len() - behind;
                whole.drain(..gone);
                whole
            }
            None => rest.to_vec(),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use proptest::prelude::*;

    use super::{Bad, Framer, Need, Prefix};

    const PREFIX: Prefix = Prefix {
        offset: 1,
        size: 2,
        little_endian: false,
        adjust: -1,
    };

    fn cut(need: &Need, pieces: &[&[u8]], bytes_max: usize) -> Result<Vec<Vec<u8>>, Bad> {
        let mut framer = Framer::default();
        let mut parts = Vec::new();
        for piece in pieces {
            framer.feed(piece, bytes_max, need, &mut None, |part, _| {
                parts.push(part.to_vec());
                Ok::<_, Bad>(true)
            })?;
        }
        Ok(parts)
    }

    #[test]
    fn the_guest_gets_what_it_needs() {
        let until = Need::Until(b"\r\n".to_vec());
        let parts = cut(&until, &[b"+a\r", b"\n+b\r\n+c"], 100).unwrap();
        assert_eq!(parts, [b"+a\r\n", b"+b\r\n"]);
        let parts = cut(&Need::Exactly(3), &[b"ab", b"cdefg"], 100).unwrap();
        assert_eq!(parts, [b"abc", b"def"]);
        let parts = cut(&Need::Prefixed(PREFIX), &[b"x\0", b"\x03aby\0\x01z"], 100).unwrap();
        assert_eq!(parts, [&b"x\0\x03ab"[..], b"y\0\x01"]);
        assert_eq!(cut(&Need::Any, &[b"ab", b"c"], 100).unwrap().len(), 2);
        assert!(cut(&Need::Close, &[b"ab", b"c"], 100).unwrap().is_empty());
    }

    #[test]
    fn what_is_too_long_is_told_before_it_is_held() {
        let until = Need::Until(b"\n".to_vec());
        assert_eq!(cut(&until, &[b"0123", b"45678"], 8), Err(Bad::TooLong));
        assert_eq!(cut(&Need::Exactly(9), &[b"0"], 8), Err(Bad::TooLong));
        let prefixed = Need::Prefixed(PREFIX);
        assert_eq!(cut(&prefixed, &[b"x\xff\xff"], 8), Err(Bad::TooLong));
        assert_eq!(cut(&prefixed, &[b"x\0\0"], 8), Err(Bad::Length(-1)));
        assert_eq!(
            cut(&Need::Close, &[b"0123", b"45678"], 8),
            Err(Bad::TooLong)
        );
    }

    #[test]
    fn what_is_needed_next_may_be_too_long() {
        let until = Need::Until(b"\n".to_vec());
        let fed = Framer::default().feed(b"9\n", 8, &until, &mut None, |_, next| {
            *next = Some(Need::Exactly(9));
            Ok::<_, Bad>(true)
        });
        assert_eq!(fed, Err(Bad::TooLong));
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(
            bytes in proptest::collection::vec(0u8..4, 0..200),
            cuts in proptest::collection::vec(0usize..200, 0..8),
            which in 0usize..4,
        ) {
            let need = [
                Need::Exactly(3),
                Need::Until(vec![1, 2]),
                Need::Until(vec![1, 1, 0]),
                Need::Prefixed(Prefix { offset: 0, size: 1, little_endian: true, adjust: 1 }),
            ][which].clone();
            let whole = cut(&need, &[&bytes], 1000).unwrap();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(cut(&need, &pieces, 1000).unwrap(), whole);
        }
    }
}
