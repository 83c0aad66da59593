//! WebSocket, plain and with TLS. A hit sends a message, and ends with the first message
//! that matches; or the hit is a ping, and ends with its pong.
//!
//! A worker keeps its connection between its hits, and answers pings meanwhile. Messages
//! that come when no hit waits are read and forgotten. Several workers may share a
//! connection (`streams`): a message that matches is the answer to the hit that was sent
//! first.
//!
//! - messages: makes messages from payloads
//! - opening: the handshake of a connection
//! - texts: error texts
//! - pushed: the latency of messages, by the time that they have in them
//! - queue: the running hits of a connection
//! - answers: records received data in the hits
//! - link: one connection

mod answers;
mod link;
mod messages;
mod opening;
mod pushed;
mod queue;
mod texts;

use std::sync::Arc;

use answers::Rules;
use encarno_nib::stream::StreamError;
use encarno_nib::{
    BadOption, Dialer, Encoding, Fatal, Form, Hits, Io, Kept, Kind, NetworkProtocol, Nib, Options,
    Prepare, Readiness, Response, Scheme, Seat, Shot, Step, note_lookup,
};
use encarno_record::series::Measured;
use encarno_record::{Payload, StringId, Strings, code};
use encarno_websocket::{CloseCode, HandshakeError, Kind as MessageKind};
use link::{Broken, Link};
use messages::Messages;
use opening::{Ask, Opening};
use pushed::{Pushed, SentAt};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use rustix::io::Errno;
use texts::Texts;

use crate::links::{Link as _, Links, NotOpened, Phase, as_worker};
use crate::tcp::{ANSWER_BYTES_MAX, Pattern};

/// How often a hit that can't be sent is moved to another connection.
const MOVES_MAX: u32 = 3;
/// WebSocket.
#[derive(Clone, Debug)]
pub struct WebSocketProtocol {
    opening: Arc<Opening>,
    rules: Rules,
    /// Where messages have the time at which they were sent, if that is of interest.
    sent_at: Option<SentAt>,
    streams: u32,
    message_bytes_max: u64,
    messages: Messages,
}

impl NetworkProtocol for WebSocketProtocol {
    type Nib = WebSocket;

    const KIND: &'static Kind = &Kind {
        name: "websocket",
        aliases: &["ws", "wss"],
        schemes: &[
            Scheme::new("ws", Some(80)),
            Scheme::with_tls("wss", Some(443)),
            Scheme::unix("ws+unix"),
        ],
        form: Form::Messages,
        tls: Some(&[b"http/1.1"]),
        network: true,
        options: &[
            "answer",
            "answer-match",
            "answer-max",
            "ping",
            "message",
            "payload",
            "compression",
            "sent-at",
            "streams",
        ],
    };

    fn new(options: &Options) -> Result<Self, BadOption> {
        let pings = options.own("ping", "true or false")? == Some(true);
        let matching = options.own.get("answer-match");
        let answers = options.own("answer", "true or false")? != Some(false);
        if matching.is_some() && (pings || !answers) {
            let reason = match pings {
                true => "the answer to a ping is its pong: leave it out",
                false => "there is no answer: leave it out",
            };
            return Err(BadOption::new("answer-match", reason));
        }
        if pings && !answers {
            let reason = "the answer to a ping is its pong: leave it out";
            return Err(BadOption::new("answer", reason));
        }
        let matching = matching.map(|text| Pattern::new(text)).transpose();
        let encoding = options
            .own("payload", "text, escaped, hex or base64")?
            .unwrap_or(Encoding::Text);
        let kind = match options.own.get("message").map(String::as_str) {
            Some("text") => MessageKind::Text,
            Some("binary") => MessageKind::Binary,
            None if matches!(encoding, Encoding::Text | Encoding::Escaped) => MessageKind::Text,
            None => MessageKind::Binary,
            Some(_) => return Err(BadOption::new("message", "write text or binary")),
        };
        let sent_at = options.own.get("sent-at");
        let sent_at = sent_at.map(|text| SentAt::new(text)).transpose();
        Ok(Self {
            opening: Arc::new(Opening::new(options)?),
            sent_at: sent_at.map_err(|reason| BadOption::new("sent-at", reason))?,
            rules: Rules {
                matching: matching
                    .map_err(|reason| BadOption::new("answer-match", reason))?
                    .map(Arc::new),
                kind,
                pings,
                answers,
            },
            streams: options.streams(1)?,
            message_bytes_max: options
                .own("answer-max", "a number of bytes")?
                .unwrap_or(ANSWER_BYTES_MAX),
            messages: Messages {
                encoding,
                is_text: kind == MessageKind::Text && !pings,
                pings,
            },
        })
    }

    fn nib(&self, dialer: Dialer, seat: &Seat<'_>) -> WebSocket {
        let started_unix_ns = seat.clock.started_unix_ns();
        let pushed = |sent_at| Box::new(Pushed::new(sent_at, started_unix_ns));
        WebSocket {
            pushed: self.sent_at.as_ref().map(pushed),
            links: Links::new(dialer, self.streams),
            strings: seat.strings.clone(),
            texts: Texts::new(seat.strings, self.message_bytes_max),
            opening: Arc::clone(&self.opening),
            rules: self.rules.clone(),
            message_bytes_max: self.message_bytes_max,
            random: Xoshiro256PlusPlus::seed_from_u64(seat.number as u64),
        }
    }

    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(self.messages))
    }

    fn streams(&self) -> u32 {
        self.streams
    }
}

