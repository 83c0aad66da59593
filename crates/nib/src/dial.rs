//! Chooses the peers and source addresses of one event loop's connections.

use std::net::IpAddr;
use std::sync::Arc;

use encarno_record::{StringId, Strings, code};
use rustix::io::Errno;
use rustls::ClientConfig;

use crate::address::{AddressBook, Lookup};
use crate::settings::{SOURCE_KIND, is_for};
use crate::socket::Peer;
use crate::stream::{Stream, StreamError};
use crate::{Fatal, Io, NetworkSettings, Seat, Shot, reason};

/// Looks addresses up, takes source addresses in turn, connects, and gives the text that
/// a hit records when that fails.
#[derive(Debug)]
pub struct Dialer {
    settings: Arc<NetworkSettings>,
    addresses: AddressBook,
    tls: Option<Arc<ClientConfig>>,
    source_next: usize,
    strings: Strings,
    closed_early: StringId,
    fatal: Option<Errno>,
}

/// A peer with a source address.
#[derive(Clone, Debug)]
pub struct Route {
    /// The peer.
    pub peer: Peer,
    /// The source address, if the settings name some.
    pub source: Option<IpAddr>,
    /// Whether the connection uses TLS.
    pub tls: bool,
    /// The name that TLS verifies.
    pub name: Arc<str>,
    /// Host and port, in the form that a proxy gets.
    pub authority: Arc<str>,
    /// The number of the name's addresses that the source addresses can reach.
    pub addresses: usize,
}

/// Why there is no peer (yet).
#[derive(Debug)]
pub enum NoPeer {
    /// The address is being looked up, and the worker will be woken.
    Pending,
    /// The hit's net code and error text.
    Failed(u16, StringId),
}

impl Dialer {
    /// A dialer for one event loop. Each loop begins with another source address.
    pub fn new(
        settings: &Arc<NetworkSettings>,
        addresses: AddressBook,
        tls: Option<Arc<ClientConfig>>,
        seat: &Seat<'_>,
    ) -> Self {
        let strings = seat.strings;
        Self {
            settings: Arc::clone(settings),
            addresses,
            tls,
            source_next: seat.number % settings.source_addresses.len().max(1),
            strings: strings.clone(),
            closed_early: strings.intern("connection closed before the answer was complete"),
            fatal: None,
        }
    }

    /// The settings.
    pub fn settings(&self) -> &NetworkSettings {
        &self.settings
    }

    /// The route to `wanted`, or else to the next address of the name.
    pub fn dial(
        &mut self,
        shot: &Shot,
        io: &Io<'_>,
        wanted: Option<&Peer>,
    ) -> Result<Route, NoPeer> {
        let now_ns = io.clock.now_ns();
        let endpoint = match self.addresses.lookup(shot.address, io.worker, now_ns) {
            Lookup::Pending => return Err(NoPeer::Pending),
            Lookup::Failed(code, text) => return Err(NoPeer::Failed(code, text)),
            Lookup::Ready(endpoint) => endpoint,
        };
        let fits = |peer: &Peer| self.settings.reaches(peer);
        let peer = match wanted {
            Some(peer) => Some(peer.clone()),
            None => endpoint.next_peer(now_ns, fits),
        };
        let Some(peer) = peer else {
            let reason = self.strings.intern(SOURCE_KIND);
            return Err(NoPeer::Failed(code::ADDRESS, reason));
        };
        let route = Route {
            source: None,
            tls: endpoint.tls,
            name: Arc::clone(&endpoint.name),
            authority: Arc::clone(&endpoint.authority),
            addresses: endpoint.count(fits),
            peer,
        };
        let source = self.next_source(&route.peer);
        Ok(Route { source, ..route })
    }

