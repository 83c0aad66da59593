//! Protocols with many hits at a time on one connection: HTTP/2 and HTTP/3, and what is sent
//! over them.
//!
//! After GOAWAY, a connection finishes its running hits, and a new connection takes later
//! ones. A hit that the peer says it didn't process fails as [`code::REFUSED`] and isn't
//! sent twice.
//!
//! - texts: the texts of errors
//! - dialect: what is sent over a connection, and how its answers are understood
//! - queue: the hits that wait for a stream
//! - lane: one connection
//! - answers: what comes, put down in the hits

mod answers;
mod dialect;
mod lane;
mod queue;
mod texts;

use std::fmt::Debug;

pub(crate) use answers::{Answers, Piece};
use encarno_nib::stream::StreamError;
use encarno_nib::{
    Dialer, Fatal, Hits, Io, Kept, Nib, Readiness, Response, Seat, Shot, Step, note_lookup,
};
use encarno_record::notes::Transport;
use encarno_record::series::Measured;
use encarno_record::{StringId, Strings, code};
pub use lane::Lane;
pub(crate) use lane::{Broken, Failed, keep_own, note_stream};
pub(crate) use queue::Queue;
use rustix::io::Errno;
pub(crate) use texts::Texts;

pub use dialect::{Dialect, Plain, Seen};

use crate::links::{Links, NotOpened, Phase, as_worker};

/// How often a hit that can't be sent is moved to another connection.
const MOVES_MAX: u32 = 3;

/// The nib of one event loop.
#[derive(Debug)]
pub struct Multiplexed<D: Dialect, L: Lane<D>> {
    links: Links<L>,
    strings: Strings,
    texts: Texts,
    settings: L::Settings,
    dialect: D,
}

/// A worker's place in a link.
#[derive(Debug, Default)]
pub struct Place<A> {
    /// The group of workers with which it shares links.
    group: u32,
    pub(crate) on: On,
    /// The address of its last hit.
    address: StringId,
    /// When the look-up of its address began, if there is one.
    looked_up_ns: Option<u64>,
    /// When its stream was opened.
    pub(crate) opened_ns: u64,
    /// How often its hit was moved to another link before it was sent.
    moves: u32,
    pub(crate) kept: Kept,
    /// What the dialect knows of the answer.
    pub(crate) answer: A,
}

/// The position of a hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum On {
    #[default]
    Nowhere,
    /// It waits on this link for a stream, with this ticket.
    Waiting(u32, u64),
    /// It has this stream of this link.
    Stream(u32, u32),
}

impl<D: Dialect, L: Lane<D>> Multiplexed<D, L> {
    /// The nib of an event loop in which so many workers share a connection.
    pub(crate) fn new(
        settings: L::Settings,
        dialect: D,
        streams: u32,
        dialer: Dialer,
        seat: &Seat<'_>,
    ) -> Self {
        let head_bytes_max = dialer.settings().head_bytes_max;
        Self {
            strings: seat.strings.clone(),
            texts: Texts::new(seat.strings, L::NAME, head_bytes_max, D::NO_HTTP2),
            links: Links::new(dialer, streams),
            settings,
            dialect,
        }
    }

    /// Appends the hit to the waiting ones of a link, which is opened if necessary.
    fn enqueue(&mut self, place: &mut Place<D::Answer>, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        place.address = shot.address;
        place.on = On::Nowhere;
        let reached = self
            .links
            .reach(place.group, shot, io, |link| link.begin(&self.settings));
        let number = match reached {
            Ok(number) => number,
            Err(NotOpened::Pending) => {
                place.looked_up_ns = Some(io.clock.now_ns());
                return Step::Running;
            }
            Err(NotOpened::Failed(code, text)) => return shot.fail(code, text, io),
        };
        let link = &mut self.links[number];
        place.on = On::Waiting(number, link.queue().push(io.worker));
        self.links.note_change(number);
        Step::Running
    }

    /// Tries the next address for the hits that wait on the link.
    fn reopen(&mut self, number: u32, hits: &mut dyn Hits<Place<D::Answer>>, io: &mut Io<'_>) {
        self.links[number].take_back(number, hits);
        let worker = self.links[number].queue().first(number, hits);
        let Some((_, shot)) = worker.and_then(|worker| hits.get(worker)) else {
            return self.break_link(number, Broken::GivenUp, hits, io);
        };
        let settings = &self.settings;
        let opened = self
            .links
            .open(number, shot, io, |link| link.begin(settings));
        match opened {
            Ok(()) => self.links.note_change(number),
            Err(NotOpened::Failed(code, text)) => {
                self.end_all(number, hits, io, |_| (code, text));
            }
            Err(NotOpened::Pending) => {}
        }
    }

