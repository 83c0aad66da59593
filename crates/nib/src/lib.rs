//! The tip that touches the target: one small trait for all protocols.
//!
//! An event loop owns a nib and its workers; a worker has one connection and
//! makes one hit at a time. The nib moves a hit on as far as it goes without
//! waiting, notes the instants in it, and says what it waits for.
//!
//! In the order in which a hit meets them:
//!
//! - [`clock`]: the run's clock
//! - proxy: requests and tunnels through an HTTP proxy
//! - settings, network: connections over a network, as asked for and set up
//! - hits: the running hits of an event loop, for links that several of them share
//! - [`delay`]: distributions of delays, for what is made up and for pauses
//! - encoding: bytes as texts write them
//! - scheme, kind: what is said of a protocol once
//! - factory: how it is made from options
//! - networked: what protocols over sockets have in common, set up once
//! - [`address`], dial: where connections go to, and from where
//! - reason: what is said of a connection that failed
//! - [`socket`], [`tls`], [`stream`], [`poll`]: bytes to and from the peer
//! - response: what came, in its parts
//! - alone: one hit without an event loop

pub mod address;
pub mod clock;
pub mod delay;
pub mod poll;
pub mod socket;
pub mod stream;
pub mod tls;

mod alone;
mod dial;
mod encoding;
mod factory;
mod hits;
mod kind;
mod network;
mod networked;
mod proxy;
mod reason;
mod response;
mod scheme;
mod settings;

pub use alone::Alone;
pub use dial::{Dialer, NoPeer, Route, note_lookup};
pub use encoding::Encoding;
pub use factory::Factory;
pub use hits::{Hits, LINK_BIT};
pub use kind::{BadOption, Form, Kind, Opening, Options, Prepare};
pub use network::{Network, SetUpError};
pub use networked::{NetworkProtocol, Networked, NetworkedSettings};
pub use proxy::{PROXY_SCHEMES, ProxySettings};
pub use response::{Keep, Kept, Response};
pub use scheme::Scheme;
pub use settings::{HEAD_BYTES_MAX, NetworkSettings, TlsSettings};

use std::sync::Arc;
use std::time::Duration;

use encarno_record::{Expected, Hit, Payload, StringId, Strings};
use rustix::event::epoll::Event;
use rustix::io::Errno;

use crate::clock::Clock;
use crate::poll::{Poller, Waker};

/// A hit on its way, and what it sends.
#[derive(Debug)]
pub struct Shot {
    /// What is known of it by now.
    pub hit: Hit,
    /// What is sent.
    pub payload: Payload,
    /// Where to; 0 = the default address.
    pub address: StringId,
    /// What is kept of the response.
    pub keep: Keep,
}

impl Shot {
    /// Ends the hit without an answer.
    pub fn fail(&mut self, code: u16, text: StringId, io: &Io<'_>) -> Step {
        self.hit.net_code = code;
        self.hit.error = text;
        self.hit.ended_ns = io.clock.now_ns();
        Step::Done
    }
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
    pub fn register(&self, socket: impl std::os::fd::AsFd, number: u32) -> Result<(), Errno> {
        self.poller
            .register(socket, u64::from(number) << 32 | u64::from(self.worker))
    }

