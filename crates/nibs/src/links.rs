//! Connections that workers share. A link is found by its group of workers and its
//! address. The protocol keeps its own data in it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::ops::{Index, IndexMut};
use std::os::fd::{AsFd, BorrowedFd};

use encarno_nib::stream::{Stream, StreamError};
use encarno_nib::{Dialer, Io, NoPeer, Route, Shot, Step};
use encarno_record::{Hit, StringId};
use rustix::io::Errno;

use crate::attempt::Attempt;

/// The most addresses to which a group of workers keeps connections, if each has one.
const LINKS_MAX: usize = 16;

/// Starts the hit of a worker in the event of another one.
pub fn as_worker(worker: u32, io: &mut Io<'_>, start: impl FnOnce(&mut Io<'_>) -> Step) -> Step {
    let own = std::mem::replace(&mut io.worker, worker);
    let step = start(io);
    io.worker = own;
    step
}

/// What a link sends and receives with.
pub trait Transport: Sized {
    /// Starts to connect.
    fn open(dialer: &Dialer, route: &Route) -> Result<Self, StreamError>;

    /// The socket, for registration.
    fn socket(&self) -> BorrowedFd<'_>;
}

impl Transport for Stream {
    fn open(dialer: &Dialer, route: &Route) -> Result<Self, StreamError> {
        dialer.connect(route)
    }

    fn socket(&self) -> BorrowedFd<'_> {
        Self::socket(self).as_fd()
    }
}

/// Records how much of a TLS handshake a hit has waited for.
pub fn note_handshake(hit: &mut Hit, since_ns: u64, opened_ns: u64) {
    let took_us = opened_ns.saturating_sub(since_ns.max(hit.started_ns)) / 1000;
    hit.tls_us = took_us.min(u64::from(u32::MAX)) as u32;
}

/// The data of a link that all protocols share.
#[derive(Debug)]
pub struct Dialed<S = Stream> {
    /// The open connection, or the one that is being opened.
    pub stream: Option<S>,
    /// How far it has come.
    pub phase: Phase,
    /// Distinguishes the events of this socket from those of earlier ones.
    number: u32,
    pub(crate) attempt: Attempt,
    /// The group of workers that share it, its address, and its place among the group's links
    /// to that address.
    group: u32,
    address: StringId,
    place: u32,
    /// Whether flush will visit it.
    changed: bool,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// There is none.
    #[default]
    Closed,
    /// The operating system connects.
    Connecting,
    /// TLS begins, or a tunnel.
    Handshaking {
        /// Since when.
        since_ns: u64,
    },
    /// Bytes can be sent.
    Open,
}

impl<S> Default for Dialed<S> {
    fn default() -> Self {
        Self {
            stream: None,
            phase: Phase::Closed,
            number: 0,
            attempt: Attempt::default(),
            group: 0,
            address: StringId::default(),
            place: 0,
            changed: false,
        }
    }
}

impl Dialed<Stream> {
    /// Whether it uses TLS.
    pub fn is_tls(&self) -> bool {
        self.stream.as_ref().is_some_and(Stream::is_tls)
    }

    /// Continues to connect. Returns the start of the handshake if the link is now open
    /// and wasn't before.
    pub fn go_on(&mut self, closed: bool, now_ns: u64) -> Result<Option<u64>, StreamError> {
        let Some(stream) = &mut self.stream else {
            return Ok(None);
        };
        if self.phase == Phase::Connecting {
            if !stream.connected()? {
                return Ok(None);
            }
            self.phase = Phase::Handshaking { since_ns: now_ns };
        }
        let Phase::Handshaking { since_ns } = self.phase else {
            return Ok(None);
        };
        if !stream.shake_hands()? {
            return match closed {
                true => Err(StreamError::Closed),
                false => Ok(None),
            };
        }
        self.phase = Phase::Open;
        Ok(Some(since_ns))
    }
}

impl<S> Dialed<S> {
    /// Whether there is a socket.
    pub fn is_there(&self) -> bool {
        self.stream.is_some()
    }

    /// The link without its socket. Late events of that socket are still recognised.
    pub fn closed(&self) -> Self {
        Self {
            number: self.number,
            changed: self.changed,
            ..Self::default()
        }
    }

    /// Notes that flush visits it now.
    pub fn take_change(&mut self) {
        self.changed = false;
    }

    fn connect(&mut self, link: u32, stream: S, io: &Io<'_>) -> Result<(), StreamError>
    where
        S: Transport,
    {
        self.number = self.number.wrapping_add(1);
        io.register_link(stream.socket(), link, self.number)?;
        self.stream = Some(stream);
        self.phase = Phase::Connecting;
        Ok(())
    }
}

/// A connection, with the data of its protocol.
pub trait Link: Default {
    /// What it sends and receives with.
    type Transport: Transport;

