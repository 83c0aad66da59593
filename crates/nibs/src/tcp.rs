//! Streams of bytes, plain and with TLS. Bytes go out, and the options say where the
//! answer ends.
//!
//! Several workers may share a connection (`streams`): their payloads are sent one after
//! the other, and the answers come in the same order. A hit that is given up keeps its
//! place in that order, and its answer is ignored. If each worker has its own connection,
//! that connection is closed instead.
//!
//! - ending: where an answer ends
//! - link: one connection, with its running hits
//! - fuzz: the entry points of the fuzz targets

mod ending;
#[doc(hidden)]
pub mod fuzz;
mod link;

use std::sync::Arc;

use encarno_nib::stream::StreamError;
use encarno_nib::{
    BadOption, Dialer, Encoding, Fatal, Form, Hits, Io, Kept, Kind, NetworkProtocol, Nib, Options,
    Prepare, Readiness, Response, Scheme, Seat, Shot, Step, note_lookup,
};
use encarno_record::{Payload, StringId, Strings, code};
use ending::Bad;
pub(crate) use ending::{ANSWER_BYTES_MAX, Search};
pub use ending::{Ending, Pattern, Prefix};
use link::{Broken, Heard, Link};
use rustix::io::Errno;

use crate::links::{Link as _, Links, NotOpened, Phase, note_handshake};

/// Byte streams, and where answers end in them.
#[derive(Clone, Debug)]
pub struct TcpProtocol {
    /// Where an answer ends.
    pub ending: Ending,
    /// The longest answer.
    pub answer_bytes_max: u64,
    /// The number of workers that share a connection.
    pub streams: u32,
    /// How payloads represent bytes.
    pub encoding: Encoding,
    /// The bytes that are sent after each payload.
    pub append: Arc<[u8]>,
}

impl NetworkProtocol for TcpProtocol {
    type Nib = Tcp;

    const KIND: &'static Kind = &Kind {
        name: "tcp",
        aliases: &["tls"],
        schemes: &[
            Scheme::new("tcp", None),
            Scheme::with_tls("tls", None),
            Scheme::unix("tcp+unix"),
        ],
        form: Form::Bytes,
        tls: Some(&[]),
        network: true,
        options: &[
            "answer",
            "answer-until",
            "answer-match",
            "answer-length",
            "answer-bytes",
            "answer-close",
            "answer-silence",
            "answer-max",
            "streams",
            "payload",
            "append",
        ],
    };

    fn new(options: &Options) -> Result<Self, BadOption> {
        let ending = Ending::of(options)?;
        let streams = options.streams(1)?;
        if streams > 1 && !ending.can_pipeline() {
            let reason = "answers that end when the peer closes, or is silent, can't follow each other \
                          on one connection: leave it out";
            return Err(BadOption::new("streams", reason));
        }
        let append = options.own.get("append").map_or("", String::as_str);
        let append = Encoding::Escaped.decode(append.as_bytes());
        Ok(Self {
            ending,
            answer_bytes_max: options
                .own("answer-max", "a number of bytes")?
                .unwrap_or(ANSWER_BYTES_MAX),
            streams,
            encoding: options
                .own("payload", "text, escaped, hex or base64")?
                .unwrap_or(Encoding::Text),
            append: append
                .map_err(|reason| BadOption::new("append", reason))?
                .into(),
        })
    }

    fn nib(&self, dialer: Dialer, seat: &Seat<'_>) -> Tcp {
        let answers = Answers {
            ending: self.ending.clone(),
            bytes_max: self.answer_bytes_max,
            are_echoes: false,
        };
        Tcp::new(dialer, seat, self.streams, answers)
    }

    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        let is_plain = self.encoding == Encoding::Text && self.append.is_empty();
        (!is_plain).then(|| -> Arc<dyn Prepare> {
            Arc::new(Encoded {
                encoding: self.encoding,
                append: Arc::clone(&self.append),
            })
        })
    }

    fn streams(&self) -> u32 {
        self.streams
    }
}

/// Decodes payloads into bytes.
#[derive(Debug)]
struct Encoded {
    encoding: Encoding,
    append: Arc<[u8]>,
}

