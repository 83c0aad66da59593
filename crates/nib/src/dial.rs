//! Where the connections of one event loop go to, and from where.

use std::net::IpAddr;
use std::sync::Arc;

use encarno_record::{StringId, Strings, code};

use crate::address::{AddressBook, Lookup};
use crate::socket::Peer;
use crate::{Io, NetworkSettings, Shot};

/// Looks addresses up, and takes source addresses in turn.
#[derive(Debug)]
pub struct Dialer {
    addresses: AddressBook,
    sources: Vec<IpAddr>,
    source_next: usize,
    strings: Strings,
}

/// Where to connect to, and from where.
#[derive(Clone, Debug)]
pub struct Route {
    /// The peer.
    pub peer: Peer,
    /// The source address, if there are any to choose from.
    pub source: Option<IpAddr>,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// The name that TLS verifies.
    pub name: Arc<str>,
    /// How many addresses the name has that can be reached from the source addresses.
    pub addresses: usize,
}

/// Why there is nothing to connect to (yet).
#[derive(Debug)]
pub enum NoPeer {
    /// It is being looked up: the worker will be woken.
    Pending,
    /// The hit's net code, and why.
    Failed(u16, StringId),
}

impl Dialer {
    /// Of one event loop.
    pub fn new(settings: &NetworkSettings, addresses: AddressBook, strings: &Strings) -> Self {
        Self {
            addresses,
            sources: settings.source_addresses.clone(),
            source_next: 0,
            strings: strings.clone(),
        }
    }

    /// Where to connect to: to `wanted`, or else to the next address of the name.
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
        let sources = &self.sources;
        let fits = |peer: &Peer| sources.is_empty() || sources.iter().any(|ip| is_for(ip, peer));
        let peer = match wanted {
            Some(peer) => Some(peer.clone()),
            None => endpoint.next_peer(now_ns, fits),
        };
        let Some(peer) = peer else {
            let reason = "no source address is of the target's kind (IPv4 or IPv6)";
            return Err(NoPeer::Failed(code::ADDRESS, self.strings.intern(reason)));
        };
        let route = Route {
            source: None,
            tls: endpoint.tls,
            name: Arc::clone(&endpoint.name),
            addresses: endpoint.count(fits),
            peer,
        };
        let source = self.next_source(&route.peer);
        Ok(Route { source, ..route })
    }

    /// That peer refused or is silent: others are preferred for a while.
    pub fn avoid(&mut self, address: StringId, peer: &Peer, now_ns: u64) {
        self.addresses.avoid(address, peer, now_ns);
    }

    /// Takes what was found, and names the workers that waited for it.
    pub fn woken(&mut self, workers: &mut Vec<u32>) {
        self.addresses.take_results(workers);
    }

    fn next_source(&mut self, peer: &Peer) -> Option<IpAddr> {
        let count = self.sources.len();
        let index = (0..count)
            .map(|offset| (self.source_next + offset) % count)
            .find(|&index| is_for(&self.sources[index], peer))?;
        self.source_next = (index + 1) % count;
        Some(self.sources[index])
    }
}

/// Whether a connection from there to that peer is possible.
fn is_for(source: &IpAddr, peer: &Peer) -> bool {
    match peer {
        Peer::Internet(peer) => peer.is_ipv4() == source.is_ipv4(),
        Peer::Unix(_) => true,
    }
}

/// The lookup has ended: notes how long it took.
pub fn note_lookup(shot: &mut Shot, since_ns: u64, io: &Io<'_>) {
    let waited_ns = io.clock.now_ns().saturating_sub(since_ns);
    shot.hit.dns_us = (waited_ns / 1000).min(u64::from(u32::MAX)) as u32;
}