    /// The connection.
    fn dialed(&self) -> &Dialed<Self::Transport>;
    /// The same, to be changed.
    fn dialed_mut(&mut self) -> &mut Dialed<Self::Transport>;
    /// Whether further hits may use it.
    fn takes_hits(&self) -> bool;
    /// Whether it carries as many hits as the peer allows, so that further ones get a link of
    /// their own.
    fn is_full(&self) -> bool {
        false
    }
    /// Whether no hit is on it.
    fn is_idle(&self) -> bool;
    /// Marks it as not needed, so that flush closes it.
    fn let_down(&mut self);
}

/// Why a link couldn't be opened.
#[derive(Clone, Copy, Debug)]
pub enum NotOpened {
    /// The address is being looked up.
    Pending,
    /// The hit's net code, and why.
    Failed(u16, StringId),
}

/// The links of one event loop.
#[derive(Debug)]
pub struct Links<L> {
    /// Opens connections.
    pub dialer: Dialer,
    /// The number of workers that share a connection.
    streams: u32,
    /// The number of workers.
    places: u32,
    links: Vec<L>,
    by_address: HashMap<(u32, StringId, u32), u32>,
    /// The links of each group.
    by_group: Vec<Vec<u32>>,
    /// Closed links that belong to no group.
    spare: Vec<u32>,
    /// Links that flush will visit.
    changed: Vec<u32>,
    /// Links that may have more to read or write.
    unread: Vec<u32>,
    /// The instants at which links must be visited without an event.
    instants: BinaryHeap<Reverse<(u64, u32)>>,
}

impl<L: Link> Links<L> {
    /// No links yet; `streams` workers are going to share each.
    pub fn new(dialer: Dialer, streams: u32) -> Self {
        Self {
            dialer,
            streams,
            places: 0,
            links: Vec::new(),
            by_address: HashMap::new(),
            by_group: Vec::new(),
            spare: Vec::new(),
            changed: Vec::new(),
            unread: Vec::new(),
            instants: BinaryHeap::new(),
        }
    }

    /// The number of workers that share a connection.
    pub fn streams(&self) -> u32 {
        self.streams
    }

    /// The group of the next worker.
    pub fn join(&mut self) -> u32 {
        let group = self.places / self.streams;
        self.places += 1;
        self.by_group.resize(group as usize + 1, Vec::new());
        group
    }

    /// The link of a group of workers to the hit's address. If it has to be opened,
    /// `begun` is called with it.
    pub fn reach(
        &mut self,
        group: u32,
        shot: &Shot,
        io: &mut Io<'_>,
        begun: impl FnOnce(&mut L),
    ) -> Result<u32, NotOpened> {
        let number = self.number_of(group, shot.address);
        if !self[number].dialed().is_there() {
            self.open(number, shot, io, begun)?;
        }
        Ok(number)
    }

    /// A link that takes no more hits keeps its running ones.
    fn number_of(&mut self, group: u32, address: StringId) -> u32 {
        let mut place = 0;
        while let Some(&number) = self.by_address.get(&(group, address, place)) {
            if !self[number].takes_hits() {
                self.let_go(number);
                break;
            }
            if !self[number].is_full() {
                return number;
            }
            place += 1;
        }
        let number = self.spare.pop().unwrap_or_else(|| {
            self.links.push(L::default());
            self.links.len() as u32 - 1
        });
        let dialed = self[number].dialed_mut();
        (dialed.group, dialed.address, dialed.place) = (group, address, place);
        self.by_address.insert((group, address, place), number);
        let group = &mut self.by_group[group as usize];
        group.push(number);
        let is_idle = |&&other: &&u32| other != number && self.links[other as usize].is_idle();
        if group.len() > LINKS_MAX
            && place == 0
            && let Some(&oldest) = group.iter().find(is_idle)
        {
            self[oldest].let_down();
            self.let_go(oldest);
            self.note_change(oldest);
        }
        number
    }

    /// Removes a link from its group.
    pub fn let_go(&mut self, number: u32) {
        let dialed = self[number].dialed();
        let (group, key) = (dialed.group, (dialed.group, dialed.address, dialed.place));
        if self.by_address.get(&key) == Some(&number) {
            self.by_address.remove(&key);
        }
        if let Some(group) = self.by_group.get_mut(group as usize) {
            group.retain(|&other| other != number);
        }
    }

    /// Frees a closed link without a group for reuse.
    pub fn free(&mut self, number: u32) {
        self.spare.push(number);
    }

    /// Marks a link that only one worker uses as not needed; returns its number, if there
    /// is one.
    pub fn let_down_own(&mut self, group: u32, address: StringId) -> Option<u32> {
        if self.streams != 1 {
            return None;
        }
        let &number = self.by_address.get(&(group, address, 0))?;
        self[number].let_down();
        Some(number)
    }

