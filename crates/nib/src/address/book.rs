//! What an event loop knows of its addresses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use encarno_record::{StringId, Strings, code};

use super::resolver::{Found, Question, Resolver, resolve};
use super::{Address, AddressError, Host};
use crate::poll::Waker;
use crate::socket::Peer;

/// Where to connect to, one after the other.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// The name that TLS verifies.
    pub name: Arc<str>,
    peers: Vec<Peer>,
    next: usize,
    looked_up_ns: u64,
    pending: bool,
}

impl Endpoint {
    fn new(address: &Address, peers: Vec<Peer>) -> Self {
        Self {
            tls: address.tls,
            name: address.name().into(),
            peers,
            next: 0,
            looked_up_ns: 0,
            pending: false,
        }
    }

    /// The next peer, round robin.
    pub fn next_peer(&mut self) -> &Peer {
        self.next = (self.next + 1) % self.peers.len();
        &self.peers[self.next]
    }
}

/// What is known of an address.
#[derive(Debug)]
pub enum Lookup<'a> {
    /// Connect to it.
    Ready(&'a mut Endpoint),
    /// It is being looked up: the worker will be woken.
    Pending,
    /// It can't be used; the reason.
    Failed(u16, StringId),
}

#[derive(Debug)]
enum Entry {
    Ready(Endpoint),
    Pending { address: Address, workers: Vec<u32> },
    Failed(u16, StringId),
}

/// The addresses of one event loop, by their numbers.
#[derive(Debug)]
pub struct AddressBook {
    entries: HashMap<StringId, Entry>,
    strings: Strings,
    resolver: Resolver,
    results: Receiver<Found>,
    results_sender: Sender<Found>,
    waker: Arc<Waker>,
    refresh_ns: Option<u64>,
}

impl AddressBook {
    /// An empty one. `default` is the address of number 0.
    pub fn new(
        default: Option<Endpoint>,
        strings: &Strings,
        resolver: &Resolver,
        waker: &Arc<Waker>,
        refresh: Option<Duration>,
    ) -> Self {
        // As many results as there are addresses: bounded by the input's.
        let (results_sender, results) = unbounded();
        let mut entries = HashMap::new();
        let first = default.map_or_else(
            || {
                Entry::Failed(
                    code::ADDRESS,
                    strings.intern("the record has no address, and no default one is set"),
                )
            },
            Entry::Ready,
        );
        entries.insert(StringId(0), first);
        Self {
            entries,
            strings: strings.clone(),
            resolver: resolver.clone(),
            results,
            results_sender,
            waker: Arc::clone(waker),
            refresh_ns: refresh.map(|time| time.as_nanos() as u64),
        }
    }

    /// What is known of that address; starts to look it up when it is new, or too old.
    pub fn lookup(&mut self, id: StringId, worker: u32, now_ns: u64) -> Lookup<'_> {
        if !self.entries.contains_key(&id) {
            let entry = self.begin(id);
            self.entries.insert(id, entry);
        }
        if let (Some(refresh_ns), Some(Entry::Ready(endpoint))) =
            (self.refresh_ns, self.entries.get_mut(&id))
        {
            let names = matches!(endpoint.peers.first(), Some(Peer::Internet(_)));
            if names
                && !endpoint.pending
                && now_ns.saturating_sub(endpoint.looked_up_ns) > refresh_ns
            {
                endpoint.pending = true;
                endpoint.looked_up_ns = now_ns;
                if let Some(Peer::Internet(first)) = endpoint.peers.first() {
                    let (name, port) = (endpoint.name.to_string(), first.port());
                    self.resolver.ask(Question {
                        id,
                        name,
                        port,
                        reply: self.results_sender.clone(),
                        waker: Arc::clone(&self.waker),
                    });
                }
            }
        }
        match self.entries.get_mut(&id) {
            Some(Entry::Ready(endpoint)) => Lookup::Ready(endpoint),
            Some(Entry::Pending { workers, .. }) => {
                workers.push(worker);
                Lookup::Pending
            }
            Some(Entry::Failed(code, text)) => Lookup::Failed(*code, *text),
            None => Lookup::Failed(code::ADDRESS, StringId(0)),
        }
    }

    /// Takes what the resolver found, and names the workers that waited for it.
    pub fn take_results(&mut self, workers: &mut Vec<u32>) {
        while let Ok(found) = self.results.try_recv() {
            match (self.entries.get_mut(&found.id), found.result) {
                // An address that was known stays if it isn't found any more.
                (Some(Entry::Ready(endpoint)), result) => {
                    endpoint.pending = false;
                    if let Ok(peers) = result {
                        endpoint.peers = peers;
                    }
                }
                (Some(entry @ Entry::Pending { .. }), result) => {
                    let new = match (&*entry, result) {
                        (Entry::Pending { address, .. }, Ok(peers)) => {
                            Entry::Ready(Endpoint::new(address, peers))
                        }
                        (_, Err(reason)) => Entry::Failed(code::DNS, self.strings.intern(&reason)),
                        (_, Ok(_)) => continue,
                    };
                    if let Entry::Pending {
                        workers: waiting, ..
                    } = std::mem::replace(entry, new)
                    {
                        workers.extend(waiting);
                    }
                }
                _ => {}
            }
        }
    }

    fn begin(&self, id: StringId) -> Entry {
        let text = self.strings.get(id).unwrap_or_default();
        match Address::parse(&text) {
            Err(error) => Entry::Failed(code::ADDRESS, self.strings.intern(&error.to_string())),
            Ok(address) => match address.immediate() {
                Some(peer) => Entry::Ready(Endpoint::new(&address, vec![peer])),
                None => {
                    if let Host::Internet { name, port } = &address.host {
                        let (reply, waker) = (self.results_sender.clone(), Arc::clone(&self.waker));
                        self.resolver.ask(Question {
                            id,
                            name: name.clone(),
                            port: *port,
                            reply,
                            waker,
                        });
                    }
                    Entry::Pending {
                        address,
                        workers: Vec::new(),
                    }
                }
            },
        }
    }
}