impl Prepare for Encoded {
    fn prepare(&self, payload: Payload) -> Result<Payload, String> {
        let Payload::Memory(text) = payload else {
            return Err(
                "a payload this long is sent as it is: leave payload and append out".to_owned(),
            );
        };
        let mut bytes = self.encoding.decode(&text)?;
        bytes.extend_from_slice(&self.append);
        Ok(Payload::Memory(bytes.into()))
    }
}

/// The properties of answers.
#[derive(Clone, Debug)]
pub(crate) struct Answers {
    /// Where an answer ends.
    pub(crate) ending: Ending,
    /// The longest answer.
    pub(crate) bytes_max: u64,
    /// Whether each answer must be the line that was sent.
    pub(crate) are_echoes: bool,
}

/// The nib of one event loop.
#[derive(Debug)]
pub struct Tcp {
    links: Links<Link>,
    strings: Strings,
    texts: Texts,
    answers: Answers,
}

/// A worker's place in a link.
#[derive(Debug, Default)]
pub struct Place {
    /// The group of workers with which it shares links.
    group: u32,
    /// The link of its running hit, and the hit's number on it.
    on: Option<(u32, u64)>,
    /// The address of its last hit.
    address: StringId,
    /// When the look-up of its address began, if there is one.
    looked_up_ns: Option<u64>,
    /// Whether the answer so far equals what was sent.
    is_same: bool,
    kept: Kept,
}

/// Error texts, each interned once.
#[derive(Debug)]
struct Texts {
    closed_in_handshake: StringId,
    stale: StringId,
    unasked: StringId,
    too_long: StringId,
    given_up: StringId,
    payload: StringId,
    other_line: StringId,
    no_line: StringId,
}

impl Texts {
    fn new(strings: &Strings, answers: &Answers) -> Self {
        let other_line = "the answer isn't the line that was sent";
        let too_long = match answers.are_echoes {
            true => other_line.to_owned(),
            false => format!(
                "the answer has no end within {} bytes: answer-max allows more",
                answers.bytes_max
            ),
        };
        Self {
            closed_in_handshake: strings.intern("connection closed during the TLS handshake"),
            stale: strings.intern("kept connection closed by the peer before an answer"),
            unasked: strings.intern("bytes arrived without a request"),
            too_long: strings.intern(&too_long),
            given_up: strings.intern("too many answers are missing on this connection"),
            payload: strings.intern("the record's file can't be read"),
            other_line: strings.intern(other_line),
            no_line: strings.intern("the record isn't a line"),
        }
    }
}

impl Tcp {
    pub(crate) fn new(dialer: Dialer, seat: &Seat<'_>, streams: u32, answers: Answers) -> Self {
        Self {
            links: Links::new(dialer, streams),
            strings: seat.strings.clone(),
            texts: Texts::new(seat.strings, &answers),
            answers,
        }
    }

    /// Appends the hit to the running ones of a link, which is opened if necessary.
    fn enqueue(&mut self, place: &mut Place, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        place.address = shot.address;
        // A script may have inserted a line end.
        if self.answers.are_echoes && !is_line(&shot.payload) {
            return shot.fail(code::PAYLOAD, self.texts.no_line, io);
        }
        let reached = self.links.reach(place.group, shot, io, |_| {});
        let number = match reached {
            Ok(number) => number,
            Err(NotOpened::Pending) => {
                place.looked_up_ns = Some(io.clock.now_ns());
                return Step::Running;
            }
            Err(NotOpened::Failed(code, text)) => return shot.fail(code, text, io),
        };
        let link = &mut self.links[number];
        if link.dialed().phase == Phase::Open {
            shot.hit.connected_ns = shot.hit.started_ns.max(1);
        }
        place.on = Some((number, link.push(io.worker, shot.payload.clone())));
        self.links.note_change(number);
        Step::Running
    }

    /// Tries the next address for the hits that wait on the link.
    fn reopen(&mut self, number: u32, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        let worker = self.links[number].workers().next();
        let Some((_, shot)) = worker.and_then(|worker| hits.get(worker)) else {
            return self.break_link(number, Broken::GivenUp, hits, io);
        };
        if let Err(NotOpened::Failed(code, text)) = self.links.open(number, shot, io, |_| {}) {
            self.end_all(number, hits, io, |_| (code, text));
        }
    }

