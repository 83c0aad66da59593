//! Lines over TCP that the peer sends back, many of them on one connection: a
//! small protocol whose workers share links.
//!
//! A record is a line. It goes out behind those that are on their way, and the
//! answers come in the same order. A hit that is given up leaves its place in
//! that order: its answer is nobody's when it comes.

mod link;

use std::collections::HashMap;
use std::sync::Arc;

use encarno_nib::{
    BadOption, Dialer, Form, Hits, Io, Kept, Kind, NetworkProtocol, Nib, NoPeer, Options, Prepare,
    Readiness, Response, Scheme, Seat, Shot, Step, note_lookup,
};
use encarno_record::{Payload, StringId, Strings, code};
use link::{Broken, Link};
use rustix::io::Errno;

/// Hits on one link at a time, unless said otherwise.
const STREAMS: u32 = 16;

/// Lines that come back.
#[derive(Clone, Copy, Debug)]
pub struct EchoProtocol {
    /// So many workers share a connection.
    pub streams: u32,
}

impl NetworkProtocol for EchoProtocol {
    type Nib = Echo;

    const KIND: &'static Kind = &Kind {
        name: "echo",
        aliases: &[],
        schemes: &[Scheme::new("echo", None)],
        form: Form::Bytes,
        tls: None,
        network: true,
        options: &["streams"],
    };

    fn new(options: &Options) -> Result<Self, BadOption> {
        let streams = options.streams(STREAMS)?;
        Ok(Self { streams })
    }

    fn nib(&self, dialer: Dialer, seat: &Seat<'_>) -> Echo {
        Echo {
            dialer,
            texts: Texts::new(seat.strings),
            streams: self.streams,
            places: 0,
            links: Vec::new(),
            by_address: HashMap::new(),
            spare: Vec::new(),
            changed: Vec::new(),
            unread: Vec::new(),
        }
    }

    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Line))
    }

    fn streams(&self) -> u32 {
        self.streams
    }
}

/// Makes a line of a payload.
#[derive(Debug)]
struct Line;

impl Prepare for Line {
    fn prepare(&self, payload: Payload) -> Result<Payload, String> {
        let Payload::Memory(bytes) = payload else {
            return Err("a line this long isn't held in memory".to_owned());
        };
        match bytes.iter().position(|&byte| byte == b'\n') {
            Some(at) if at + 1 == bytes.len() => Ok(Payload::Memory(bytes)),
            Some(_) => Err("an echo is of one line: this record has more".to_owned()),
            None => {
                let line = [&bytes[..], b"\n"].concat();
                Ok(Payload::Memory(line.into()))
            }
        }
    }
}

/// The echo nib of one event loop.
#[derive(Debug)]
pub struct Echo {
    dialer: Dialer,
    texts: Texts,
    streams: u32,
    /// Workers there are.
    places: u32,
    links: Vec<Link>,
    /// The links by their groups of workers and where they lead to.
    by_address: HashMap<(u32, StringId), u32>,
    /// Links that broke, and that no group has any more.
    spare: Vec<u32>,
    /// Links on which something is to be sent, or to be ended.
    changed: Vec<u32>,
    /// Links that may have more to read.
    unread: Vec<u32>,
}

/// A worker's place in a link.
#[derive(Debug, Default)]
pub struct Place {
    /// Which workers it shares links with.
    group: u32,
    /// The link of its running hit, and the hit's number on it.
    on: Option<(u32, u64)>,
    /// When its address began to be looked up, if it is.
    looked_up_ns: Option<u64>,
    kept: Kept,
}

/// What can go wrong, each interned once.
#[derive(Debug)]
struct Texts {
    other_line: StringId,
    unasked: StringId,
    overdue: StringId,
    payload: StringId,
}

impl Texts {
    fn new(strings: &Strings) -> Self {
        Self {
            other_line: strings.intern("the answer isn't the line that was sent"),
            unasked: strings.intern("an answer came that nothing was sent for"),
            overdue: strings.intern("too many answers are missing on this connection"),
            payload: strings.intern("the record isn't a line"),
        }
    }
}

impl Echo {
    /// Puts the hit behind those that are on their way, over a link that is
    /// opened if it has to be.
    fn enqueue(&mut self, place: &mut Place, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        let Payload::Memory(line) = &shot.payload else {
            return shot.fail(code::PAYLOAD, self.texts.payload, io);
        };
        let line = line.clone();
        if !line.ends_with(b"\n") || line[..line.len() - 1].contains(&b'\n') {
            return shot.fail(code::PAYLOAD, self.texts.payload, io);
        }
        let number = self.link_for(place.group, shot.address);
        if !self.links[number as usize].is_there() {
            let route = match self.dialer.dial(shot, io, None) {
                Ok(route) => route,
                Err(NoPeer::Pending) => {
                    place.looked_up_ns = Some(io.clock.now_ns());
                    return Step::Running;
                }
                Err(NoPeer::Failed(code, text)) => return shot.fail(code, text, io),
            };
            let link = &mut self.links[number as usize];
            link.peer = Some(route.peer.clone());
            let opened = self.dialer.connect(&route);
            let opened = opened.and_then(|stream| link.open(number, stream, io));
            if let Err(error) = opened {
                let (code, text) = self.dialer.explain(error, Some(&route.peer));
                return shot.fail(code, text, io);
            }
        }
        let link = &mut self.links[number as usize];
        if link.is_open() {
            shot.hit.connected_ns = io.clock.now_ns();
        }
        place.on = Some((number, link.push(io.worker, &line)));
        if link.note_change() {
            self.changed.push(number);
        }
        Step::Running
    }

