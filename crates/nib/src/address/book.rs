//! The addresses of an event loop.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use encarno_record::mask::masked_url;
use encarno_record::{StringId, Strings, code};

use super::resolver::{Found, Question, Resolver, resolve};
use super::{Address, AddressError, Host};
use crate::Scheme;
use crate::poll::Waker;
use crate::socket::Peer;

/// The peers of an address, which are used in turn.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Whether connections use TLS.
    pub tls: bool,
    /// The name that TLS verifies.
    pub name: Arc<str>,
    /// Host and port, in the form that a proxy gets.
    pub authority: Arc<str>,
    peers: Vec<Candidate>,
    next: usize,
    looked_up_ns: u64,
    pending: bool,
}

/// One address of a name.
#[derive(Clone, Debug)]
struct Candidate {
    peer: Peer,
    /// Until this instant, other addresses are preferred, because this one refused or was
    /// silent.
    avoided_until_ns: u64,
}

/// How long an address that refused or was silent is avoided.
const AVOIDED_NS: u64 = 10_000_000_000;
/// How long a name that wasn't found isn't looked up again.
const RETRY_NS: u64 = 1_000_000_000;

impl Endpoint {
    fn new(address: &Address, peers: Vec<Peer>) -> Self {
        let mut endpoint = Self {
            tls: address.tls,
            name: address.name().into(),
            authority: address.authority().into(),
            peers: Vec::new(),
            next: 0,
            looked_up_ns: 0,
            pending: false,
        };
        endpoint.set_peers(peers);
        endpoint
    }

    /// The endpoint of an address that is reached through this proxy.
    pub fn through(&self, address: &Address) -> Self {
        Self {
            peers: self.peers.clone(),
            ..Self::new(address, Vec::new())
        }
    }

    /// The next fitting peer, round robin. An avoided peer is used only if all are
    /// avoided.
    pub fn next_peer(&mut self, now_ns: u64, fits: impl Fn(&Peer) -> bool) -> Option<Peer> {
        let count = self.peers.len();
        let in_turn = || (1..=count).map(|offset| (self.next + offset) % count);
        let fitting = || in_turn().filter(|&index| fits(&self.peers[index].peer));
        let index = fitting()
            .find(|&index| self.peers[index].avoided_until_ns <= now_ns)
            .or_else(|| fitting().next())?;
        self.next = index;
        Some(self.peers[index].peer.clone())
    }

    /// The number of fitting peers.
    pub fn count(&self, fits: impl Fn(&Peer) -> bool) -> usize {
        self.peers.iter().filter(|known| fits(&known.peer)).count()
    }

    fn set_peers(&mut self, peers: Vec<Peer>) {
        let known = std::mem::take(&mut self.peers);
        let candidate = |peer: Peer| {
            let same = known.iter().find(|known| known.peer == peer);
            let avoided_until_ns = same.map_or(0, |same| same.avoided_until_ns);
            Candidate {
                peer,
                avoided_until_ns,
            }
        };
        self.peers = peers.into_iter().map(candidate).collect();
    }

    fn avoid(&mut self, peer: &Peer, now_ns: u64) {
        if let Some(known) = self.peers.iter_mut().find(|known| known.peer == *peer) {
            known.avoided_until_ns = now_ns.saturating_add(AVOIDED_NS);
        }
    }

    /// The port, unless the peer is a unix socket.
    fn port(&self) -> Option<u16> {
        match self.peers.first()?.peer {
            Peer::Internet(address) => Some(address.port()),
            Peer::Unix(_) => None,
        }
    }
}

/// The result of looking an address up.
#[derive(Debug)]
pub enum Lookup<'a> {
    /// The address is known.
    Ready(&'a mut Endpoint),
    /// The address is being looked up, and the worker will be woken.
    Pending,
    /// The address can't be used: net code and reason.
    Failed(u16, StringId),
}

