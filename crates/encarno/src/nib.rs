//! The tip that touches the target: one small trait for all protocols.
//!
//! An event loop owns a nib and its workers; a worker has one connection and
//! makes one hit at a time. The nib moves a hit on as far as it goes without
//! waiting, notes the instants in it, and says what it waits for.
//!
//! Net codes up to 999 are the operating system's error numbers; those above
//! are ours, see [`code`].

pub mod address;
pub mod dial;
pub mod dummy;
pub mod http;
pub mod poll;
pub mod socket;
pub mod tls;
pub mod udp;

use crate::clock::Clock;
use crate::hit::{Hit, Payload};
use crate::strings::StringId;
use poll::Poller;

/// Net codes that the operating system doesn't have.
pub mod code {
    /// The hit took longer than its timeout.
    pub const TIMEOUT: u16 = 1001;
    /// The answer wasn't what the protocol demands.
    pub const PROTOCOL: u16 = 1002;
    /// TLS: a handshake or a certificate that isn't accepted.
    pub const TLS: u16 = 1003;
    /// The name wasn't found.
    pub const DNS: u16 = 1004;
    /// The peer closed the connection in the middle of an answer, or before it.
    pub const CLOSED_EARLY: u16 = 1005;
    /// The peer closed a kept connection while the hit was on its way, before
    /// any byte of an answer. It isn't sent again: the peer may have got it.
    pub const STALE: u16 = 1006;
    /// The run was stopped before the hit ended.
    pub const CANCELLED: u16 = 1007;
    /// The head of the answer is longer than accepted.
    pub const HEAD_TOO_LONG: u16 = 1008;
    /// The record has no address and there is no default one, or it can't be used.
    pub const ADDRESS: u16 = 1009;
    /// The record's file couldn't be read.
    pub const PAYLOAD: u16 = 1010;
    /// The dummy failed as its script says.
    pub const DUMMY: u16 = 1011;
}

/// A hit on its way, and what it sends.
#[derive(Debug)]
pub struct Shot {
    /// What is known of it by now.
    pub hit: Hit,
    /// What is sent.
    pub payload: Payload,
    /// Where to; 0 = the default address.
    pub address: StringId,
    /// So much of the answer is kept, for whoever looks at it afterwards.
    pub keep_bytes_max: usize,
}

impl Shot {
    /// Keeps what came, up to the bound.
    #[inline]
    fn keep(&self, kept: &mut Vec<u8>, bytes: &[u8]) {
        if self.keep_bytes_max > 0 {
            let room = self.keep_bytes_max.saturating_sub(kept.len());
            kept.extend_from_slice(&bytes[..room.min(bytes.len())]);
        }
    }
}

/// Makes room for the next answer; what a long one took is given back.
#[inline]
fn forget(kept: &mut Vec<u8>) {
    const KEPT_BYTES: usize = 256 << 10;
    if kept.capacity() > KEPT_BYTES {
        *kept = Vec::new();
    }
    kept.clear();
}

/// What a nib may use of its event loop.
#[derive(Debug)]
pub struct Io<'a> {
    /// Where to register sockets.
    pub poller: &'a Poller,
    /// The worker, as its event loop counts.
    pub worker: u32,
    /// The clock.
    pub clock: &'a Clock,
    /// A buffer for one read; nothing stays in it.
    pub scratch: &'a mut [u8],
}

impl Io<'_> {
    /// Registers a socket of the worker. Its events come with that number, so
    /// that those of a socket that was closed or put aside aren't taken for
    /// another's.
    pub fn register(
        &self,
        socket: impl std::os::fd::AsFd,
        number: u32,
    ) -> Result<(), rustix::io::Errno> {
        self.poller
            .register(socket, u64::from(number) << 32 | u64::from(self.worker))
    }
}

/// How far a hit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It waits for its connection, or for [`Nib::woken`].
    Running,
    /// It waits for that instant.
    WakeAt(u64),
    /// It has ended; everything in the hit is set.
    Done,
}

/// What happened to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The number that the socket was registered with.
    pub number: u32,
    /// There is something to read, or the peer closed.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
    /// The peer closed its side, or the connection broke.
    pub closed: bool,
}

/// A protocol. Everything it needs per worker is in its `Connection`.
pub trait Nib {
    /// What belongs to one worker.
    type Connection;

    /// A connection that isn't open yet.
    fn connection(&mut self) -> Self::Connection;

    /// Starts a hit; `started_ns` is set.
    fn start(
        &mut self,
        connection: &mut Self::Connection,
        shot: &mut Shot,
        io: &mut Io<'_>,
    ) -> Step;

    /// The connection is ready; the shot is the running hit, if there is one.
    fn ready(
        &mut self,
        connection: &mut Self::Connection,
        shot: Option<&mut Shot>,
        readiness: Readiness,
        io: &mut Io<'_>,
    ) -> Step;

    /// The instant of [`Step::WakeAt`] has come, or the worker was named by [`Nib::woken`].
    fn wake(&mut self, connection: &mut Self::Connection, shot: &mut Shot, io: &mut Io<'_>)
    -> Step;

    /// Gives the running hit up: its connection can't be used any more.
    fn abandon(&mut self, connection: &mut Self::Connection);

    /// Workers whose hits can go on, after something outside the event loop ended.
    fn woken(&mut self, workers: &mut Vec<u32>) {
        let _ = workers;
    }

    /// The answer of the hit that has just ended, as far as it was kept.
    fn answer<'a>(&self, connection: &'a Self::Connection) -> &'a [u8] {
        let _ = connection;
        &[]
    }

    /// Fails if the loop can't go on: no file descriptors are left.
    fn fatal(&self) -> Option<rustix::io::Errno> {
        None
    }
}