    /// The link of a group of workers to an address. One that broke is left to
    /// its hits, until they are ended.
    fn link_for(&mut self, group: u32, address: StringId) -> u32 {
        if let Some(&number) = self.by_address.get(&(group, address))
            && !self.links[number as usize].is_broken()
        {
            return number;
        }
        let number = self.spare.pop().unwrap_or_else(|| {
            self.links.push(Link::default());
            self.links.len() as u32 - 1
        });
        self.by_address.insert((group, address), number);
        number
    }

    /// Ends all hits of a link that is of no use any more.
    fn break_link(&mut self, number: u32, broken: Broken, hits: &mut dyn Hits<Place>, io: &Io<'_>) {
        let (code, text) = match broken {
            Broken::Stream(error) => {
                let peer = self.links[number as usize].peer.as_ref();
                self.dialer.explain(error, peer)
            }
            Broken::Unasked => (code::PROTOCOL, self.texts.unasked),
            Broken::OtherLine => (code::PROTOCOL, self.texts.other_line),
            Broken::Overdue => (code::CLOSED_EARLY, self.texts.overdue),
        };
        for worker in self.links[number as usize].close() {
            if let Some((place, shot)) = hits.get(worker) {
                place.on = None;
                shot.fail(code, text, io);
                hits.end(worker);
            }
        }
        if !self.by_address.values().any(|&other| other == number) {
            self.spare.push(number);
        }
    }

    fn read(&mut self, number: u32, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        let other_line = self.texts.other_line;
        let link = &mut self.links[number as usize];
        let result = link.read(io, |worker, line, now_ns| {
            let Some((place, shot)) = hits.get(worker) else {
                return;
            };
            place.on = None;
            place.kept.wire(line);
            place.kept.body(line);
            let hit = &mut shot.hit;
            hit.first_byte_ns = now_ns;
            hit.ended_ns = now_ns;
            hit.received_bytes = line.len() as u64;
            if !matches!(&shot.payload, Payload::Memory(sent) if sent == line) {
                hit.net_code = code::PROTOCOL;
                hit.error = other_line;
            }
            hits.end(worker);
        });
        match result {
            Ok(true) => self.unread.push(number),
            Ok(false) => {}
            Err(broken) => self.break_link(number, broken, hits, io),
        }
    }

    fn write(&mut self, number: u32, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        let now_ns = || io.clock.now_ns();
        let result = self.links[number as usize].write(|worker| {
            if let Some((_, shot)) = hits.get(worker) {
                shot.hit.sent_ns = now_ns();
                shot.hit.sent_bytes = shot.payload.len();
            }
        });
        if let Err(broken) = result {
            self.break_link(number, broken, hits, io);
        }
    }
}

impl Nib for Echo {
    type Connection = Place;

    const SHARED: bool = true;

    fn connection(&mut self) -> Place {
        let group = self.places / self.streams;
        self.places += 1;
        Place {
            group,
            ..Place::default()
        }
    }

    fn start(&mut self, place: &mut Place, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        place.kept.expect(shot.keep);
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
        let Some((number, hit)) = place.on.take() else {
            return;
        };
        let link = &mut self.links[number as usize];
        if link.give_up(hit, self.streams) && link.note_change() {
            self.changed.push(number);
        }
    }

    fn woken(&mut self, workers: &mut Vec<u32>) {
        self.dialer.woken(workers);
    }

    fn ready_shared(
        &mut self,
        number: u32,
        readiness: Readiness,
        hits: &mut dyn Hits<Place>,
        io: &mut Io<'_>,
    ) {
        let Some(link) = self.links.get_mut(number as usize) else {
            return;
        };
        if !link.is_that(readiness.number) {
            return;
        }
        match link.connected() {
            Ok(Some(workers)) => {
                let now_ns = io.clock.now_ns();
                for worker in workers {
                    if let Some((_, shot)) = hits.get(worker) {
                        shot.hit.connected_ns = now_ns;
                    }
                }
            }
            Ok(None) => {}
            Err(broken) => return self.break_link(number, broken, hits, io),
        }
        if readiness.writable {
            self.write(number, hits, io);
        }
        if readiness.readable {
            self.read(number, hits, io);
        }
    }

    fn flush(&mut self, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        while let Some(number) = self.changed.pop() {
            match self.links[number as usize].take_change() {
                Some(broken) => self.break_link(number, broken, hits, io),
                None => self.write(number, hits, io),
            }
        }
    }

    fn next_instant(&self) -> u64 {
        if self.unread.is_empty() { u64::MAX } else { 0 }
    }

    fn due(&mut self, _: u64, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        for number in std::mem::take(&mut self.unread) {
            self.read(number, hits, io);
        }
    }

    fn response<'a>(&self, place: &'a Place) -> Response<'a> {
        place.kept.response()
    }

    fn received<'a>(&self, place: &'a Place) -> &'a [u8] {
        place.kept.received()
    }

    fn fatal(&self) -> Option<Errno> {
        self.dialer.fatal()
    }
}
