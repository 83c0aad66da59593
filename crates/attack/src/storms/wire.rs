//! What is said over TCP by hand.

use encarno_wrpc::value::Write as _;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::failure::Failure;
use crate::neighbours::INSTANCE;

pub(super) const PREFACE: &[u8] = b"\xffencarno\x02";
/// Kinds of messages on a connection that calls share.
pub(super) const CALL: u8 = 1;
pub(super) const CALL_BEGINS: u8 = 2;

/// A connection that calls share, after its prefaces.
pub(super) async fn shared(addr: &str) -> Result<TcpStream, Failure> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(PREFACE).await?;
    let mut answer = [0; PREFACE.len()];
    stream.read_exact(&mut answer).await?;
    Ok(stream)
}

/// A message on it.
pub(super) fn message(kind: u8, call: u64, function: &str, params: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.bytes(INSTANCE.as_bytes());
    payload.bytes(function.as_bytes());
    payload.extend_from_slice(params);
    let mut message = (payload.len() as u32).to_le_bytes().to_vec();
    message.push(kind);
    message.extend(call.to_le_bytes());
    message.extend(payload);
    message
}

/// A call on a connection of its own.
pub(super) fn single(function: &str, params: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.bytes(INSTANCE.as_bytes());
    bytes.bytes(function.as_bytes());
    bytes.push(0);
    bytes.bytes(params);
    bytes.extend([0, 0]);
    bytes
}

/// Bytes that are the same in every storm of that number.
pub(super) struct Random(Xoshiro256PlusPlus);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() % end.max(1) as u64) as usize
    }

    pub(super) fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.below(most);
        (0..count).map(|_| self.0.next_u64() as u8).collect()
    }

    /// One to six changes: bytes that are others, gone, twice or new.
    pub(super) fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            let end = (at + self.below(16)).min(bytes.len());
            match self.below(5) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 if at < bytes.len() => bytes[at] = self.0.next_u64() as u8,
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let again = bytes[at..end].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => {
                    let new = self.bytes(8);
                    bytes.splice(at..at, new);
                }
            }
        }
    }
}