/// Looks a name up now, waiting for it: for the default address, before the run.
pub fn resolve_now(text: &str) -> Result<Endpoint, AddressError> {
    let address = Address::parse(text)?;
    if let Some(peer) = address.immediate() {
        return Ok(Endpoint::new(&address, vec![peer]));
    }
    let Host::Internet { name, port } = &address.host else {
        return Err(AddressError {
            address: text.to_owned(),
            reason: "no host".to_owned(),
        });
    };
    let peers = resolve(name, *port).map_err(|reason| AddressError {
        address: text.to_owned(),
        reason,
    })?;
    Ok(Endpoint::new(&address, peers))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)] // a test that can't go on says why

    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU8, Ordering};
    use std::time::Duration;

    use encarno_record::Strings;

    use super::{AddressBook, Lookup};
    use crate::address::Resolver;
    use crate::poll::{Poller, Waker};
    use crate::socket::Peer;

    /// A name whose address goes up by one with each look-up.
    fn moving() -> impl Fn(&str, u16) -> std::io::Result<Vec<SocketAddr>> + Send + Clone {
        let last = Arc::new(AtomicU8::new(0));
        move |_, port| {
            let number = last.fetch_add(1, Ordering::Relaxed) + 1;
            Ok(vec![([127, 0, 0, number], port).into()])
        }
    }

    #[test]
    fn names_are_looked_up_again_when_they_are_old() {
        let poller = Poller::new().expect("an epoll");
        let waker = Arc::new(Waker::new().expect("an eventfd"));
        poller.register_waker(&waker).expect("registered");
        let strings = Strings::default();
        let id = strings.intern("http://moves:80");
        let resolver = Resolver::start_with(moving()).expect("threads");
        let every = Duration::from_secs(10);
        let mut book = AddressBook::new(None, &strings, &resolver, &waker, Some(every));
        let mut woken = Vec::new();
        let mut events = Vec::with_capacity(1);
        let mut settle = |book: &mut AddressBook, woken: &mut Vec<u32>| {
            poller.wait(&mut events, 10_000_000_000).expect("woken");
            book.take_results(woken);
        };
        let peer =
            |book: &mut AddressBook, now_s: u64| match book.lookup(id, 7, now_s * 1_000_000_000) {
                Lookup::Ready(endpoint) => Some(endpoint.next_peer().clone()),
                _ => None,
            };
        let at = |number| Some(Peer::Internet(([127, 0, 0, number], 80).into()));

        assert_eq!(peer(&mut book, 1), None, "it has to be looked up first");
        settle(&mut book, &mut woken);
        assert_eq!(woken, [7]);
        assert_eq!(peer(&mut book, 2), at(1));
        assert_eq!(peer(&mut book, 9), at(1), "not old yet");
        // Hits go on with what is known while the new address is looked up.
        assert_eq!(peer(&mut book, 11), at(1));
        assert_eq!(peer(&mut book, 11), at(1));
        settle(&mut book, &mut woken);
        assert_eq!(peer(&mut book, 12), at(2));
        assert_eq!(peer(&mut book, 21), at(2));
        assert_eq!(peer(&mut book, 22), at(2), "asked at 11, so old after 21");
        settle(&mut book, &mut woken);
        assert_eq!(peer(&mut book, 23), at(3));
    }
}
