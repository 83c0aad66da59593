//! Threads that look names up, because the system's resolver blocks.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::{io, thread};

use crossbeam_channel::{Sender, unbounded};
use encarno_record::StringId;

use crate::poll::Waker;
use crate::socket::Peer;

/// With several threads, a slow name doesn't hold up the others.
const THREADS: usize = 4;

/// Threads that look names up. They end with the last handle.
#[derive(Clone, Debug)]
pub struct Resolver {
    questions: Sender<Question>,
}

#[derive(Debug)]
pub(super) struct Question {
    pub(super) id: StringId,
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) reply: Sender<Found>,
    pub(super) waker: Arc<Waker>,
}

#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: StringId,
    pub(super) result: Result<Vec<Peer>, String>,
}

impl Question {
    fn answer(self, result: Result<Vec<Peer>, String>) {
        let id = self.id;
        // The loop may have ended.
        if self.reply.send(Found { id, result }).is_ok() {
            self.waker.wake();
        }
    }
}

impl Resolver {
    /// Starts the threads. These hosts have given addresses; the system looks up all
    /// other names.
    pub fn start(hosts: &BTreeMap<String, Vec<IpAddr>>) -> io::Result<Self> {
        let hosts = Arc::new(hosts.clone());
        Self::start_with(move |name, port| lookup(&hosts, name, port))
    }

    pub(super) fn start_with<F>(lookup: F) -> io::Result<Self>
    where
        F: Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Clone + 'static,
    {
        // There is at most one question for each address, and the input bounds those.
        let (questions, receiver) = unbounded::<Question>();
        for _ in 0..THREADS {
            let (receiver, lookup) = (receiver.clone(), lookup.clone());
            let body = move || {
                for question in receiver {
                    let found = lookup(&question.name, question.port);
                    let peers = peers(&question.name, found);
                    question.answer(peers);
                }
            };
            thread::Builder::new()
                .name("resolver".to_owned())
                .spawn(body)?;
        }
        Ok(Self { questions })
    }

    pub(super) fn ask(&self, question: Question) {
        // This can't fail: the threads end with the last handle, and this is one.
        if let Err(ended) = self.questions.send(question) {
            let question = ended.into_inner();
            let reason = format!(
                "the name '{}' isn't looked up: the resolver has ended",
                question.name
            );
            question.answer(Err(reason));
        }
    }
}

/// Looks a name up and waits for the result.
pub(super) fn resolve(
    hosts: &BTreeMap<String, Vec<IpAddr>>,
    name: &str,
    port: u16,
) -> Result<Vec<Peer>, String> {
    peers(name, lookup(hosts, name, port))
}

fn lookup(
    hosts: &BTreeMap<String, Vec<IpAddr>>,
    name: &str,
    port: u16,
) -> io::Result<Vec<SocketAddr>> {
    match hosts.get(name) {
        Some(known) => Ok(known.iter().map(|&ip| SocketAddr::new(ip, port)).collect()),
        None => (name, port).to_socket_addrs().map(Iterator::collect),
    }
}

fn peers(name: &str, found: io::Result<Vec<SocketAddr>>) -> Result<Vec<Peer>, String> {
    let found = found.map_err(|error| {
        let error = error.to_string();
        // The standard library's text says twice that the look-up failed.
        let error = error
            .rsplit("address information: ")
            .next()
            .unwrap_or(&error);
        format!("the name '{name}' isn't found: {error}")
    })?;
    let mut peers: Vec<Peer> = Vec::new();
    for peer in found.into_iter().map(Peer::Internet) {
        if !peers.contains(&peer) {
            peers.push(peer);
        }
    }
    match peers.is_empty() {
        true => Err(format!("the name '{name}' has no addresses")),
        false => Ok(peers),
    }
}