/// The nib of one event loop.
#[derive(Debug)]
pub struct WebSocket {
    links: Links<Link>,
    strings: Strings,
    texts: Texts,
    opening: Arc<Opening>,
    rules: Rules,
    /// Measures messages that have their time, if that is wanted.
    pushed: Option<Box<Pushed>>,
    message_bytes_max: u64,
    random: Xoshiro256PlusPlus,
}

/// A worker's place in a link.
#[derive(Debug, Default)]
pub struct Place {
    /// The group of workers with which it shares links.
    group: u32,
    /// The link of its running hit, and the hit's ticket on it.
    on: Option<(u32, u64)>,
    /// The address of its last hit.
    address: StringId,
    /// When the look-up of its address began, if there is one.
    looked_up_ns: Option<u64>,
    /// How often its hit was moved to another link before it was sent.
    moves: u32,
    kept: Kept,
}

impl WebSocket {
    /// The handshake of a connection to this address.
    fn ask(&mut self, address: StringId) -> Ask {
        let address = self.strings.get(address);
        self.opening.ask(address.as_deref(), &mut self.random)
    }

    /// Appends the hit to the running ones of a link, which is opened if necessary.
    fn enqueue(&mut self, place: &mut Place, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        place.address = shot.address;
        let Payload::Memory(payload) = &shot.payload else {
            return shot.fail(code::PAYLOAD, self.texts.payload, io);
        };
        let payload = payload.clone();
        let ask = self.ask(shot.address);
        let limit = self.message_bytes_max;
        let reached = self.links.reach(place.group, shot, io, |link| {
            link.begin(ask, limit);
        });
        let number = match reached {
            Ok(number) => number,
            Err(NotOpened::Pending) => {
                place.looked_up_ns = Some(io.clock.now_ns());
                return Step::Running;
            }
            Err(NotOpened::Failed(code, text)) => return shot.fail(code, text, io),
        };
        let link = &mut self.links[number];
        if link.is_agreed() {
            shot.hit.connected_ns = shot.hit.started_ns.max(1);
        }
        place.on = Some((number, link.queue.push(io.worker, payload)));
        self.links.note_change(number);
        Step::Running
    }