#[derive(Debug)]
enum Entry {
    Ready(Endpoint),
    Pending {
        address: Address,
        workers: Vec<u32>,
    },
    /// The address can't be used: net code and reason. With an instant, the name wasn't
    /// found and may be looked up again from then on.
    Failed(u16, StringId, Option<u64>),
}

/// The addresses of one event loop, by their numbers.
#[derive(Debug)]
pub struct AddressBook {
    schemes: &'static [Scheme],
    entries: HashMap<StringId, Entry>,
    /// The proxy through which all addresses are reached.
    proxy: Option<Endpoint>,
    strings: Strings,
    resolver: Resolver,
    results: Receiver<Found>,
    results_sender: Sender<Found>,
    waker: Arc<Waker>,
    refresh_ns: Option<u64>,
    last_lookup_ns: u64,
}

impl AddressBook {
    /// An empty book. `default` is the address with number 0.
    pub fn new(
        default: Option<Endpoint>,
        proxy: Option<Endpoint>,
        schemes: &'static [Scheme],
        strings: &Strings,
        resolver: &Resolver,
        waker: &Arc<Waker>,
        refresh: Option<Duration>,
    ) -> Self {
        // There are at most as many results as addresses, which the input bounds.
        let (results_sender, results) = unbounded();
        let mut entries = HashMap::new();
        let first = default.map_or_else(
            || {
                Entry::Failed(
                    code::ADDRESS,
                    strings.intern("the record has no address, and no default one is set"),
                    None,
                )
            },
            Entry::Ready,
        );
        entries.insert(StringId(0), first);
        // A proxy looks names up itself.
        let refresh = refresh.filter(|_| proxy.is_none());
        let refresh_ns = refresh.map(|time| time.as_nanos() as u64);
        Self {
            schemes,
            entries,
            proxy,
            strings: strings.clone(),
            resolver: resolver.clone(),
            results,
            results_sender,
            waker: Arc::clone(waker),
            refresh_ns,
            last_lookup_ns: 0,
        }
    }