    /// Ends all hits of a link that can't be used any more.
    fn break_link(
        &mut self,
        number: u32,
        broken: Broken,
        hits: &mut dyn Hits<Place<D::Answer>>,
        io: &Io<'_>,
    ) {
        let link = &self.links[number];
        let is_gone = match &broken {
            Broken::Stream(error) => matches!(
                error,
                StreamError::Closed | StreamError::System(Errno::CONNRESET | Errno::PIPE)
            ),
            Broken::Failed(failed) => failed.is_gone,
            Broken::Alpn | Broken::GivenUp => false,
        };
        let is_stale = is_gone && link.is_reused();
        let (code, text) = match broken {
            Broken::Stream(StreamError::Closed)
                if matches!(link.dialed().phase, Phase::Handshaking { .. }) =>
            {
                (code::CLOSED_EARLY, self.texts.closed_in_handshake)
            }
            Broken::Stream(StreamError::NoProtocol) | Broken::Alpn => {
                (code::TLS, self.texts.no_protocol)
            }
            Broken::Stream(error) => self.links.explain(number, error),
            Broken::Failed(failed) => (failed.code, self.strings.intern(&failed.text)),
            Broken::GivenUp => (code::CLOSED_EARLY, self.texts.given_up),
        };
        let stale = (code::STALE, self.texts.stale);
        self.end_all(number, hits, io, |shot| match is_stale {
            true if shot.hit.received_bytes == 0 => stale,
            _ => (code, text),
        });
    }

    fn end_all(
        &mut self,
        number: u32,
        hits: &mut dyn Hits<Place<D::Answer>>,
        io: &Io<'_>,
        why: impl Fn(&Shot) -> (u16, StringId),
    ) {
        self.links.let_go(number);
        for worker in self.links[number].close(number, hits) {
            if let Some((place, shot)) = hits.get(worker) {
                place.on = On::Nowhere;
                let (code, text) = why(shot);
                shot.fail(code, text, io);
                hits.end(worker);
            }
        }
        self.links.free(number);
    }

    /// Reads, and sends what is due.
    fn turn(
        &mut self,
        number: u32,
        reads: bool,
        hits: &mut dyn Hits<Place<D::Answer>>,
        io: &mut Io<'_>,
    ) {
        let now_ns = io.clock.now_ns();
        let link = &mut self.links[number];
        let was_connecting = link.dialed().phase == Phase::Connecting;
        let again = match reads {
            true => link.read(
                number,
                &mut self.dialect,
                &self.texts,
                &self.strings,
                hits,
                io,
            ),
            false => Ok(false),
        };
        let again = again.and_then(|again| {
            Ok(link.write(
                number,
                &mut self.dialect,
                &self.texts,
                &self.strings,
                hits,
                io,
            )? || again)
        });
        match again {
            Ok(again) => {
                if again {
                    self.links.note_unread(number);
                }
                if let Some(instant_ns) = self.links[number].alarm_ns() {
                    self.links.look_at(number, instant_ns);
                }
                if !self.links[number].takes_hits() {
                    self.retire(number, hits, io);
                } else if self.links[number].is_too_full() {
                    self.spread(number, hits, io);
                }
            }
            Err(Broken::Stream(error))
                if was_connecting && self.links.passes_over(number, &error, now_ns) =>
            {
                self.reopen(number, hits, io);
            }
            Err(broken) => {
                // Tell the peer the reason, if it still reads.
                self.links[number].say_last();
                self.break_link(number, broken, hits, io);
            }
        }
    }

    /// Gives the hits that wait on a link to further ones, as far as the link is full.
    fn spread(&mut self, number: u32, hits: &mut dyn Hits<Place<D::Answer>>, io: &mut Io<'_>) {
        for worker in self.links[number].queue().take_all(number, hits) {
            if let Some((place, shot)) = hits.get(worker)
                && as_worker(worker, io, |io| self.enqueue(place, shot, io)) == Step::Done
            {
                hits.end(worker);
            }
        }
    }

    /// Stops giving hits to the link. Waiting hits move to another link, and this one is
    /// closed after its last running hit.
    fn retire(&mut self, number: u32, hits: &mut dyn Hits<Place<D::Answer>>, io: &mut Io<'_>) {
        self.links.let_go(number);
        for worker in self.links[number].queue().take_all(number, hits) {
            let Some((place, shot)) = hits.get(worker) else {
                continue;
            };
            place.moves += 1;
            let step = as_worker(worker, io, |io| match place.moves > MOVES_MAX {
                true => {
                    place.on = On::Nowhere;
                    shot.fail(code::REFUSED, self.texts.goes_away, io)
                }
                false => self.enqueue(place, shot, io),
            });
            if step == Step::Done {
                hits.end(worker);
            }
        }
        let link = &self.links[number];
        if link.dialed().is_there() && link.is_idle() {
            self.break_link(number, Broken::GivenUp, hits, io);
        }
    }
}