    /// Starts to connect, with TLS if the address uses it.
    pub fn connect(&self, route: &Route) -> Result<Stream, StreamError> {
        let tls = match (route.tls, &self.tls) {
            (false, _) => None,
            (true, Some(config)) => {
                let name = self.settings.tls.server_name.as_deref();
                Some((Arc::clone(config), name.unwrap_or(&route.name).to_owned()))
            }
            (true, None) => {
                let text = "the protocol doesn't support it".to_owned();
                return Err(StreamError::Tls(text));
            }
        };
        let proxy = self.settings.proxy.as_ref().filter(|_| tls.is_some());
        let mut stream = Stream::open(&route.peer, route.source, tls)?;
        if let Some(proxy) = proxy {
            stream.tunnel_to(proxy, &route.authority);
        }
        Ok(stream)
    }

    /// Whether connections go to a proxy.
    #[inline]
    pub fn has_proxy(&self) -> bool {
        self.settings.proxy.is_some()
    }

    /// Rewrites a request to a target without TLS for the proxy. The error is the text of
    /// a hit that fails.
    pub fn for_proxy(&mut self, shot: &mut Shot, io: &Io<'_>) -> Result<(), StringId> {
        let Some(proxy) = &self.settings.proxy else {
            return Ok(());
        };
        let now_ns = io.clock.now_ns();
        let authority = match self.addresses.lookup(shot.address, io.worker, now_ns) {
            Lookup::Ready(endpoint) if !endpoint.tls => Arc::clone(&endpoint.authority),
            // A tunnel carries the request unchanged, and dialling reports errors.
            _ => return Ok(()),
        };
        match proxy.absolute(&shot.payload, &authority) {
            Some(payload) => shot.payload = payload,
            None => {
                let text = "a request that is too long for memory can't go through a proxy";
                return Err(self.strings.intern(text));
            }
        }
        Ok(())
    }

    /// The net code and error text of a hit that failed with this error, with the peer if
    /// it is known. If there are no file descriptors left, the loop can't go on: see
    /// [`Dialer::fatal`].
    pub fn explain(&mut self, error: StreamError, peer: Option<&Peer>) -> (u16, StringId) {
        match error {
            StreamError::System(errno @ (Errno::MFILE | Errno::NFILE)) => {
                self.fatal = Some(errno);
                let text = self.strings.intern("no file descriptors left");
                (errno.raw_os_error() as u16, text)
            }
            StreamError::System(errno) => {
                let text = reason::system(errno, peer);
                (errno.raw_os_error() as u16, self.strings.intern(&text))
            }
            StreamError::Closed => (code::CLOSED_EARLY, self.closed_early),
            StreamError::Tls(text) => {
                let text = reason::tls(&text, peer);
                (code::TLS, self.strings.intern(&text))
            }
            StreamError::NoProtocol => {
                let text = "the server supports none of the offered protocols (ALPN)";
                (code::TLS, self.strings.intern(&reason::tls(text, peer)))
            }
            StreamError::Proxy(text) => {
                let text = format!("the proxy opens no tunnel: {text}");
                (code::PROTOCOL, self.strings.intern(&text))
            }
        }
    }

    /// The reason why the event loop can't go on, if there is one: see
    /// [`crate::Nib::fatal`].
    pub fn fatal(&self) -> Option<Fatal> {
        self.fatal.map(Fatal::Descriptors)
    }

    /// Avoids a peer for a while, because it refused or is silent.
    pub fn avoid(&mut self, address: StringId, peer: &Peer, now_ns: u64) {
        self.addresses.avoid(address, peer, now_ns);
    }

    /// Takes the results of look-ups, and names the workers that waited for them.
    pub fn woken(&mut self, workers: &mut Vec<u32>) {
        self.addresses.take_results(workers);
    }

    fn next_source(&mut self, peer: &Peer) -> Option<IpAddr> {
        let sources = &self.settings.source_addresses;
        let count = sources.len();
        let index = (0..count)
            .map(|offset| (self.source_next + offset) % count)
            .find(|&index| is_for(&sources[index], peer))?;
        self.source_next = (index + 1) % count;
        Some(sources[index])
    }
}

/// Records the time of a look-up that has ended.
pub fn note_lookup(shot: &mut Shot, since_ns: u64, io: &Io<'_>) {
    let waited_ns = io.clock.now_ns().saturating_sub(since_ns);
    shot.hit.dns_us = (waited_ns / 1000).min(u64::from(u32::MAX)) as u32;
}
