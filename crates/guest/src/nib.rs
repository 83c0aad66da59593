//! A protocol whose bytes a guest makes and understands. Sockets, times and records are
//! the host's.
//!
//! - framer: what has arrived, cut into what the guest needs
//! - instance: a guest that runs
//! - conversation: one connection between guest and peer, without IO
//! - link: the same with its socket
//! - texts: what can go wrong, in a bounded number of words

pub(crate) mod conversation;
#[doc(hidden)]
pub mod framer;
pub(crate) mod instance;

mod link;
mod texts;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use encarno_nib::stream::StreamError;
use encarno_nib::{
    BadOption, Dialer, Fatal, Form, Hits, Io, Kept, Kind, NetworkProtocol, Nib, Options, Prepare,
    Readiness, Response, Scheme, Seat, Shot, Step, note_lookup,
};
use encarno_nibs::links::{Link as _, Links, NotOpened, Phase, note_handshake};
use encarno_record::{Payload, StringId, code};
use rustix::io::Errno;

use self::conversation::{Broken as Ill, Ended, Rules};
use self::framer::Bad;
use self::instance::{Instance, Recipe, Traits};
use self::link::{Broken, Link};
use self::texts::Texts;
use crate::component::Loaded;
use crate::store::{Bounds, Fault};

/// A longer answer is an error unless said otherwise.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 << 20;
/// What a guest's memories may have unless said otherwise.
pub(crate) const MEMORY_MB: usize = 64;
/// After so many faults without a hit that ends well between them the run stops.
const FAULTS_MAX: u32 = 10;

/// A component that is a protocol.
#[derive(Clone, Debug)]
pub struct WasmProtocol {
    recipe: Recipe,
    rules: Rules,
    streams: u32,
    /// The one that prepares records; it is the one that was configured first.
    first: Arc<Mutex<Option<Instance>>>,
}

impl NetworkProtocol for WasmProtocol {
    type Nib = Wasm;

    const KIND: &'static Kind = &Kind {
        name: "wasm",
        aliases: &[],
        schemes: &[
            Scheme::new("tcp", None),
            Scheme::with_tls("tls", None),
            Scheme::unix("tcp+unix"),
        ],
        form: Form::Bytes,
        tls: Some(&[]),
        network: true,
        options: &[
            "wasm",
            "sha256",
            "settings",
            "memory-mb",
            "answer-max",
            "streams",
            "seed",
        ],
    };

    fn new(options: &Options) -> Result<Self, BadOption> {
        let Some(file) = options.own.get("wasm") else {
            let reason = "name the component: --nib FILE, or nib: {wasm: FILE}";
            return Err(BadOption::new("wasm", reason));
        };
        let sha256 = options.own.get("sha256").map(String::as_str);
        let settings = options.own.get("settings").map_or("", String::as_str);
        let memory_mb = options.own("memory-mb", "a number of MiB")?;
        let bounds = Bounds {
            memory_bytes: memory_mb.unwrap_or(MEMORY_MB).saturating_mul(1 << 20),
            seed: options.own("seed", "a whole number")?.unwrap_or(0),
            timeless: false,
        };
        let bad = |reason: String| BadOption::new("nib", reason);
        let loaded =
            Loaded::open(Path::new(file), sha256).map_err(|error| bad(error.to_string()))?;
        let recipe =
            Recipe::new(loaded, settings, bounds).map_err(|error| bad(error.to_string()))?;
        let (first, traits) = recipe
            .instance(0)
            .map_err(|fault| bad(format!("{file}: {fault}")))?;
        let streams = options.streams(1)?;
        if streams > traits.streams {
            let Traits { name, streams, .. } = traits;
            let reason = format!("{name} has {streams} at most on a connection");
            return Err(BadOption::new("streams", reason));
        }
        let answer_bytes_max = options.own("answer-max", "a number of bytes")?;
        Ok(Self {
            recipe,
            rules: Rules {
                traits,
                answer_bytes_max: answer_bytes_max.unwrap_or(ANSWER_BYTES_MAX),
            },
            streams,
            first: Arc::new(Mutex::new(Some(first))),
        })
    }

    fn nib(&self, dialer: Dialer, seat: &Seat<'_>) -> Wasm {
        Wasm {
            links: Links::new(dialer, self.streams),
            texts: Texts::new(seat.strings, self.rules.answer_bytes_max),
            recipe: self.recipe.clone(),
            rules: self.rules.clone(),
            number: seat.number as u64 + 1,
            instances: 0,
            guest: None,
            faults: 0,
            fatal: None,
        }
    }

    fn files(&self) -> Vec<(&'static str, &Path)> {
        vec![("the nib", &self.recipe.loaded.file)]
    }

    fn prepare(&self) -> Option<Arc<dyn Prepare>> {
        Some(Arc::new(Prepared {
            recipe: self.recipe.clone(),
            guest: Arc::clone(&self.first),
        }))
    }

    fn streams(&self) -> u32 {
        self.streams
    }
}