impl<D: Dialect, L: Lane<D>> Nib for Multiplexed<D, L> {
    type Connection = Place<D::Answer>;

    const SHARED: bool = true;

    fn connection(&mut self) -> Place<D::Answer> {
        Place {
            group: self.links.join(),
            ..Place::default()
        }
    }

    fn start(&mut self, place: &mut Place<D::Answer>, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        place.kept.expect(shot.keep);
        self.dialect.begin(&mut place.answer, shot);
        place.moves = 0;
        self.enqueue(place, shot, io)
    }

    /// Workers have no sockets of their own.
    fn ready(
        &mut self,
        _: &mut Place<D::Answer>,
        _: Option<&mut Shot>,
        _: Readiness,
        _: &mut Io<'_>,
    ) -> Step {
        Step::Running
    }

    fn wake(&mut self, place: &mut Place<D::Answer>, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        let Some(since_ns) = place.looked_up_ns.take() else {
            return Step::Running;
        };
        note_lookup(shot, since_ns, io);
        self.enqueue(place, shot, io)
    }

    fn abandon(&mut self, place: &mut Place<D::Answer>) {
        place.looked_up_ns = None;
        let number = match std::mem::take(&mut place.on) {
            On::Stream(number, stream) => {
                self.links[number].give_up(stream, place.opened_ns);
                number
            }
            On::Waiting(number, _) => {
                self.links[number].waits_no_more();
                number
            }
            // Between hits, a worker closes a connection that only it uses.
            On::Nowhere => match self.links.let_down_own(place.group, place.address) {
                Some(number) => number,
                None => return,
            },
        };
        self.links.note_change(number);
    }

    fn peer(&self, place: &Place<D::Answer>) -> Option<String> {
        match place.on {
            On::Stream(number, _) | On::Waiting(number, _) => self.links.peer(number),
            On::Nowhere => None,
        }
    }

    fn woken(&mut self, workers: &mut Vec<u32>) {
        self.links.dialer.woken(workers);
    }

    fn ready_shared(
        &mut self,
        number: u32,
        readiness: Readiness,
        hits: &mut dyn Hits<Place<D::Answer>>,
        io: &mut Io<'_>,
    ) {
        let Some(link) = self.links.that(number, readiness.number) else {
            return;
        };
        let now_ns = io.clock.now_ns();
        let was_connecting = link.dialed().phase == Phase::Connecting;
        match link.go_on(readiness.closed, now_ns) {
            Ok(()) => {}
            Err(Broken::Stream(error))
                if was_connecting && self.links.passes_over(number, &error, now_ns) =>
            {
                return self.reopen(number, hits, io);
            }
            Err(broken) => return self.break_link(number, broken, hits, io),
        }
        if self.links[number].can_turn() {
            self.turn(number, readiness.readable || readiness.closed, hits, io);
        }
    }

    fn flush(&mut self, hits: &mut dyn Hits<Place<D::Answer>>, io: &mut Io<'_>) {
        while let Some(number) = self.links.next_changed() {
            match self.links[number].take_change() {
                Some(broken) => self.break_link(number, broken, hits, io),
                None if self.links[number].dialed().is_there() => {
                    self.turn(number, false, hits, io);
                }
                None => {}
            }
        }
    }

    fn next_instant(&self) -> u64 {
        self.links.next_instant()
    }

    fn due(&mut self, now_ns: u64, hits: &mut dyn Hits<Place<D::Answer>>, io: &mut Io<'_>) {
        for number in self.links.take_unread() {
            if self.links[number].dialed().is_there() {
                self.turn(number, true, hits, io);
            }
        }
        while let Some(number) = self.links.next_due(now_ns) {
            if self.links.passes_over_silent(number, now_ns) {
                self.reopen(number, hits, io);
            } else if self.links[number].is_due(now_ns) {
                self.turn(number, false, hits, io);
            }
        }
    }

    fn response<'a>(&self, place: &'a Place<D::Answer>) -> Response<'a> {
        place.kept.response()
    }

    fn received<'a>(&self, place: &'a Place<D::Answer>) -> &'a [u8] {
        place.kept.received()
    }

    fn take_measured(&mut self) -> Measured {
        self.dialect.take_measured()
    }

    fn shown(&self, payload: &[u8]) -> Option<Vec<u8>> {
        L::shown(&self.dialect, payload)
    }

    fn transport(&self) -> Transport {
        let mut sum = Transport::default();
        for number in self.links.numbers() {
            sum.add(&self.links[number].transport());
        }
        sum
    }

    fn fatal(&self) -> Option<Fatal> {
        self.links.dialer.fatal()
    }
}