    /// Connects to the next address; skips addresses that refuse at once.
    pub fn open(
        &mut self,
        number: u32,
        shot: &Shot,
        io: &mut Io<'_>,
        begun: impl FnOnce(&mut L),
    ) -> Result<(), NotOpened> {
        loop {
            let now_ns = io.clock.now_ns();
            let dialed = self.links[number as usize].dialed_mut();
            let route = match self.dialer.dial(shot, io, dialed.attempt.silent_peer()) {
                Ok(route) => route,
                Err(NoPeer::Pending) => return Err(NotOpened::Pending),
                Err(NoPeer::Failed(code, text)) => return Err(NotOpened::Failed(code, text)),
            };
            let timeout = self.dialer.settings().timeout;
            dialed.attempt.begin(&route, now_ns, timeout);
            let opened = L::Transport::open(&self.dialer, &route);
            match opened.and_then(|stream| dialed.connect(number, stream, io)) {
                Ok(()) => {
                    if dialed.attempt.may_pass_over() {
                        let silent_at_ns = dialed.attempt.silent_at_ns();
                        self.look_at(number, silent_at_ns);
                    }
                    begun(&mut self[number]);
                    return Ok(());
                }
                Err(error) if self.passes_over(number, &error, now_ns) => {}
                Err(error) => {
                    self[number].dialed_mut().attempt = Attempt::default();
                    let (code, text) = self.dialer.explain(error, Some(&route.peer));
                    return Err(NotOpened::Failed(code, text));
                }
            }
        }
    }

    /// The net code and text of a hit that failed with this error on the link.
    pub fn explain(&mut self, number: u32, error: StreamError) -> (u16, StringId) {
        let peer = self.links[number as usize].dialed().attempt.peer.as_ref();
        self.dialer.explain(error, peer)
    }

    /// The peer of a link, for messages.
    pub fn peer(&self, number: u32) -> Option<String> {
        let dialed = self.links.get(number as usize)?.dialed();
        dialed.attempt.peer.as_ref().map(ToString::to_string)
    }

    /// Whether to try another address after this failure.
    pub fn passes_over(&mut self, number: u32, error: &StreamError, now_ns: u64) -> bool {
        let dialed = self.links[number as usize].dialed_mut();
        if !dialed.attempt.may_pass_over() || !error.is_of_address() {
            return false;
        }
        if let Some(peer) = &dialed.attempt.peer {
            self.dialer.avoid(dialed.address, peer, now_ns);
        }
        // Drop only the socket; the hits stay.
        dialed.stream = None;
        dialed.phase = Phase::Closed;
        true
    }

    /// Whether connecting was silent for so long that another address is tried.
    pub fn passes_over_silent(&mut self, number: u32, now_ns: u64) -> bool {
        let dialed = self[number].dialed();
        let is_silent =
            dialed.phase == Phase::Connecting && dialed.attempt.silent_at_ns() <= now_ns;
        let silent = StreamError::System(Errno::TIMEDOUT);
        let passes = is_silent && self.passes_over(number, &silent, now_ns);
        if passes {
            self[number].dialed_mut().attempt.is_silent();
        }
        passes
    }

    /// The link of an event, unless the event belongs to an earlier socket.
    pub fn that(&mut self, number: u32, socket: u32) -> Option<&mut L> {
        let link = self.links.get_mut(number as usize)?;
        let dialed = link.dialed();
        (dialed.is_there() && dialed.number == socket).then_some(link)
    }

    /// Marks a link for flush.
    pub fn note_change(&mut self, number: u32) {
        if !std::mem::replace(&mut self[number].dialed_mut().changed, true) {
            self.changed.push(number);
        }
    }

    /// The next link that is marked for flush.
    pub fn next_changed(&mut self) -> Option<u32> {
        self.changed.pop()
    }

    /// Marks a link that may have more to read or write.
    pub fn note_unread(&mut self, number: u32) {
        self.unread.push(number);
    }

    /// Takes the links that may have more to read or write.
    pub fn take_unread(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.unread)
    }

    /// Sets an instant at which to visit a link without an event.
    pub fn look_at(&mut self, number: u32, instant_ns: u64) {
        self.instants.push(Reverse((instant_ns, number)));
    }

    /// The next link whose instant has come.
    pub fn next_due(&mut self, now_ns: u64) -> Option<u32> {
        let &Reverse((instant_ns, number)) = self.instants.peek()?;
        (instant_ns <= now_ns).then(|| {
            self.instants.pop();
            number
        })
    }

    /// The numbers of all links, also of closed ones.
    pub fn numbers(&self) -> std::ops::Range<u32> {
        0..self.links.len() as u32
    }

    /// The next instant of a link.
    pub fn next_instant(&self) -> u64 {
        match self.instants.peek() {
            _ if !self.unread.is_empty() => 0,
            Some(&Reverse((instant_ns, _))) => instant_ns,
            None => u64::MAX,
        }
    }
}

impl<L> Index<u32> for Links<L> {
    type Output = L;

    fn index(&self, number: u32) -> &L {
        &self.links[number as usize]
    }
}

impl<L> IndexMut<u32> for Links<L> {
    fn index_mut(&mut self, number: u32) -> &mut L {
        &mut self.links[number as usize]
    }
}
