//! Random bytes, always the same for the same seed.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

/// Bytes that matter to parsers.
const INTERESTING: &[&[u8]] = &[
    b"\0",
    b"\x7f",
    b"\x80",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\x0f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\r\n",
    b"\n",
    b"\r\n\r\n",
    b" ",
    b"\t",
    b"\"",
    b"'",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"(",
    b")",
    b":",
    b";",
    b",",
    b"=",
    b"&",
    b"*",
    b"-",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551615",
    b"9223372036854775808",
    b"4294967296",
    b"${a}",
    b"${b}",
    b"\xe2\x82\xac",
    b"\xed\xa0\x80",
];

/// Generates and changes bytes.
pub struct Random(Xoshiro256PlusPlus);

impl Random {
    /// A generator with this seed.
    pub fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() % end.max(1) as u64) as usize
    }

    /// Random bytes, fewer than `most`.
    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.below(most);
        (0..count).map(|_| self.0.next_u64() as u8).collect()
    }

    /// Makes one to five changes: replaces, deletes or doubles bytes, or inserts bytes of
    /// `other` or bytes that matter to parsers.
    pub fn change(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(32)).min(bytes.len());
            match self.below(8) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.0.next_u64() as u8,
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                4 => {
                    let from = self.below(other.len() + 1);
                    let part = &other[from..(from + self.below(64)).min(other.len())];
                    bytes.splice(at..end, part.iter().copied());
                }
                5 => bytes.truncate(at),
                6 => {
                    let new = self.bytes(8);
                    bytes.splice(at..at, new);
                }
                _ => {
                    let text = INTERESTING[self.below(INTERESTING.len())];
                    bytes.splice(at..at, text.iter().copied());
                }
            }
        }
    }
}
