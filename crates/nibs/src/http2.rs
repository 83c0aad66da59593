//! HTTP/2, with TLS by ALPN and without TLS by prior knowledge: many hits at a
//! time on one connection.
//!
//! After GOAWAY, a connection finishes its running hits, and a new connection takes later
//! ones. A hit that the peer says it didn't process fails as [`code::REFUSED`] and isn't
//! sent twice.
//!
//! - dialect: what is sent over HTTP/2, and how its answers are understood
//! - answers: what comes, put down in the hits
//! - bodies: those of requests, as far as there is room for them
//! - link: one connection, and the hits that wait for it or are on their way

mod answers;
mod bodies;
mod dialect;
mod link;

use std::fmt::Debug;
use std::sync::Arc;

use answers::Texts;
use bytes::Bytes;
use encarno_http2::{Limits, Prepared};
use encarno_nib::stream::StreamError;
use encarno_nib::{
    BadOption, Dialer, Fatal, Form, Hits, Io, Kept, Kind, NetworkProtocol, Nib, Options, Prepare,
    Readiness, Response, Scheme, Seat, Shot, Step, note_lookup,
};
use encarno_record::{Payload, StringId, Strings, code};
use link::{Broken, Link};
use rustix::io::Errno;

pub use dialect::{Dialect, Plain, Seen};

use crate::links::{Link as _, Links, NotOpened, Phase, as_worker};

/// How often a hit that can't be sent is moved to another connection.
const MOVES_MAX: u32 = 3;

/// HTTP/2.
#[derive(Clone, Copy, Debug)]
pub struct Http2Protocol {
    /// The number of hits that a connection carries at a time.
    pub streams: u32,
    /// The window of each of our streams.
    pub window_bytes: u32,
    /// Whether heads are compressed with a table that grows with the connection.
    pub indexed: bool,
}

impl Default for Http2Protocol {
    fn default() -> Self {
        Self {
            streams: 1,
            window_bytes: Limits::default().window,
            indexed: false,
        }
    }
}

impl NetworkProtocol for Http2Protocol {
    type Nib = Http2<Plain>;

    const KIND: &'static Kind = &Kind {
        name: "http2",
        aliases: &["h2", "h2c"],
        schemes: &[
            Scheme::new("http", Some(80)),
            Scheme::with_tls("https", Some(443)),
            Scheme::unix("http+unix"),
            Scheme::unix("unix"),
        ],
        form: Form::Http,
        tls: Some(&[b"h2"]),
        network: true,
        options: &["streams", "window", "hpack"],
    };

    fn new(options: &Options) -> Result<Self, BadOption> {
        let usual = Self::default();
        let window = options.own("window", "a number of bytes from 1 to 1073741823")?;
        let window_bytes = window.unwrap_or(usual.window_bytes);
        if !(1..=usual.window_bytes).contains(&window_bytes) {
            let reason = format!("write a number from 1 to {}", usual.window_bytes);
            return Err(BadOption::new("window", reason));
        }
        let indexed = match options.own.get("hpack").map(String::as_str) {
            None | Some("static") => false,
            Some("indexed") => true,
            Some(_) => return Err(BadOption::new("hpack", "write static or indexed")),
        };
        Ok(Self {
            streams: options.streams(usual.streams)?,
            window_bytes,
            indexed,
        })
    }

    fn nib(&self, dialer: Dialer, seat: &Seat<'_>) -> Http2<Plain> {
        self.nib_of(Plain, dialer, seat)
    }

    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Frames))
    }

    fn streams(&self) -> u32 {
        self.streams
    }
}

impl Http2Protocol {
    /// The nib of one event loop, for what is sent over HTTP/2.
    pub(crate) fn nib_of<D: Dialect>(
        &self,
        dialect: D,
        dialer: Dialer,
        seat: &Seat<'_>,
    ) -> Http2<D> {
        let head_bytes_max = dialer.settings().head_bytes_max;
        Http2 {
            strings: seat.strings.clone(),
            texts: Texts::new(seat.strings, head_bytes_max, D::NO_HTTP2),
            limits: Limits {
                window: self.window_bytes,
                head_bytes_max,
                indexed: self.indexed,
                ..Limits::default()
            },
            links: Links::new(dialer, self.streams),
            dialect,
        }
    }
}

/// Makes frames from requests.
#[derive(Debug)]
struct Frames;

impl Prepare for Frames {
    fn prepare(&self, payload: Payload) -> Result<Payload, String> {
        match payload {
            Payload::Memory(text) => Prepared::of_text(&text).map(Payload::Memory),
            Payload::File { .. } => {
                Err("with HTTP/2 a request is held in memory, and this one is too long".to_owned())
            }
        }
    }

    fn with_field(&self, prepared: &Bytes, name: &str, value: &str) -> Option<Bytes> {
        Prepared::read(prepared)?.with_field(name.as_bytes(), value.as_bytes())
    }
}