    /// Registers the socket of a link. Its events come with both numbers, to
    /// [`Nib::ready_shared`].
    pub fn register_link(
        &self,
        socket: impl std::os::fd::AsFd,
        link: u32,
        number: u32,
    ) -> Result<(), Errno> {
        self.poller
            .register(socket, u64::from(number) << 32 | u64::from(LINK_BIT | link))
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
///
/// A worker has one hit at a time. Whether it has a connection of its own is
/// the protocol's matter: if [`Nib::SHARED`] is set, the nib keeps links that
/// several workers use at once, and a `Connection` is a worker's place in one.
pub trait Nib {
    /// What belongs to one worker.
    type Connection;

    /// Whether workers share links. The methods that say so are called only then.
    const SHARED: bool = false;

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

    /// Gives the running hit up: its connection can't be used any more. On a
    /// shared link the others go on: what is to be said to the peer is kept for
    /// [`Nib::flush`].
    fn abandon(&mut self, connection: &mut Self::Connection);

    /// Workers whose hits can go on, after something outside the event loop ended.
    fn woken(&mut self, workers: &mut Vec<u32>) {
        let _ = workers;
    }

    /// A link is ready.
    fn ready_shared(
        &mut self,
        link: u32,
        readiness: Readiness,
        hits: &mut dyn Hits<Self::Connection>,
        io: &mut Io<'_>,
    ) {
        let _ = (link, readiness, hits, io);
    }

    /// Sends what hits that were started, and hits that were given up, left to
    /// be sent: many of them in one call to the system.
    fn flush(&mut self, hits: &mut dyn Hits<Self::Connection>, io: &mut Io<'_>) {
        let _ = (hits, io);
    }

    /// When [`Nib::due`] is to be called, whatever else happens.
    fn next_instant(&self) -> u64 {
        u64::MAX
    }

    /// The instant has come.
    fn due(&mut self, now_ns: u64, hits: &mut dyn Hits<Self::Connection>, io: &mut Io<'_>) {
        let _ = (now_ns, hits, io);
    }

    /// Waits until something is ready, or so long; true if the wait ended for another
    /// reason. A nib whose connections aren't registered with the poller waits for them, too.
    #[inline]
    fn wait(
        &mut self,
        poller: &Poller,
        events: &mut Vec<Event>,
        timeout_ns: u64,
    ) -> Result<bool, Errno> {
        poller.wait(events, timeout_ns).map(|()| false)
    }

    /// The response of the hit that has just ended, as far as it was kept.
    fn response<'a>(&self, connection: &'a Self::Connection) -> Response<'a> {
        let _ = connection;
        Response::default()
    }

    /// What came, as it came, as far as it was kept: for the trace.
    fn received<'a>(&self, connection: &'a Self::Connection) -> &'a [u8] {
        let _ = connection;
        &[]
    }

    /// Who the running hit waits for, once that is known: for people.
    fn peer(&self, connection: &Self::Connection) -> Option<String> {
        let _ = connection;
        None
    }

    /// A payload for people to read: for the trace. None = it can be read as it is.
    fn shown(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let _ = payload;
        None
    }

    /// Fails if the loop can't go on: no file descriptors are left.
    fn fatal(&self) -> Option<Errno> {
        None
    }
}

/// A protocol, configured: it makes the nib of each event loop.
pub trait Protocol {
    /// What an event loop has of it.
    type Nib: Nib + Send + 'static;

    /// What is known of it before it is set up.
    const KIND: &'static Kind;

    /// The nib of one event loop.
    fn nib(&self, seat: &Seat<'_>) -> Self::Nib;

    /// The connections that it makes; none without a network.
    fn network(&self) -> Option<&NetworkSettings> {
        None
    }

    /// A hit that takes longer fails.
    fn timeout(&self) -> Duration {
        self.network()
            .map_or(Duration::MAX, |network| network.timeout)
    }

    /// So much of each answer is kept, for the trace; scripts keep what they need.
    fn keep_answer_bytes_max(&self) -> usize {
        self.network()
            .map_or(0, |network| network.keep_answer_bytes_max)
    }

    /// The address of records that don't carry one.
    fn address(&self) -> Option<&str> {
        self.network()?.address.as_deref()
    }

    /// What it does with payloads before they come to an event loop.
    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        None
    }

    /// So many workers share a link: those of one link belong to one event loop.
    fn streams(&self) -> u32 {
        1
    }

    /// How many file descriptors that many workers take.
    fn descriptors(&self, workers: u64) -> u64 {
        workers.div_ceil(u64::from(self.streams().max(1)))
    }
}

/// What a nib gets of the event loop that it will belong to.
#[derive(Debug)]
pub struct Seat<'a> {
    /// The loop's number, from 0.
    pub number: usize,
    /// The texts of the run.
    pub strings: &'a Strings,
    /// Wakes the loop up.
    pub waker: &'a Arc<Waker>,
    /// The statuses that count as success.
    pub expected: &'a Expected,
}