    /// Tries the next address for the hits that wait on the link.
    fn reopen(&mut self, number: u32, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        let worker = self.links[number].queue.workers().next();
        let Some((_, shot)) = worker.and_then(|worker| hits.get(worker)) else {
            return self.break_link(number, Broken::GivenUp, hits, io);
        };
        let ask = self.ask(shot.address);
        let limit = self.message_bytes_max;
        let opened = self.links.open(number, shot, io, |link| {
            link.begin(ask, limit);
        });
        if let Err(NotOpened::Failed(code, text)) = opened {
            self.end_all(number, hits, io, |_| (code, text, 0));
        }
    }

    /// Ends all hits of a link that can't be used any more.
    fn break_link(
        &mut self,
        number: u32,
        broken: Broken,
        hits: &mut dyn Hits<Place>,
        io: &mut Io<'_>,
    ) {
        let link = &mut self.links[number];
        link.say_last(&broken);
        let unsent = match link.is_agreed() {
            true => link.queue.take_unsent(),
            false => Vec::new(),
        };
        let (is_reused, is_agreed) = (link.is_reused(), link.is_agreed());
        let is_gone = matches!(
            broken,
            Broken::Stream(
                StreamError::Closed | StreamError::System(Errno::CONNRESET | Errno::PIPE)
            )
        );
        let mut status = 0;
        let (code, text) = match broken {
            Broken::Stream(StreamError::Closed) if !is_agreed => {
                (code::CLOSED_EARLY, self.texts.closed_in_handshake)
            }
            Broken::Stream(error) => self.links.explain(number, error),
            Broken::Handshake(error) => {
                let code = match error {
                    HandshakeError::TooLong => code::HEAD_TOO_LONG,
                    _ => code::PROTOCOL,
                };
                if let HandshakeError::Status(answered) = error {
                    status = answered;
                }
                (code, self.strings.intern(&format!("WebSocket: {error}")))
            }
            Broken::Protocol(error) if error.code == CloseCode::TOO_LONG => {
                (code::PROTOCOL, self.texts.too_long)
            }
            Broken::Protocol(error) => {
                let text = format!("WebSocket: {error}");
                (code::PROTOCOL, self.strings.intern(&text))
            }
            Broken::Closed(why) => (code::CLOSED_EARLY, self.texts.closed(&why)),
            Broken::GivenUp => (code::CLOSED_EARLY, self.texts.given_up),
        };
        let stale = (code::STALE, self.texts.stale, 0);
        self.end_all(number, hits, io, |shot| {
            match is_gone && is_reused && shot.hit.received_bytes == 0 {
                true => stale,
                false => (code, text, status),
            }
        });
        self.move_on(unsent, (code, text), hits, io);
    }

    /// Moves hits that weren't sent on an open link to another one.
    fn move_on(
        &mut self,
        workers: Vec<u32>,
        (code, text): (u16, StringId),
        hits: &mut dyn Hits<Place>,
        io: &mut Io<'_>,
    ) {
        for worker in workers {
            let Some((place, shot)) = hits.get(worker) else {
                continue;
            };
            place.on = None;
            place.moves += 1;
            let step = as_worker(worker, io, |io| match place.moves > MOVES_MAX {
                true => shot.fail(code, text, io),
                false => self.enqueue(place, shot, io),
            });
            if step == Step::Done {
                hits.end(worker);
            }
        }
    }

    fn end_all(
        &mut self,
        number: u32,
        hits: &mut dyn Hits<Place>,
        io: &Io<'_>,
        why: impl Fn(&Shot) -> (u16, StringId, u16),
    ) {
        self.links.let_go(number);
        for worker in self.links[number].close() {
            if let Some((place, shot)) = hits.get(worker) {
                place.on = None;
                let (code, text, status) = why(shot);
                shot.hit.protocol_code = status;
                shot.fail(code, text, io);
                hits.end(worker);
            }
        }
        self.links.free(number);
    }

