//! The tip that touches the target: one small trait for all protocols.
//!
//! An event loop owns a nib and its workers. A worker has one connection and makes one
//! hit at a time. The nib moves a hit on as far as it goes without waiting, notes the
//! instants in it, and says what it waits for.
//!
//! In the order in which a hit meets them:
//!
//! - [`clock`]: the run's clock
//! - proxy: requests and tunnels through an HTTP proxy
//! - settings, network: connections over a network: their settings and their set-up
//! - hits: the running hits of an event loop, for links that several of them share
//! - [`delay`]: distributions of delays, for simulated answers and pauses
//! - encoding: encodings of bytes as text
//! - scheme, kind: the description of a protocol
//! - factory: makes a protocol from options
//! - networked: the common set-up of protocols over sockets
//! - [`address`], dial: the peers and source addresses of connections
//! - reason: the texts for failed connections
//! - [`socket`], [`datagrams`], [`tls`], [`stream`], [`poll`]: bytes to and from the peer
//! - response: what came, in its parts
//! - alone: one hit without an event loop

pub mod address;
pub mod clock;
pub mod datagrams;
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

use encarno_record::notes::Transport;
use encarno_record::series::Measured;
use encarno_record::{Expected, Hit, Payload, StringId, Strings};
use rustix::event::epoll::Event;
use rustix::io::Errno;

use crate::clock::Clock;
use crate::poll::{Poller, Waker};

/// A running hit with its payload.
#[derive(Debug)]
pub struct Shot {
    /// The data of the hit so far.
    pub hit: Hit,
    /// The payload.
    pub payload: Payload,
    /// The address; 0 means the default address.
    pub address: StringId,
    /// The parts of the response to keep.
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

/// The parts of an event loop that a nib may use.
#[derive(Debug)]
pub struct Io<'a> {
    /// The poller, to register sockets.
    pub poller: &'a Poller,
    /// The number of the worker in its event loop.
    pub worker: u32,
    /// The clock.
    pub clock: &'a Clock,
    /// A buffer for one read, whose contents are lost afterwards.
    pub scratch: &'a mut [u8],
}

impl Io<'_> {
    /// Registers a socket of the worker. Its events have this number, which distinguishes
    /// them from events of sockets that were closed or put aside.
    pub fn register(&self, socket: impl std::os::fd::AsFd, number: u32) -> Result<(), Errno> {
        self.poller
            .register(socket, u64::from(number) << 32 | u64::from(self.worker))
    }

    /// Registers the socket of a link. Its events have both numbers, and go to
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

/// Why an event loop can't go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fatal {
    /// There are no file descriptors left.
    Descriptors(Errno),
    /// The protocol gives the reason.
    Text(String),
}

/// The state of a hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The hit waits for its connection, or for [`Nib::woken`].
    Running,
    /// The hit waits for this instant.
    WakeAt(u64),
    /// The hit has ended, and all its data are set.
    Done,
}

/// An event of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// The number with which the socket was registered.
    pub number: u32,
    /// There are data to read, or the peer closed.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
    /// The peer closed its side, or the connection broke.
    pub closed: bool,
}

/// A protocol. Its data for each worker are in a `Connection`.
///
/// A worker has one hit at a time. The protocol decides whether a worker has its own
/// connection. If [`Nib::SHARED`] is set, the nib keeps links that several workers use at
/// once, and a `Connection` is a worker's place in a link.
pub trait Nib {
    /// The data of one worker.
    type Connection;

    /// Whether workers share links. Methods that need it are called only then.
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

    /// Handles a ready connection; the shot is the running hit, if there is one.
    fn ready(
        &mut self,
        connection: &mut Self::Connection,
        shot: Option<&mut Shot>,
        readiness: Readiness,
        io: &mut Io<'_>,
    ) -> Step;