/// What a guest makes of records.
#[derive(Debug)]
struct Prepared {
    recipe: Recipe,
    guest: Arc<Mutex<Option<Instance>>>,
}

impl Prepare for Prepared {
    fn prepare(&self, payload: Payload) -> Result<Payload, String> {
        let Payload::Memory(entry) = payload else {
            return Err(
                "a payload this long isn't held in memory: a guest can't see it".to_owned(),
            );
        };
        let mut place = self.guest.lock().unwrap_or_else(PoisonError::into_inner);
        let mut guest = match place.take() {
            Some(guest) => guest,
            None => self.recipe.instance(0).map_err(|fault| fault.0)?.0,
        };
        // A guest that broke down isn't asked again: the next record gets another one.
        let prepared = guest.prepare(&entry).map_err(|fault| fault.0)?;
        *place = Some(guest);
        prepared.map(|bytes| Payload::Memory(bytes.into()))
    }
}

/// The nib of one event loop.
#[derive(Debug)]
pub struct Wasm {
    links: Links<Link>,
    texts: Texts,
    recipe: Recipe,
    rules: Rules,
    number: u64,
    /// Guests there were.
    instances: u64,
    guest: Option<Instance>,
    /// Since a hit ended well.
    faults: u32,
    fatal: Option<String>,
}

/// A worker's place in a link.
#[derive(Debug, Default)]
pub struct Place {
    /// Which workers it shares links with.
    group: u32,
    /// The link of its running hit, and the hit's number on it.
    on: Option<(u32, u32)>,
    /// The address of its last hit.
    address: StringId,
    /// When its address began to be looked up, if it is.
    looked_up_ns: Option<u64>,
    kept: Kept,
}

impl Wasm {
    /// Puts the hit behind those that are on their way, over a link that is
    /// opened if it has to be.
    fn enqueue(&mut self, place: &mut Place, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        place.address = shot.address;
        let Payload::Memory(prepared) = &shot.payload else {
            return shot.fail(code::PAYLOAD, self.texts.too_large, io);
        };
        let prepared = prepared.clone();
        let number = match self.links.reach(place.group, shot, io, |_| {}) {
            Ok(number) => number,
            Err(NotOpened::Pending) => {
                place.looked_up_ns = Some(io.clock.now_ns());
                return Step::Running;
            }
            Err(NotOpened::Failed(code, text)) => return shot.fail(code, text, io),
        };
        let link = &mut self.links[number];
        if link.talk.is_ready() {
            shot.hit.connected_ns = shot.hit.started_ns.max(1);
        }
        let keeps = shot.keep != Default::default();
        place.on = Some((number, link.talk.push(io.worker, prepared, keeps)));
        self.links.note_change(number);
        Step::Running
    }