    /// Ends all hits of a link that can't be used any more.
    fn break_link(&mut self, number: u32, broken: Broken, hits: &mut dyn Hits<Place>, io: &Io<'_>) {
        let link = &mut self.links[number];
        let is_close = matches!(broken, Broken::Stream(StreamError::Closed));
        let ends = match self.answers.ending {
            Ending::Close => link.dialed().phase == Phase::Open,
            Ending::Silence(_) => link.has_begun(),
            _ => false,
        };
        if is_close && ends {
            self.end_answer(number, io.clock.now_ns(), hits);
        }
        let link = &self.links[number];
        let (reused, begun, phase) = (link.is_reused(), link.has_begun(), link.dialed().phase);
        let is_gone = is_close
            || matches!(
                broken,
                Broken::Stream(StreamError::System(Errno::CONNRESET | Errno::PIPE))
            );
        let (code, text) = match broken {
            Broken::Stream(StreamError::Closed) if matches!(phase, Phase::Handshaking { .. }) => {
                (code::CLOSED_EARLY, self.texts.closed_in_handshake)
            }
            Broken::Stream(error) => self.links.explain(number, error),
            Broken::Unasked => (code::PROTOCOL, self.texts.unasked),
            Broken::Bad(Bad::TooLong) => (code::PROTOCOL, self.texts.too_long),
            Broken::Bad(Bad::Length(length)) => {
                let text = format!("the answer's length is {length}, which is impossible");
                (code::PROTOCOL, self.strings.intern(&text))
            }
            Broken::GivenUp => (code::CLOSED_EARLY, self.texts.given_up),
            Broken::Payload => (code::PAYLOAD, self.texts.payload),
        };
        let stale = (code::STALE, self.texts.stale);
        self.end_all(number, hits, io, |is_first| match is_gone && reused {
            true if !(is_first && begun) => stale,
            _ => (code, text),
        });
    }

    fn end_all(
        &mut self,
        number: u32,
        hits: &mut dyn Hits<Place>,
        io: &Io<'_>,
        why: impl Fn(bool) -> (u16, StringId),
    ) {
        self.links.let_go(number);
        for (place, worker) in self.links[number].close().into_iter().enumerate() {
            if let Some((seat, shot)) = hits.get(worker) {
                seat.on = None;
                let (code, text) = why(place == 0);
                shot.fail(code, text, io);
                hits.end(worker);
            }
        }
        self.links.free(number);
    }

    /// Ends the first hit, whose answer is complete.
    fn end_answer(&mut self, number: u32, ended_ns: u64, hits: &mut dyn Hits<Place>) {
        let Some(worker) = self.links[number].end_first() else {
            return;
        };
        if let Some((place, shot)) = hits.get(worker) {
            place.on = None;
            shot.hit.ended_ns = ended_ns;
            hits.end(worker);
        }
    }

    fn read(&mut self, number: u32, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        let link = &mut self.links[number];
        let had_ns = link.heard_ns;
        let Answers {
            ending, are_echoes, ..
        } = &self.answers;
        let other_line = self.texts.other_line;
        let result = link.read(
            io,
            ending,
            self.answers.bytes_max,
            |heard, now_ns| match heard {
                Heard::Part(worker, bytes) => {
                    if let Some((place, shot)) = hits.get(worker) {
                        place.kept.wire(bytes);
                        place.kept.body(bytes);
                        if shot.hit.received_bytes == 0 {
                            shot.hit.first_byte_ns = now_ns;
                        }
                        if *are_echoes {
                            let at = shot.hit.received_bytes as usize;
                            place.is_same &= is_at(&shot.payload, at, bytes);
                        }
                        shot.hit.received_bytes += bytes.len() as u64;
                    }
                }
                Heard::End(worker) => {
                    if let Some((place, shot)) = hits.get(worker) {
                        place.on = None;
                        shot.hit.ended_ns = now_ns;
                        let is_whole = shot.hit.received_bytes == shot.payload.len();
                        if *are_echoes && !(place.is_same && is_whole) {
                            shot.hit.net_code = code::PROTOCOL;
                            shot.hit.error = other_line;
                        }
                        hits.end(worker);
                    }
                }
            },
        );
        if let Ending::Silence(time) = self.answers.ending
            && link.heard_ns != had_ns
            && link.has_begun()
        {
            let due_ns = link.heard_ns + time.as_nanos() as u64;
            self.links.look_at(number, due_ns);
        }
        match result {
            Ok(true) => self.links.note_unread(number),
            Ok(false) => {}
            Err(broken) => self.break_link(number, broken, hits, io),
        }
    }

