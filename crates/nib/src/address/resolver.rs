//! Threads that look names up, since the system's resolver waits.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::{io, thread};

use crossbeam_channel::{Sender, bounded};
use encarno_record::StringId;

use crate::poll::Waker;
use crate::socket::Peer;

/// Slow names need not hold up the others.
const THREADS: usize = 4;
const QUESTIONS_MAX: usize = 4096;

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
        // The loop may have ended meanwhile.
        if self.reply.send(Found { id, result }).is_ok() {
            self.waker.wake();
        }
    }
}

impl Resolver {
    /// Starts the threads; names are looked up as the system does it.
    pub fn start() -> io::Result<Self> {
        Self::start_with(system)
    }

    pub(super) fn start_with<F>(lookup: F) -> io::Result<Self>
    where
        F: Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Clone + 'static,
    {
        let (questions, receiver) = bounded::<Question>(QUESTIONS_MAX);
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
        if let Err(full) = self.questions.try_send(question) {
            let question = full.into_inner();
            let name = &question.name;
            let reason = format!("name '{name}' not looked up: too many names at once");
            question.answer(Err(reason));
        }
    }
}

/// Looks a name up, waiting for it.
pub(super) fn resolve(name: &str, port: u16) -> Result<Vec<Peer>, String> {
    peers(name, system(name, port))
}

fn system(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (name, port).to_socket_addrs().map(Iterator::collect)
}

fn peers(name: &str, found: io::Result<Vec<SocketAddr>>) -> Result<Vec<Peer>, String> {
    let found = found.map_err(|error| format!("name '{name}' not found: {error}"))?;
    let mut peers: Vec<Peer> = Vec::new();
    for peer in found.into_iter().map(Peer::Internet) {
        if !peers.contains(&peer) {
            peers.push(peer);
        }
    }
    match peers.is_empty() {
        true => Err(format!("name '{name}' has no addresses")),
        false => Ok(peers),
    }
}