    /// Tries the next address for the hits that wait on the link.
    fn reopen(&mut self, number: u32, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        let worker = self.links[number].talk.workers().next();
        let Some((_, shot)) = worker.and_then(|worker| hits.get(worker)) else {
            return self.break_link(number, Broken::GivenUp, hits, io);
        };
        if let Err(NotOpened::Failed(code, text)) = self.links.open(number, shot, io, |_| {}) {
            self.end_all(number, hits, io, |_| (code, text));
        }
    }

    /// Ends all hits of a link that is of no use any more.
    fn break_link(&mut self, number: u32, broken: Broken, hits: &mut dyn Hits<Place>, io: &Io<'_>) {
        if let Broken::Ill(Ill::Fault(fault)) = broken {
            return self.break_down(fault, hits, io);
        }
        let link = &self.links[number];
        let (ended, begun) = (link.talk.ended > 0, link.talk.has_begun());
        let phase = link.dialed().phase;
        let is_gone = matches!(
            broken,
            Broken::Stream(
                StreamError::Closed | StreamError::System(Errno::CONNRESET | Errno::PIPE)
            )
        );
        let texts = &mut self.texts;
        let (code, text) = match broken {
            Broken::Stream(StreamError::Closed) if matches!(phase, Phase::Handshaking { .. }) => {
                (code::CLOSED_EARLY, texts.closed_in_handshake)
            }
            Broken::Stream(error) => self.links.explain(number, error),
            Broken::GivenUp => (code::CLOSED_EARLY, texts.given_up),
            Broken::Ill(Ill::Unasked) => (code::PROTOCOL, texts.unasked),
            Broken::Ill(Ill::Bad(Bad::TooLong)) => (code::PROTOCOL, texts.too_long),
            Broken::Ill(Ill::Bad(Bad::Length(length))) => {
                let text = format!("a message's length says {length}, which can't be");
                (code::PROTOCOL, texts.own(&text))
            }
            Broken::Ill(Ill::Closed) => (code::PROTOCOL, texts.closed_by_guest),
            Broken::Ill(Ill::Stuck) => (code::PLUGIN, texts.stuck),
            Broken::Ill(Ill::Guest(text)) => (code::PLUGIN, texts.own(&text)),
            Broken::Ill(Ill::Fault(Fault(text))) => (code::PLUGIN, texts.own(&text)),
        };
        let stale = (code::STALE, self.texts.stale);
        self.end_all(number, hits, io, |is_first| match is_gone && ended {
            true if !(is_first && begun) => stale,
            _ => (code, text),
        });
    }

    /// The guest is of no use any more: all hits that it has fail, and the next hit gets
    /// another guest.
    #[cold]
    fn break_down(&mut self, fault: Fault, hits: &mut dyn Hits<Place>, io: &Io<'_>) {
        self.guest = None;
        self.faults += 1;
        if self.faults >= FAULTS_MAX && self.fatal.is_none() {
            let file = self.recipe.loaded.file.display();
            self.fatal = Some(format!(
                "{file}: the guest broke down {FAULTS_MAX} times in a row: {fault}; \
                 try encarno nib check {file}"
            ));
        }
        let text = self.texts.own(&fault.0);
        for number in self.links.numbers() {
            if self.links[number].dialed().is_there() {
                self.end_all(number, hits, io, |_| (code::PLUGIN, text));
            }
        }
    }

    fn end_all(
        &mut self,
        number: u32,
        hits: &mut dyn Hits<Place>,
        io: &Io<'_>,
        why: impl Fn(bool) -> (u16, StringId),
    ) {
        self.links.let_go(number);
        let (connection, workers) = self.links[number].talk.close();
        self.links[number].hang_up();
        for (place, worker) in workers.into_iter().enumerate() {
            if let Some((seat, shot)) = hits.get(worker) {
                seat.on = None;
                let (code, text) = why(place == 0);
                shot.fail(code, text, io);
                hits.end(worker);
            }
        }
        self.links.free(number);
        if let (Some(connection), Some(guest)) = (connection, &mut self.guest)
            && let Err(fault) = guest.drop_connection(connection)
        {
            self.break_down(fault, hits, io);
        }
    }