/// The nib of one event loop.
#[derive(Debug)]
pub struct Http2<D> {
    links: Links<Link>,
    strings: Strings,
    texts: Texts,
    limits: Limits,
    dialect: D,
}

/// A worker's place in a link.
#[derive(Debug, Default)]
pub struct Place<A> {
    /// The group of workers with which it shares links.
    group: u32,
    on: On,
    /// The address of its last hit.
    address: StringId,
    /// When the look-up of its address began, if there is one.
    looked_up_ns: Option<u64>,
    /// When its stream was opened.
    opened_ns: u64,
    /// How often its hit was moved to another link before it was sent.
    moves: u32,
    kept: Kept,
    /// What the dialect knows of the answer.
    answer: A,
}

/// The position of a hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum On {
    #[default]
    Nowhere,
    /// It waits on this link for a stream, with this ticket.
    Waiting(u32, u64),
    /// It has this stream of this link.
    Stream(u32, u32),
}

impl<D: Dialect> Http2<D> {
    /// Appends the hit to the waiting ones of a link, which is opened if necessary.
    fn enqueue(&mut self, place: &mut Place<D::Answer>, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        place.address = shot.address;
        place.on = On::Nowhere;
        let limits = self.limits;
        let reached = self
            .links
            .reach(place.group, shot, io, |link| link.begin(limits));
        let number = match reached {
            Ok(number) => number,
            Err(NotOpened::Pending) => {
                place.looked_up_ns = Some(io.clock.now_ns());
                return Step::Running;
            }
            Err(NotOpened::Failed(code, text)) => return shot.fail(code, text, io),
        };
        let link = &mut self.links[number];
        place.on = On::Waiting(number, link.wait_for_stream(io.worker));
        self.links.note_change(number);
        Step::Running
    }

    /// Tries the next address for the hits that wait on the link.
    fn reopen(&mut self, number: u32, hits: &mut dyn Hits<Place<D::Answer>>, io: &mut Io<'_>) {
        let worker = self.links[number].first_waiting(number, hits);
        let Some((_, shot)) = worker.and_then(|worker| hits.get(worker)) else {
            return self.break_link(number, Broken::GivenUp, hits, io);
        };
        let limits = self.limits;
        let opened = self.links.open(number, shot, io, |link| link.begin(limits));
        if let Err(NotOpened::Failed(code, text)) = opened {
            self.end_all(number, hits, io, |_| (code, text));
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
        let is_gone = matches!(
            broken,
            Broken::Stream(
                StreamError::Closed | StreamError::System(Errno::CONNRESET | Errno::PIPE)
            )
        );
        let is_stale = is_gone && link.is_reused();
        let (code, text) = match broken {
            Broken::Stream(StreamError::Closed)
                if matches!(link.dialed().phase, Phase::Handshaking { .. }) =>
            {
                (code::CLOSED_EARLY, self.texts.closed_in_handshake)
            }
            Broken::Stream(StreamError::NoProtocol) => (code::TLS, self.texts.no_http2),
            Broken::Stream(error) => self.links.explain(number, error),
            Broken::Protocol(error) => {
                let code = answers::code_of(error.code, code::PROTOCOL);
                (code, self.strings.intern(&format!("HTTP/2: {error}")))
            }
            Broken::Alpn => (code::TLS, self.texts.no_http2),
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
        let link = &mut self.links[number];
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
            Ok(link.write(number, &self.dialect, &self.texts, hits, io)? || again)
        });
        match again {
            Ok(again) => {
                if again {
                    self.links.note_unread(number);
                }
                if !self.links[number].takes_hits() {
                    self.retire(number, hits, io);
                }
            }
            Err(broken) => {
                // Tell the peer the reason, if it still reads.
                link.say_last();
                self.break_link(number, broken, hits, io);
            }
        }
    }

    /// Stops giving hits to the link. Waiting hits move to another link, and this one is
    /// closed after its last running hit.
    fn retire(&mut self, number: u32, hits: &mut dyn Hits<Place<D::Answer>>, io: &mut Io<'_>) {
        self.links.let_go(number);
        for worker in self.links[number].take_waiting(number, hits) {
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

impl<D: Dialect> Nib for Http2<D> {
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
        if self.links[number].dialed().phase == Phase::Open {
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
            }
        }
    }

    fn response<'a>(&self, place: &'a Place<D::Answer>) -> Response<'a> {
        place.kept.response()
    }

    fn received<'a>(&self, place: &'a Place<D::Answer>) -> &'a [u8] {
        place.kept.received()
    }

    fn shown(&self, payload: &[u8]) -> Option<Vec<u8>> {
        self.dialect.shown(payload)
    }

    fn fatal(&self) -> Option<Fatal> {
        self.links.dialer.fatal()
    }
}