    fn write(&mut self, number: u32, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        let clock = *io.clock;
        let ends = matches!(self.answers.ending, Ending::None);
        let link = &mut self.links[number];
        let result = link.write(io, |worker, bytes| {
            if let Some((place, shot)) = hits.get(worker) {
                shot.hit.sent_ns = clock.now_ns();
                shot.hit.sent_bytes = bytes;
                if ends {
                    place.on = None;
                    shot.hit.ended_ns = shot.hit.sent_ns;
                    hits.end(worker);
                }
            }
        });
        if ends {
            link.forget_left();
        }
        match result {
            Ok(true) => self.links.note_unread(number),
            Ok(false) => {}
            // The peer may have answered before it closed, so read first.
            Err(Broken::Stream(StreamError::System(Errno::PIPE | Errno::CONNRESET))) => {
                self.read(number, hits, io);
            }
            Err(broken) => self.break_link(number, broken, hits, io),
        }
    }

    /// Visits a link whose instant has come.
    fn look(&mut self, number: u32, now_ns: u64, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        if self.links.passes_over_silent(number, now_ns) {
            return self.reopen(number, hits, io);
        }
        let link = &self.links[number];
        match (link.dialed().phase, &self.answers.ending) {
            // Data may have arrived that weren't read yet.
            (Phase::Open, Ending::Silence(time))
                if link.has_begun() && link.heard_ns + time.as_nanos() as u64 <= now_ns =>
            {
                let heard_ns = link.heard_ns;
                self.end_answer(number, heard_ns, hits);
            }
            _ => {}
        }
    }
}

impl Nib for Tcp {
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
        place.is_same = true;
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
            Some((number, hit)) => {
                self.links[number].give_up(hit, streams);
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

    fn peer(&self, place: &Place) -> Option<String> {
        place.on.and_then(|(number, _)| self.links.peer(number))
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
            Ok(Some(since_ns)) => {
                let now_ns = io.clock.now_ns();
                let is_tls = link.dialed().is_tls();
                for worker in link.workers() {
                    if let Some((_, shot)) = hits.get(worker) {
                        let hit = &mut shot.hit;
                        hit.connected_ns = now_ns;
                        if is_tls {
                            note_handshake(hit, since_ns, now_ns);
                        }
                    }
                }
            }
            Err(error) if was_connecting && self.links.passes_over(number, &error, now_ns) => {
                return self.reopen(number, hits, io);
            }
            Err(error) => return self.break_link(number, error.into(), hits, io),
        }
        if self.links[number].dialed().phase != Phase::Open {
            return;
        }
        if readiness.writable {
            self.write(number, hits, io);
        }
        if readiness.readable && self.links.that(number, readiness.number).is_some() {
            self.read(number, hits, io);
        }
    }

    fn flush(&mut self, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        while let Some(number) = self.links.next_changed() {
            match self.links[number].take_change() {
                Some(broken) => self.break_link(number, broken, hits, io),
                None => self.write(number, hits, io),
            }
        }
    }

    fn next_instant(&self) -> u64 {
        self.links.next_instant()
    }

    fn due(&mut self, now_ns: u64, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        for number in self.links.take_unread() {
            self.write(number, hits, io);
            self.read(number, hits, io);
        }
        while let Some(number) = self.links.next_due(now_ns) {
            self.look(number, now_ns, hits, io);
        }
    }

    fn response<'a>(&self, place: &'a Place) -> Response<'a> {
        place.kept.response()
    }

    fn received<'a>(&self, place: &'a Place) -> &'a [u8] {
        place.kept.received()
    }

    fn fatal(&self) -> Option<Fatal> {
        self.links.dialer.fatal()
    }
}

/// Whether the payload is exactly one line, with its end.
fn is_line(payload: &Payload) -> bool {
    match payload {
        Payload::Memory(bytes) => {
            memchr::memchr(b'\n', bytes).map(|at| at + 1) == Some(bytes.len())
        }
        Payload::File { .. } => false,
    }
}

/// Whether a payload has these bytes at this place.
fn is_at(payload: &Payload, at: usize, bytes: &[u8]) -> bool {
    match payload {
        Payload::Memory(all) => all.get(at..).is_some_and(|rest| rest.starts_with(bytes)),
        Payload::File { .. } => false,
    }
}