    /// The guest, of which there is one; a new one if the last one broke down.
    fn revive(&mut self) -> Result<(), Fault> {
        if self.guest.is_none() {
            // Each has random numbers of its own.
            let number = self.instances << 32 | self.number;
            self.instances += 1;
            let (guest, traits) = self.recipe.instance(number)?;
            if traits != self.rules.traits {
                return Err(Fault("the guest says other traits than before".to_owned()));
            }
            self.guest = Some(guest);
        }
        Ok(())
    }

    /// Has something done with a link and the guest; then what is to be sent is sent.
    fn with_guest(
        &mut self,
        number: u32,
        hits: &mut dyn Hits<Place>,
        io: &mut Io<'_>,
        act: impl FnOnce(
            &mut Link,
            &mut Instance,
            &Rules,
            &mut Io<'_>,
            &mut dyn FnMut(Ended<'_>, u64),
        ) -> Result<bool, Broken>,
    ) {
        if let Err(fault) = self.revive() {
            return self.break_down(fault, hits, io);
        }
        let Some(guest) = &mut self.guest else { return };
        let Self {
            links,
            texts,
            rules,
            faults,
            ..
        } = self;
        let link = &mut links[number];
        let had_wake_ns = link.talk.wake_at_ns;
        let acted = act(link, guest, rules, io, &mut |ended, now_ns| {
            if ended.error.is_none() {
                *faults = 0;
            }
            end(ended, now_ns, hits, texts);
        });
        let wake_at_ns = link.talk.wake_at_ns;
        if wake_at_ns != 0 && wake_at_ns != had_wake_ns {
            links.look_at(number, wake_at_ns);
        }
        match acted {
            Ok(true) => self.links.note_unread(number),
            Ok(false) => {}
            Err(broken) => return self.break_link(number, broken, hits, io),
        }
        self.write(number, hits, io);
    }

    /// Starts what can be started.
    fn start_hits(&mut self, number: u32, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        if !self.links[number].talk.is_ready() {
            return;
        }
        self.with_guest(number, hits, io, |link, guest, rules, io, ended| {
            let now_ns = io.clock.now_ns();
            let ended = &mut |hit: Ended<'_>| ended(hit, now_ns);
            link.talk.start(guest, rules, now_ns, ended)?;
            Ok(false)
        });
    }

    fn read(&mut self, number: u32, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        let was_ready = self.links[number].talk.is_ready();
        self.with_guest(number, hits, io, |link, guest, rules, io, ended| {
            link.read(guest, rules, io, ended)
        });
        self.note_ready(number, was_ready, hits, io);
    }

    /// Hits that waited for the guest's login begin.
    fn note_ready(
        &mut self,
        number: u32,
        was_ready: bool,
        hits: &mut dyn Hits<Place>,
        io: &mut Io<'_>,
    ) {
        let talk = &self.links[number].talk;
        if was_ready || !talk.is_ready() {
            return;
        }
        let now_ns = io.clock.now_ns();
        for worker in talk.workers() {
            if let Some((_, shot)) = hits.get(worker) {
                shot.hit.connected_ns = now_ns;
            }
        }
        self.start_hits(number, hits, io);
    }

    fn write(&mut self, number: u32, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        let clock = *io.clock;
        let written = self.links[number].write(|worker, bytes| {
            if let Some((_, shot)) = hits.get(worker) {
                shot.hit.sent_ns = clock.now_ns();
                shot.hit.sent_bytes += bytes;
            }
        });
        match written {
            Ok(true) => self.links.note_unread(number),
            Ok(false) => {}
            // The peer may have answered before it closed: that is read when its event comes.
            Err(Broken::Stream(StreamError::System(Errno::PIPE | Errno::CONNRESET))) => {
                self.links.note_unread(number);
            }
            Err(broken) => self.break_link(number, broken, hits, io),
        }
    }
}

/// A hit has ended as its guest says.
fn end(ended: Ended<'_>, now_ns: u64, hits: &mut dyn Hits<Place>, texts: &mut Texts) {
    let Some((place, shot)) = ended.worker.and_then(|worker| hits.get(worker)) else {
        return;
    };
    place.on = None;
    for part in ended.answer {
        place.kept.wire(part);
        place.kept.body(part);
    }
    let hit = &mut shot.hit;
    hit.protocol_code = ended.status;
    hit.received_bytes = ended.received_bytes;
    hit.first_byte_ns = ended.first_byte_ns.clamp(hit.started_ns, now_ns);
    hit.ended_ns = now_ns;
    if let Some(error) = ended.error {
        hit.error = texts.own(error);
    }
    if let Some(worker) = ended.worker {
        hits.end(worker);
    }
}

impl Nib for Wasm {
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
            // Between hits, a worker that has a connection for itself closes it.
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
            Ok(Some(since_ns)) => self.open(number, since_ns, hits, io),
            Err(error) if was_connecting && self.links.passes_over(number, &error, now_ns) => {
                return self.reopen(number, hits, io);
            }
            Err(error) => return self.break_link(number, error.into(), hits, io),
        }
        let is_open = |links: &mut Links<Link>| {
            let link = links.that(number, readiness.number);
            link.is_some_and(|link| link.dialed().phase == Phase::Open)
        };
        if readiness.writable && is_open(&mut self.links) {
            self.write(number, hits, io);
        }
        if readiness.readable && is_open(&mut self.links) {
            self.read(number, hits, io);
        }
    }

    fn flush(&mut self, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        while let Some(number) = self.links.next_changed() {
            match self.links[number].take_change() {
                Some(broken) => self.break_link(number, broken, hits, io),
                None => self.start_hits(number, hits, io),
            }
        }
    }

    fn next_instant(&self) -> u64 {
        self.links.next_instant()
    }

    fn due(&mut self, now_ns: u64, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        for number in self.links.take_unread() {
            if self.links[number].dialed().phase == Phase::Open {
                self.write(number, hits, io);
                self.read(number, hits, io);
            }
        }
        while let Some(number) = self.links.next_due(now_ns) {
            if self.links.passes_over_silent(number, now_ns) {
                self.reopen(number, hits, io);
            } else if self.links[number].dialed().phase == Phase::Open {
                let was_ready = self.links[number].talk.is_ready();
                self.with_guest(number, hits, io, |link, guest, rules, io, ended| {
                    let now_ns = io.clock.now_ns();
                    let ended = &mut |hit: Ended<'_>| ended(hit, now_ns);
                    link.talk.wake(guest, rules, now_ns, ended)?;
                    Ok(false)
                });
                self.note_ready(number, was_ready, hits, io);
            }
        }
    }

    fn response<'a>(&self, place: &'a Place) -> Response<'a> {
        place.kept.response()
    }

    fn received<'a>(&self, place: &'a Place) -> &'a [u8] {
        place.kept.received()
    }

    fn fatal(&self) -> Option<Fatal> {
        let text = || self.fatal.clone().map(Fatal::Text);
        self.links.dialer.fatal().or_else(text)
    }
}

impl Wasm {
    /// The connection is open: the guest hears of it, and hits may begin.
    fn open(&mut self, number: u32, since_ns: u64, hits: &mut dyn Hits<Place>, io: &mut Io<'_>) {
        let link = &self.links[number];
        let now_ns = io.clock.now_ns();
        let is_tls = link.dialed().is_tls();
        for worker in link.talk.workers() {
            if is_tls && let Some((_, shot)) = hits.get(worker) {
                note_handshake(&mut shot.hit, since_ns, now_ns);
            }
        }
        let worker = link.talk.workers().next().unwrap_or_default();
        self.with_guest(number, hits, io, |link, guest, _, io, ended| {
            let now_ns = io.clock.now_ns();
            let ended = &mut |hit: Ended<'_>| ended(hit, now_ns);
            link.talk.open(guest, worker, now_ns, ended)?;
            Ok(false)
        });
        self.note_ready(number, false, hits, io);
    }
}
