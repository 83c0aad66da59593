//! Addresses: `http://host:port`, `https://[::1]`, `udp://host:53`,
//! `http+unix:///path`; names are looked up off the event loop.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use rustix::net::SocketAddrUnix;

use super::poll::Waker;
use super::socket::Peer;
use crate::strings::{StringId, Strings};

/// An address that was understood, and isn't looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// The name or IP address, or the path of a unix socket.
    pub host: Host,
}

/// Where it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A host's name, or its IP address without brackets.
    Internet {
        /// The name.
        name: String,
        /// The port.
        port: u16,
    },
    /// A unix socket.
    Unix(SocketAddrUnix),
}

/// An address that can't be used.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("address '{address}': {reason}")]
pub struct AddressError {
    /// As it was written.
    pub address: String,
    /// What is wrong.
    pub reason: String,
}

impl Address {
    /// Understands an address. What follows host and port is ignored.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let error = |reason: &str| AddressError {
            address: text.to_owned(),
            reason: reason.to_owned(),
        };
        let (scheme, rest) = text
            .trim()
            .split_once("://")
            .unwrap_or(("http", text.trim()));
        let (tls, port) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (false, 80),
            "https" => (true, 443),
            "udp" => (false, 0),
            "http+unix" | "unix" => {
                let path = SocketAddrUnix::new(rest)
                    .map_err(|_| error("the socket's path is too long"))?;
                return Ok(Self {
                    tls: false,
                    host: Host::Unix(path),
                });
            }
            _ => return Err(error("expected http://, https://, udp:// or http+unix://")),
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let (name, port_text) = if let Some(inner) = authority.strip_prefix('[') {
            let (name, tail) = inner
                .split_once(']')
                .ok_or_else(|| error("a '[' without ']'"))?;
            (name, tail.strip_prefix(':'))
        } else {
            match authority.split_once(':') {
                Some((_, tail)) if tail.contains(':') => {
                    return Err(error("an IPv6 address needs brackets: [::1]:80"));
                }
                Some((name, port)) => (name, Some(port)),
                None => (authority, None),
            }
        };
        let port = match port_text {
            None | Some("") => port,
            Some(digits) => digits
                .parse()
                .map_err(|_| error("the port isn't a number up to 65535"))?,
        };
        if name.is_empty() {
            return Err(error("no host"));
        }
        if port == 0 {
            return Err(error("no port"));
        }
        Ok(Self {
            tls,
            host: Host::Internet {
                name: name.to_owned(),
                port,
            },
        })
    }

    /// The name that TLS asks for and verifies.
    pub fn name(&self) -> &str {
        match &self.host {
            Host::Internet { name, .. } => name,
            Host::Unix(_) => "localhost",
        }
    }
}

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
                    super::code::ADDRESS,
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
            None => Lookup::Failed(super::code::ADDRESS, StringId(0)),
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
                            Entry::Ready(endpoint_of(address, peers))
                        }
                        (_, Err(reason)) => {
                            Entry::Failed(super::code::DNS, self.strings.intern(&reason))
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
        match Address::parse(&text) {
            Err(error) => Entry::Failed(
                super::code::ADDRESS,
                self.strings.intern(&error.to_string()),
            ),
            Ok(address) => match immediate(&address) {
                Some(peer) => Entry::Ready(endpoint_of(&address, vec![peer])),
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
    if let Some(peer) = immediate(&address) {
        return Ok(endpoint_of(&address, vec![peer]));
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
    Ok(endpoint_of(&address, peers))
}

/// Threads that look names up. They end with the last handle.
#[derive(Clone, Debug)]
pub struct Resolver {
    questions: Sender<Question>,
}

#[derive(Debug)]
struct Question {
    id: StringId,
    name: String,
    port: u16,
    reply: Sender<Found>,
    waker: Arc<Waker>,
}

#[derive(Debug)]
struct Found {
    id: StringId,
    result: Result<Vec<Peer>, String>,
}

/// The system's resolver waits, so slow names need not hold up the others.
const RESOLVER_THREADS: usize = 4;
const QUESTIONS_MAX: usize = 4096;

impl Resolver {
    /// Starts the threads.
    pub fn start() -> std::io::Result<Self> {
        let (questions, receiver) = bounded::<Question>(QUESTIONS_MAX);
        for _ in 0..RESOLVER_THREADS {
            let receiver = receiver.clone();
            thread::Builder::new()
                .name("resolver".to_owned())
                .spawn(move || {
                    for question in receiver {
                        let result = resolve(&question.name, question.port);
                        // The loop may have ended meanwhile.
                        if question
                            .reply
                            .send(Found {
                                id: question.id,
                                result,
                            })
                            .is_ok()
                        {
                            question.waker.wake();
                        }
                    }
                })?;
        }
        Ok(Self { questions })
    }

    fn ask(&self, question: Question) {
        if let Err(full) = self.questions.try_send(question) {
            let question = full.into_inner();
            let reason = format!(
                "name '{}' not looked up: too many names at once",
                question.name
            );
            if question
                .reply
                .send(Found {
                    id: question.id,
                    result: Err(reason),
                })
                .is_ok()
            {
                question.waker.wake();
            }
        }
    }
}

fn resolve(name: &str, port: u16) -> Result<Vec<Peer>, String> {
    let found = (name, port)
        .to_socket_addrs()
        .map_err(|error| format!("name '{name}' not found: {error}"))?;
    let mut peers: Vec<Peer> = Vec::new();
    for address in found {
        let peer = Peer::Internet(address);
        if !peers.contains(&peer) {
            peers.push(peer);
        }
    }
    if peers.is_empty() {
        Err(format!("name '{name}' has no addresses"))
    } else {
        Ok(peers)
    }
}

/// The peer of an address that needs no lookup.
fn immediate(address: &Address) -> Option<Peer> {
    match &address.host {
        Host::Unix(path) => Some(Peer::Unix(path.clone())),
        Host::Internet { name, port } => {
            let ip: IpAddr = name.parse().ok()?;
            Some(Peer::Internet(SocketAddr::new(ip, *port)))
        }
    }
}

fn endpoint_of(address: &Address, peers: Vec<Peer>) -> Endpoint {
    Endpoint {
        tls: address.tls,
        name: address.name().into(),
        peers,
        next: 0,
        looked_up_ns: 0,
        pending: false,
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Host, resolve_now};

    #[test]
    fn addresses() {
        let parse = |text: &str| {
            let address = Address::parse(text).map_err(|error| error.reason)?;
            let Host::Internet { name, port } = address.host else {
                return Err("unix".to_owned());
            };
            Ok((address.tls, name, port))
        };
        let is = |text: &str, tls, name: &str, port| {
            assert_eq!(parse(text), Ok((tls, name.to_owned(), port)), "{text}")
        };
        is("http://example.org/", false, "example.org", 80);
        is("https://[::1]/a?b", true, "::1", 443);
        is("https://user:pass@h:8443", true, "h", 8443);
        is("udp://127.0.0.1:53", false, "127.0.0.1", 53);
        is("localhost:8070", false, "localhost", 8070);
        for bad in [
            "",
            "http://",
            "ftp://a",
            "http://a:b",
            "http://a:99999",
            "http://[::1",
            "http://::1:80",
            "udp://a",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert_eq!(parse("http+unix:///run/a.sock"), Err("unix".to_owned()));
        assert!(resolve_now("http://no-such-name.invalid/").is_err());
    }
}