    /// Looks an address up. If it is new or too old, a thread starts to look it up.
    pub fn lookup(&mut self, id: StringId, worker: u32, now_ns: u64) -> Lookup<'_> {
        self.last_lookup_ns = now_ns;
        let begins = match self.entries.get(&id) {
            None => true,
            Some(Entry::Failed(_, _, again)) => again.is_some_and(|again_ns| again_ns <= now_ns),
            Some(_) => false,
        };
        if begins {
            let entry = self.begin(id);
            self.entries.insert(id, entry);
        }
        if let (Some(refresh_ns), Some(Entry::Ready(endpoint))) =
            (self.refresh_ns, self.entries.get_mut(&id))
            && !endpoint.pending
            && now_ns.saturating_sub(endpoint.looked_up_ns) > refresh_ns
        {
            endpoint.pending = true;
            endpoint.looked_up_ns = now_ns;
            if let Some(port) = endpoint.port() {
                let name = endpoint.name.to_string();
                self.resolver.ask(Question {
                    id,
                    name,
                    port,
                    reply: self.results_sender.clone(),
                    waker: Arc::clone(&self.waker),
                });
            }
        }
        match self.entries.get_mut(&id) {
            Some(Entry::Ready(endpoint)) => Lookup::Ready(endpoint),
            Some(Entry::Pending { workers, .. }) => {
                workers.push(worker);
                Lookup::Pending
            }
            Some(Entry::Failed(code, text, _)) => Lookup::Failed(*code, *text),
            None => Lookup::Failed(code::ADDRESS, StringId(0)),
        }
    }

    /// Avoids a peer for a while, because it refused or is silent.
    pub fn avoid(&mut self, id: StringId, peer: &Peer, now_ns: u64) {
        if let Some(Entry::Ready(endpoint)) = self.entries.get_mut(&id) {
            endpoint.avoid(peer, now_ns);
        }
    }

    /// Takes the results of the resolver, and names the workers that waited for them.
    pub fn take_results(&mut self, workers: &mut Vec<u32>) {
        while let Ok(found) = self.results.try_recv() {
            match (self.entries.get_mut(&found.id), found.result) {
                // A known address stays if its name isn't found any more.
                (Some(Entry::Ready(endpoint)), result) => {
                    endpoint.pending = false;
                    if let Ok(peers) = result {
                        endpoint.set_peers(peers);
                    }
                }
                (Some(entry @ Entry::Pending { .. }), result) => {
                    let new = match (&*entry, result) {
                        (Entry::Pending { address, .. }, Ok(peers)) => {
                            Entry::Ready(Endpoint::new(address, peers))
                        }
                        (_, Err(reason)) => {
                            let again_ns = self.last_lookup_ns.saturating_add(RETRY_NS);
                            Entry::Failed(code::DNS, self.strings.intern(&reason), Some(again_ns))
                        }
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
        match Address::parse(&text, self.schemes) {
            Err(error) => {
                let text = self.strings.intern(&error.to_string());
                Entry::Failed(code::ADDRESS, text, None)
            }
            Ok(address) => match (&self.proxy, address.immediate()) {
                (Some(proxy), _) => Entry::Ready(proxy.through(&address)),
                (None, Some(peer)) => Entry::Ready(Endpoint::new(&address, vec![peer])),
                (None, None) => {
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

/// Looks a name up and waits for the result, for the default address before the run.
pub fn resolve_now(
    text: &str,
    schemes: &[Scheme],
    hosts: &BTreeMap<String, Vec<IpAddr>>,
) -> Result<Endpoint, AddressError> {
    let address = Address::parse(text, schemes)?;
    if let Some(peer) = address.immediate() {
        return Ok(Endpoint::new(&address, vec![peer]));
    }
    let Host::Internet { name, port } = &address.host else {
        return Err(AddressError {
            address: masked_url(text),
            reason: "no host".to_owned(),
        });
    };
    let peers = resolve(hosts, name, *port).map_err(|reason| AddressError {
        address: masked_url(text),
        reason: format!("{reason}. Is it right? --resolve {name}=IP gives its address"),
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
    use crate::Scheme;
    use crate::address::Resolver;
    use crate::poll::{Poller, Waker};
    use crate::socket::Peer;

    const SCHEMES: &[Scheme] = &[Scheme::new("http", Some(80))];

    /// A name whose address increases by one with each look-up.
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
        let mut book = AddressBook::new(
            None,
            None,
            SCHEMES,
            &strings,
            &resolver,
            &waker,
            Some(every),
        );
        let mut woken = Vec::new();
        let mut events = Vec::with_capacity(1);
        let mut settle = |book: &mut AddressBook, woken: &mut Vec<u32>| {
            poller.wait(&mut events, 10_000_000_000).expect("woken");
            book.take_results(woken);
        };
        let peer =
            |book: &mut AddressBook, now_s: u64| match book.lookup(id, 7, now_s * 1_000_000_000) {
                Lookup::Ready(endpoint) => endpoint.next_peer(0, |_| true),
                _ => None,
            };
        let at = |number| Some(Peer::Internet(([127, 0, 0, number], 80).into()));

        assert_eq!(peer(&mut book, 1), None, "it has to be looked up first");
        settle(&mut book, &mut woken);
        assert_eq!(woken, [7]);
        assert_eq!(peer(&mut book, 2), at(1));
        assert_eq!(peer(&mut book, 9), at(1), "not old yet");
        // Hits use the known address while the new one is looked up.
        assert_eq!(peer(&mut book, 11), at(1));
        assert_eq!(peer(&mut book, 11), at(1));
        settle(&mut book, &mut woken);
        assert_eq!(peer(&mut book, 12), at(2));
        assert_eq!(peer(&mut book, 21), at(2));
        assert_eq!(peer(&mut book, 22), at(2), "asked at 11, so old after 21");
        settle(&mut book, &mut woken);
        assert_eq!(peer(&mut book, 23), at(3));
    }

    /// A book with one name, and a function that completes its look-ups.
    fn book(
        lookup: impl Fn(&str, u16) -> std::io::Result<Vec<SocketAddr>> + Send + Clone + 'static,
    ) -> (AddressBook, encarno_record::StringId, Poller) {
        let poller = Poller::new().expect("an epoll");
        let waker = Arc::new(Waker::new().expect("an eventfd"));
        poller.register_waker(&waker).expect("registered");
        let strings = Strings::default();
        let id = strings.intern("http://name:80");
        let resolver = Resolver::start_with(lookup).expect("threads");
        (
            AddressBook::new(None, None, SCHEMES, &strings, &resolver, &waker, None),
            id,
            poller,
        )
    }

    fn settle(book: &mut AddressBook, poller: &Poller) {
        let mut events = Vec::with_capacity(1);
        poller.wait(&mut events, 10_000_000_000).expect("woken");
        book.take_results(&mut Vec::new());
    }

    #[test]
    fn a_name_that_was_not_found_is_asked_again() {
        let asked = Arc::new(AtomicU8::new(0));
        let (mut book, id, poller) =
            book(move |_, port| match asked.fetch_add(1, Ordering::Relaxed) {
                0 => Err(std::io::Error::other("the server doesn't answer")),
                _ => Ok(vec![([127, 0, 0, 1], port).into()]),
            });
        assert!(matches!(book.lookup(id, 0, 1_000), Lookup::Pending));
        settle(&mut book, &poller);
        assert!(
            matches!(book.lookup(id, 0, 2_000), Lookup::Failed(..)),
            "too early"
        );
        let later_ns = 5_000_000_000;
        assert!(matches!(book.lookup(id, 0, later_ns), Lookup::Pending));
        settle(&mut book, &poller);
        assert!(matches!(book.lookup(id, 0, later_ns), Lookup::Ready(_)));
    }

    #[test]
    fn thousands_of_names_are_all_looked_up() {
        let (mut book, _, poller) = book(|_, port| Ok(vec![([127, 0, 0, 1], port).into()]));
        let names: Vec<_> = (0..10_000)
            .map(|number| book.strings.intern(&format!("http://host{number}:80")))
            .collect();
        for &name in &names {
            assert!(matches!(book.lookup(name, 0, 1), Lookup::Pending));
        }
        let mut woken = 0;
        while woken < names.len() {
            let mut workers = Vec::new();
            poller
                .wait(&mut Vec::with_capacity(1), 10_000_000)
                .expect("woken");
            book.take_results(&mut workers);
            woken += workers.len();
        }
        for &name in &names {
            assert!(matches!(book.lookup(name, 0, 1), Lookup::Ready(_)));
        }
    }

    #[test]
    fn a_peer_that_refused_is_avoided_for_a_while() {
        let ips = [1, 2, 3].map(|last| SocketAddr::from(([127, 0, 0, last], 80)));
        let (mut book, id, poller) = book(move |_, _| Ok(ips.to_vec()));
        assert!(matches!(book.lookup(id, 0, 0), Lookup::Pending));
        settle(&mut book, &poller);
        let next = |book: &mut AddressBook, now_ns: u64| match book.lookup(id, 0, now_ns) {
            Lookup::Ready(endpoint) => endpoint.next_peer(now_ns, |_| true),
            _ => None,
        };
        let peer = |index: usize| Some(Peer::Internet(ips[index]));
        let turns = [1, 2, 0, 1].map(|index| (next(&mut book, 1), peer(index)));
        assert!(
            turns.iter().all(|(found, expected)| found == expected),
            "{turns:?}"
        );
        book.avoid(id, &Peer::Internet(ips[2]), 1);
        assert_eq!(
            [next(&mut book, 2), next(&mut book, 2), next(&mut book, 2)],
            [peer(0), peer(1), peer(0)]
        );
        // If all peers are avoided, none is.
        book.avoid(id, &Peer::Internet(ips[0]), 2);
        book.avoid(id, &Peer::Internet(ips[1]), 2);
        assert_eq!([next(&mut book, 3), next(&mut book, 3)], [peer(1), peer(2)]);
        assert_eq!(next(&mut book, 60_000_000_000), peer(0));
    }
}
