//! Where the connections of one event loop go to, and from where.

use std::net::IpAddr;

use encarno_record::StringId;

use crate::address::{AddressBook, Endpoint, Lookup};
use crate::{Io, NetworkSettings, Shot};

/// Looks addresses up, and takes source addresses in turn.
#[derive(Debug)]
pub struct Dialer {
    addresses: AddressBook,
    sources: Vec<IpAddr>,
    source_next: usize,
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
    pub fn new(settings: &NetworkSettings, addresses: AddressBook) -> Self {
        Self {
            addresses,
            sources: settings.source_addresses.clone(),
            source_next: 0,
        }
    }

    /// Where to connect to, and from where.
    pub fn dial(
        &mut self,
        shot: &Shot,
        io: &Io<'_>,
    ) -> Result<(&mut Endpoint, Option<IpAddr>), NoPeer> {
        let lookup = self
            .addresses
            .lookup(shot.address, io.worker, shot.hit.started_ns);
        match lookup {
            Lookup::Pending => Err(NoPeer::Pending),
            Lookup::Failed(code, text) => Err(NoPeer::Failed(code, text)),
            Lookup::Ready(endpoint) => {
                let source = self.sources.get(self.source_next).copied();
                self.source_next = (self.source_next + 1) % self.sources.len().max(1);
                Ok((endpoint, source))
            }
        }
    }

    /// Takes what was found, and names the workers that waited for it.
    pub fn woken(&mut self, workers: &mut Vec<u32>) {
        self.addresses.take_results(workers);
    }
}

/// The lookup has ended: notes how long it took.
pub fn note_lookup(shot: &mut Shot, since_ns: u64, io: &Io<'_>) {
    let waited_ns = io.clock.now_ns().saturating_sub(since_ns);
    shot.hit.dns_us = (waited_ns / 1000).min(u64::from(u32::MAX)) as u32;
}