    /// Reads, and sends what is due.
    fn turn(&mut self, number: u32, reads: bool, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        let head_bytes_max = self.links.dialer.settings().head_bytes_max;
        let link = &mut self.links[number];
        if link.dialed().phase != Phase::Open {
            return;
        }
        let again = match reads {
            true => {
                let pushed = self.pushed.as_deref_mut();
                link.read(&self.rules, &self.opening, head_bytes_max, pushed, hits, io)
            }
            false => Ok(false),
        };
        let again = again.and_then(|again| Ok(link.write(&self.rules, hits, io)? || again));
        match again {
            Ok(true) => self.links.note_unread(number),
            Ok(false) => {}
            Err(broken) => self.break_link(number, broken, hits, io),
        }
    }
}

impl Nib for WebSocket {
    type Connection = Place;

    const SHARED: bool = true;

    fn connection(&mut self) -> Place {
        Place {
            group: self.links.join(),
            ..Place::default()
        }
    }

    fn start(&mut self, place: &mut Place, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        place.kept.expect(shot.keep);
        place.moves = 0;
        self.enqueue(place, shot, io)
    }

    /// Workers have no sockets of their own.
    fn ready(&mut self, _: &mut Place, _: Option<&mut Shot>, _: Readiness, _: &mut Io<'_>) -> Step {
        Step::Running
    }

    fn wake(&mut self, place: &mut Place, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        let Some(since_ns) = place.looked_up_ns.take() else {
            return Step::Running;
        };
        note_lookup(shot, since_ns, io);
        self.enqueue(place, shot, io)
    }

    fn abandon(&mut self, place: &mut Place) {
        place.looked_up_ns = None;
        let streams = self.links.streams();
        let number = match place.on.take() {
            Some((number, ticket)) => {
                self.links[number].give_up(ticket, streams);
                number
            }
            // Between hits, a worker closes a connection that only it uses.
            None => match self.links.let_down_own(place.group, place.address) {
                Some(number) => number,
                None => return,
            },
        };
        if self.links[number].is_broken() {
            self.links.note_change(number);
        }
    }

    fn woken(&mut self, workers: &mut Vec<u32>) {
        self.links.dialer.woken(workers);
    }

    fn ready_shared(
        &mut self,
        number: u32,
        readiness: Readiness,
        hits: &mut dyn Hits<Place>,
        io: &mut Io<'_>,
    ) {
        let Some(link) = self.links.that(number, readiness.number) else {
            return;
        };
        let now_ns = io.clock.now_ns();
        let was_connecting = link.dialed().phase == Phase::Connecting;
        match link.dialed_mut().go_on(readiness.closed, now_ns) {
            Ok(None) => {}
            Ok(Some(since_ns)) => link.note_tls(since_ns, io.clock.now_ns(), hits),
            Err(error) if was_connecting && self.links.passes_over(number, &error, now_ns) => {
                return self.reopen(number, hits, io);
            }
            Err(error) => return self.break_link(number, error.into(), hits, io),
        }
        self.turn(number, readiness.readable || readiness.closed, hits, io);
    }

    fn flush(&mut self, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        while let Some(number) = self.links.next_changed() {
            match self.links[number].take_change() {
                Some(broken) => self.break_link(number, broken, hits, io),
                None => self.turn(number, false, hits, io),
            }
        }
    }

    fn next_instant(&self) -> u64 {
        self.links.next_instant()
    }

    fn due(&mut self, now_ns: u64, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        for number in self.links.take_unread() {
            self.turn(number, true, hits, io);
        }
        while let Some(number) = self.links.next_due(now_ns) {
            if self.links.passes_over_silent(number, now_ns) {
                self.reopen(number, hits, io);
            }
        }
    }

    fn response<'a>(&self, place: &'a Place) -> Response<'a> {
        place.kept.response()
    }

    fn received<'a>(&self, place: &'a Place) -> &'a [u8] {
        place.kept.received()
    }

    fn take_measured(&mut self) -> Measured {
        match &mut self.pushed {
            Some(pushed) => pushed.take(),
            None => Measured::default(),
        }
    }

    fn fatal(&self) -> Option<Fatal> {
        self.links.dialer.fatal()
    }
}