    /// Continues after the instant of [`Step::WakeAt`], or after [`Nib::woken`] named the
    /// worker.
    fn wake(&mut self, connection: &mut Self::Connection, shot: &mut Shot, io: &mut Io<'_>)
    -> Step;

    /// Gives the running hit up; its connection can't be used any more. On a shared link,
    /// other hits go on, and data for the peer wait for [`Nib::flush`].
    fn abandon(&mut self, connection: &mut Self::Connection);

    /// Names workers whose hits can go on, after something outside the event loop has
    /// ended.
    fn woken(&mut self, workers: &mut Vec<u32>) {
        let _ = workers;
    }

    /// Handles a ready link.
    fn ready_shared(
        &mut self,
        link: u32,
        readiness: Readiness,
        hits: &mut dyn Hits<Self::Connection>,
        io: &mut Io<'_>,
    ) {
        let _ = (link, readiness, hits, io);
    }

    /// Sends what started hits and given up hits have left to send, many of them in one
    /// system call.
    fn flush(&mut self, hits: &mut dyn Hits<Self::Connection>, io: &mut Io<'_>) {
        let _ = (hits, io);
    }

    /// The instant at which [`Nib::due`] must be called.
    fn next_instant(&self) -> u64 {
        u64::MAX
    }

    /// Handles the instant of [`Nib::next_instant`].
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

    /// The received bytes for the trace, as far as they were kept.
    fn received<'a>(&self, connection: &'a Self::Connection) -> &'a [u8] {
        let _ = connection;
        &[]
    }

    /// The peer of the running hit, once it is known, for messages.
    fn peer(&self, connection: &Self::Connection) -> Option<String> {
        let _ = connection;
        None
    }

    /// Takes the times that were measured beside hits since the last call.
    fn take_measured(&mut self) -> Measured {
        Measured::default()
    }

    /// A payload in readable form for the trace; `None` if it is readable as it is.
    fn shown(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let _ = payload;
        None
    }

    /// What its connections have counted, if the kernel doesn't count it.
    fn transport(&self) -> Transport {
        Transport::default()
    }

    /// The reason why the loop can't go on, if there is one.
    fn fatal(&self) -> Option<Fatal> {
        None
    }
}

/// A configured protocol, which makes the nib of each event loop.
pub trait Protocol {
    /// The nib of an event loop.
    type Nib: Nib + Send + 'static;

    /// The description of the protocol.
    const KIND: &'static Kind;

    /// Makes the nib of one event loop.
    fn nib(&self, seat: &Seat<'_>) -> Self::Nib;

    /// The network settings; `None` without a network.
    fn network(&self) -> Option<&NetworkSettings> {
        None
    }

    /// The timeout of a hit.
    fn timeout(&self) -> Duration {
        self.network()
            .map_or(Duration::MAX, |network| network.timeout)
    }

    /// The most bytes of each answer that are kept for the trace. Scripts keep what they
    /// need in addition.
    fn keep_answer_bytes_max(&self) -> usize {
        self.network()
            .map_or(0, |network| network.keep_answer_bytes_max)
    }

    /// The address of records without one.
    fn address(&self) -> Option<&str> {
        self.network()?.address.as_deref()
    }

    /// The preparation of payloads, before they reach an event loop.
    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        None
    }

    /// The number of workers that share a link. The workers of a link belong to one event
    /// loop.
    fn streams(&self) -> u32 {
        1
    }

    /// The number of file descriptors that this number of workers needs.
    fn descriptors(&self, workers: u64) -> u64 {
        workers.div_ceil(u64::from(self.streams().max(1)))
    }
}

/// The parts of an event loop that its nib gets when it is made.
#[derive(Debug)]
pub struct Seat<'a> {
    /// The loop's number, from 0.
    pub number: usize,
    /// The texts of the run.
    pub strings: &'a Strings,
    /// Wakes the loop.
    pub waker: &'a Arc<Waker>,
    /// The run's clock.
    pub clock: Clock,
    /// The statuses that count as success.
    pub expected: &'a Expected,
}
