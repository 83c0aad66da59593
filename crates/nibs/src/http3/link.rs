//! One connection over QUIC, with its waiting and running hits.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use encarno_http2::Role;
use encarno_http3::{CongestionWatch, Early, ErrorCode, Limits, Lost, Prepared, Session, Wrote};
use encarno_nib::datagrams::{Datagrams, Leaving};
use encarno_nib::socket::Peer;
use encarno_nib::stream::StreamError;
use encarno_nib::tls::reason;
use encarno_nib::{Dialer, Hits, Io, Route};
use encarno_record::notes::Transport as Counts;
use encarno_record::{Payload, Strings, code};
use quinn_proto::{
    ClientConfig, ConnectionError, ConnectionHandle, DatagramEvent, EcnCodepoint, Endpoint,
    EndpointConfig, Transmit,
};
use rustix::io::Errno;
use rustls::{AlertDescription, CertificateError};

use super::answers::code_of;
use crate::links::{self, Dialed, Phase, Transport};
use crate::multiplexed::{
    Answers, Broken, Failed, Lane, On, Place, Plain, Queue, Texts, keep_own, note_stream,
};

/// The most reads of one turn, so that a peer that sends without end doesn't hold up the
/// event loop.
const READS_MAX: usize = 16;
/// The most calls that send in one turn.
const SENDS_MAX: usize = 64;
/// While hits run, a peer that is silent for so long is asked whether it is still there, so
/// that neither side gives the connection up.
const PING_NS: u64 = 5_000_000_000;
/// A head that is longer waits until the server has said how long heads may be.
const HEAD_BYTES_SURE: u64 = 16 << 10;

/// What connections begin with.
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) limits: Limits,
    /// `None` before the set-up.
    pub(super) client: Option<ClientConfig>,
    pub(super) endpoint: Arc<EndpointConfig>,
    /// Whether hits are sent before the handshake ends (0-RTT).
    pub(super) early: bool,
    /// Whether hits that find no free stream get a connection of their own.
    pub(super) spread: bool,
}

/// The socket of a connection.
#[derive(Debug)]
pub struct Wire {
    datagrams: Datagrams,
    peer: SocketAddr,
    /// The name that TLS verifies.
    name: String,
}

impl Transport for Arc<Wire> {
    fn open(dialer: &Dialer, route: &Route) -> Result<Self, StreamError> {
        let Peer::Internet(peer) = route.peer else {
            return Err(StreamError::System(Errno::AFNOSUPPORT));
        };
        let name = dialer.settings().tls.server_name.as_deref();
        Ok(Self::new(Wire {
            datagrams: Datagrams::connect(&peer, route.source)?,
            peer,
            name: name.unwrap_or(&route.name).to_owned(),
        }))
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.datagrams.as_fd()
    }
}

/// A connection, and its users.
#[derive(Debug, Default)]
pub struct Link {
    dialed: Dialed<Arc<Wire>>,
    quic: Option<Box<Quic>>,
    waiting: Queue,
    /// Requests that haven't left completely: streams, with their workers.
    leaving: HashMap<u32, u32>,
    /// Requests that QUIC has taken, but that may not have left.
    taken: Vec<(u32, u32)>,
    /// The start and end of the handshake.
    opened: Option<(u64, u64)>,
    /// When a hit last found no free stream.
    full_ns: u64,
    answers: u64,
    heard_ns: u64,
    /// When the peer was last asked whether it is there.
    pinged_ns: u64,
    /// The same instant on both clocks, and the one at which it began.
    instants: Option<(Instant, u64)>,
    began_ns: u64,
    /// The earliest instant at which it is going to be visited.
    alarm_ns: Option<u64>,
    /// Whether it takes no more hits.
    retired: bool,
    broken: Option<Broken>,
    /// The most streams that were open when the server allowed no further one; `None` if hits
    /// wait for a stream in any case.
    streams_max: Option<usize>,
    /// What its earlier connections counted.
    counted: Counts,
}

/// One connection, which says goodbye when it is dropped.
#[derive(Debug)]
struct Quic {
    wire: Arc<Wire>,
    endpoint: Endpoint,
    handle: ConnectionHandle,
    session: Session<u32>,
    /// Datagrams for which the socket had no room.
    unsent: Vec<u8>,
    transmit: Option<Transmit>,
    /// What the endpoint itself answers.
    answer: Vec<u8>,
}

impl links::Link for Link {
    type Transport = Arc<Wire>;

    fn dialed(&self) -> &Dialed<Arc<Wire>> {
        &self.dialed
    }

    fn dialed_mut(&mut self) -> &mut Dialed<Arc<Wire>> {
        &mut self.dialed
    }

    fn takes_hits(&self) -> bool {
        let quic = self.quic.as_deref();
        let goes_away = quic.is_some_and(|quic| quic.session.goes_away());
        self.broken.is_none() && !self.retired && !goes_away
    }

    fn is_full(&self) -> bool {
        let most = self.streams_max.filter(|&most| most > 0);
        most.is_some_and(|most| self.waiting.len() + self.streams() >= most)
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.streams() == 0
    }

    fn let_down(&mut self) {
        self.set_broken(Broken::GivenUp);
    }
}

impl Lane<Plain> for Link {
    type Settings = Settings;

    const NAME: &'static str = "HTTP/3";

    fn begin(&mut self, settings: &Settings) {
        let (Some(wire), Some(client)) = (&self.dialed.stream, &settings.client) else {
            return;
        };
        self.counted = self.transport();
        self.streams_max = settings.spread.then_some(0);
        let now = Instant::now();
        let mut endpoint = Endpoint::new(Arc::clone(&settings.endpoint), None, true, None);
        let watch = CongestionWatch::default();
        let mut client = client.clone();
        client.transport_config(Arc::new(super::transport(watch.clone())));
        match endpoint.connect(now, client, wire.peer, &wire.name) {
            Ok((handle, connection)) => {
                let session = Session::new(Role::Client, connection, settings.limits);
                let mut session = session.watched(watch);
                if settings.early {
                    session.hurry();
                }
                self.quic = Some(Box::new(Quic {
                    wire: Arc::clone(wire),
                    endpoint,
                    handle,
                    session,
                    unsent: Vec::new(),
                    transmit: None,
                    answer: Vec::new(),
                }));
                (self.alarm_ns, self.began_ns) = (None, 0);
            }
            Err(error) => self.set_broken(Broken::Failed(Failed {
                code: code::ADDRESS,
                text: format!("QUIC: {error}"),
                is_gone: false,
            })),
        }
    }

    fn queue(&mut self) -> &mut Queue {
        &mut self.waiting
    }

    fn heard_ns(&self) -> u64 {
        self.heard_ns
    }

    fn is_reused(&self) -> bool {
        self.answers > 0
    }

    fn give_up(&mut self, stream: u32, opened_ns: u64) {
        self.leaving.remove(&stream);
        if let Some(quic) = &mut self.quic {
            quic.session.cancel(stream, ErrorCode::H3_REQUEST_CANCELLED);
        }
        // A peer that was silent all the time may never answer again.
        if self.heard_ns < opened_ns {
            self.retired = true;
        }
    }

    fn take_change(&mut self) -> Option<Broken> {
        self.dialed.take_change();
        self.broken.take()
    }

    /// Datagrams connect, too.
    fn go_on(&mut self, _: bool, _: u64) -> Result<(), Broken> {
        Ok(())
    }

    fn can_turn(&self) -> bool {
        self.quic.is_some()
    }

    fn read(
        &mut self,
        link: u32,
        dialect: &mut Plain,
        texts: &Texts,
        strings: &Strings,
        hits: &mut dyn Hits<Place<()>>,
        io: &mut Io<'_>,
    ) -> Result<bool, Broken> {
        let mut more = true;
        for _ in 0..READS_MAX {
            let Some(quic) = &mut self.quic else {
                return Ok(false);
            };
            let Some(arrived) = quic.wire.datagrams.receive(io.scratch).map_err(system)? else {
                more = false;
                break;
            };
            let now = Instant::now();
            self.heard_ns = io.clock.now_ns();
            if self.dialed.phase == Phase::Connecting {
                self.dialed.phase = Phase::Handshaking {
                    since_ns: self.began_ns,
                };
            }
            let ecn = arrived.ecn.and_then(EcnCodepoint::from_bits);
            // One piece of memory for all of them.
            let mut bytes = BytesMut::from(arrived.bytes);
            while !bytes.is_empty() {
                let datagram = bytes.split_to(arrived.stride.clamp(1, bytes.len()));
                quic.receive(now, ecn, datagram);
            }
        }
        self.take_events(link, dialect, texts, strings, hits, io)?;
        Ok(more)
    }

    fn write(
        &mut self,
        link: u32,
        dialect: &mut Plain,
        texts: &Texts,
        strings: &Strings,
        hits: &mut dyn Hits<Place<()>>,
        io: &Io<'_>,
    ) -> Result<bool, Broken> {
        let ping_ns = self.ping_ns();
        let Some(quic) = &mut self.quic else {
            return Ok(false);
        };
        let (now, now_ns) = (Instant::now(), io.clock.now_ns());
        self.instants = Some((now, now_ns));
        if self.began_ns == 0 {
            self.began_ns = now_ns;
        }
        self.alarm_ns = self.alarm_ns.filter(|&alarm_ns| alarm_ns > now_ns);
        if quic.session.timeout().is_some_and(|due| due <= now) {
            quic.session.handle_timeout(now);
        }
        if quic.session.streams() > 0 && ping_ns <= now_ns {
            self.pinged_ns = now_ns;
            quic.session.ping();
        }
        self.take_events(link, dialect, texts, strings, hits, io)?;
        self.fill(link, texts, strings, hits, io);
        self.note_progress(link, hits, io);
        let Some(quic) = &mut self.quic else {
            return Ok(false);
        };
        for _ in 0..SENDS_MAX {
            if !quic.send(now).map_err(system)? {
                self.note_left(link, hits, io);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Dropping the connection says it.
    fn say_last(&mut self) {}

    fn close(&mut self, link: u32, hits: &mut dyn Hits<Place<()>>) -> Vec<u32> {
        let mut workers = Vec::new();
        if let Some(quic) = &mut self.quic {
            workers = quic.session.take_streams();
        }
        keep_own(&mut workers, link, hits);
        workers.extend(self.waiting.take_all(link, hits));
        *self = Self {
            dialed: self.dialed.closed(),
            waiting: self.waiting.renewed(),
            counted: self.transport(),
            ..Self::default()
        };
        workers
    }

    fn alarm_ns(&mut self) -> Option<u64> {
        let (now, now_ns) = self.instants?;
        let ping_ns = self.ping_ns();
        let quic = self.quic.as_mut()?;
        let runs = quic.session.streams() > 0;
        let due = quic.session.timeout();
        let due_ns = due.map_or(u64::MAX, |due| {
            now_ns.saturating_add(due.saturating_duration_since(now).as_nanos() as u64)
        });
        let instant_ns = match runs {
            true => due_ns.min(ping_ns),
            false => due_ns,
        };
        // A later instant is set when the earlier one has come.
        let is_earlier = instant_ns < self.alarm_ns.unwrap_or(u64::MAX);
        is_earlier.then(|| {
            self.alarm_ns = Some(instant_ns);
            instant_ns
        })
    }

    fn is_due(&self, now_ns: u64) -> bool {
        self.alarm_ns.is_some_and(|alarm_ns| alarm_ns <= now_ns)
    }

    fn is_too_full(&self) -> bool {
        let most = self.streams_max.filter(|&most| most > 0);
        !self.waiting.is_empty()
            && most.is_some_and(|most| self.waiting.len() + self.streams() > most)
    }

    fn take_back(&mut self, link: u32, hits: &mut dyn Hits<Place<()>>) {
        let streams = self.quic.as_mut().map(|quic| quic.session.take_streams());
        self.wait_again(link, streams.unwrap_or_default(), hits);
    }

    fn transport(&self) -> Counts {
        let mut counts = self.counted;
        if let Some(quic) = &self.quic {
            let early = quic.session.early();
            let packets = quic.session.quic().stats().path;
            counts.add(&Counts {
                connections: u64::from(self.opened.is_some()),
                early_accepted: u64::from(early == Early::Accepted),
                early_rejected: u64::from(early == Early::Rejected),
                packets_sent: packets.sent_packets,
                packets_lost: packets.lost_packets,
                bytes_lost: packets.lost_bytes,
            });
        }
        counts
    }

    fn shown(_: &Plain, payload: &[u8]) -> Option<Vec<u8>> {
        Prepared::read(payload).map(|prepared| prepared.text())
    }
}

impl Link {
    fn set_broken(&mut self, broken: Broken) {
        self.broken.get_or_insert(broken);
    }

    /// The number of streams whose answers aren't complete.
    fn streams(&self) -> usize {
        let quic = self.quic.as_deref();
        quic.map_or(0, |quic| quic.session.streams())
    }

    /// When to ask a silent peer whether it is there.
    fn ping_ns(&self) -> u64 {
        self.heard_ns.max(self.pinged_ns).max(self.began_ns) + PING_NS
    }

    /// Lets hits whose requests were thrown away wait for a stream again.
    fn wait_again(&mut self, link: u32, mut workers: Vec<u32>, hits: &mut dyn Hits<Place<()>>) {
        if workers.is_empty() {
            return;
        }
        self.leaving.clear();
        self.taken.clear();
        keep_own(&mut workers, link, hits);
        for worker in workers {
            if let Some((place, shot)) = hits.get(worker) {
                (shot.hit.sent_bytes, shot.hit.sent_ns) = (0, 0);
                place.on = On::Waiting(link, self.waiting.push(worker));
            }
        }
    }

    /// Handles what QUIC tells.
    fn take_events(
        &mut self,
        link: u32,
        dialect: &mut Plain,
        texts: &Texts,
        strings: &Strings,
        hits: &mut dyn Hits<Place<()>>,
        io: &Io<'_>,
    ) -> Result<(), Broken> {
        let Some(quic) = &mut self.quic else {
            return Ok(());
        };
        let mut answers = Answers {
            link,
            dialect,
            hits,
            clock: io.clock,
            now_ns: self.heard_ns,
            texts,
            strings,
            ended: 0,
            refused: Vec::new(),
        };
        quic.session.turn(Instant::now(), &mut answers);
        self.answers += answers.ended;
        for stream in answers.refused {
            quic.session.cancel(stream, ErrorCode::H3_REQUEST_CANCELLED);
        }
        quic.tell_endpoint();
        if let Some(lost) = quic.session.lost() {
            return Err(explain(lost));
        }
        let ended = quic.session.is_open() && quic.session.early() != Early::Sent;
        if self.opened.is_none() && ended {
            // An early answer comes with the end of the handshake, and the hit after it doesn't
            // wait for what that end takes here.
            let opened_ns = match quic.session.early() {
                Early::Accepted => self.heard_ns,
                _ => io.clock.now_ns(),
            };
            self.opened = Some((self.began_ns, opened_ns));
            self.dialed.phase = Phase::Open;
            let rejected = quic.session.take_rejected();
            self.wait_again(link, rejected, hits);
        }
        Ok(())
    }

    /// Gives streams to hits, as many as the peer allows.
    fn fill(
        &mut self,
        link: u32,
        texts: &Texts,
        strings: &Strings,
        hits: &mut dyn Hits<Place<()>>,
        io: &Io<'_>,
    ) {
        let Some(quic) = self.quic.as_mut().filter(|quic| quic.session.is_open()) else {
            return;
        };
        // What is sent early doesn't wait for the handshake.
        let is_early = quic.session.early() == Early::Sent;
        let handshake = match is_early {
            true => Some((self.began_ns, self.began_ns)),
            false => self.opened,
        };
        while !self.retired
            && !quic.session.goes_away()
            && let Some(worker) = self.waiting.first(link, hits)
        {
            let Some((place, shot)) = hits.get(worker) else {
                break;
            };
            let Payload::Memory(bytes) = &shot.payload else {
                break;
            };
            let bytes = bytes.clone();
            let checked = match (Prepared::read(&bytes), quic.session.head_bytes_max()) {
                (None, _) => Err((code::PAYLOAD, texts.payload)),
                (Some(prepared), None) if prepared.head_bytes > HEAD_BYTES_SURE => break,
                (Some(prepared), _) if is_early && !prepared.is_safe() => break,
                (Some(prepared), Some(most)) if prepared.head_bytes > most => {
                    Err((code::HEAD_TOO_LONG, strings.intern(&too_long(most))))
                }
                (Some(prepared), _) => Ok(prepared),
            };
            let prepared = match checked {
                Ok(prepared) => prepared,
                Err((code, text)) => {
                    place.on = On::Nowhere;
                    self.waiting.one_left();
                    shot.fail(code, text, io);
                    hits.end(worker);
                    continue;
                }
            };
            let Some(stream) = quic.session.next_stream() else {
                // A stream that has ended frees its place a round trip later.
                let streams = quic.session.streams();
                self.streams_max = self.streams_max.map(|most| most.max(streams));
                break;
            };
            let now_ns = io.clock.now_ns();
            let frames = Prepared::frames(&bytes);
            let request = quic
                .session
                .request(stream, prepared.is_head(), frames, worker);
            self.waiting.next(link, hits);
            let Some((place, shot)) = hits.get(worker) else {
                break;
            };
            (place.on, place.opened_ns) = (On::Stream(link, stream), now_ns);
            shot.hit.sent_bytes += request.0 as u64;
            match request.1 {
                Wrote::All => self.taken.push((stream, worker)),
                Wrote::Part => {
                    self.leaving.insert(stream, worker);
                }
                Wrote::Stopped => {}
            }
            note_stream(&mut shot.hit, handshake, self.full_ns, true, now_ns);
        }
        if !self.waiting.is_empty() {
            self.full_ns = io.clock.now_ns();
        }
        self.waiting.tidy(link, hits);
    }

    /// Records what QUIC has taken of requests.
    fn note_progress(&mut self, link: u32, hits: &mut dyn Hits<Place<()>>, io: &Io<'_>) {
        let Some(quic) = &mut self.quic else {
            return;
        };
        for progress in quic.session.take_progress() {
            let Some(&worker) = self.leaving.get(&progress.stream) else {
                continue;
            };
            if let Some((place, shot)) = hits.get(worker)
                && place.on == On::Stream(link, progress.stream)
            {
                shot.hit.sent_bytes += progress.bytes as u64;
                if progress.wrote == Wrote::Stopped {
                    shot.hit.sent_ns = io.clock.now_ns();
                }
            }
            if progress.wrote != Wrote::Part {
                self.leaving.remove(&progress.stream);
            }
            if progress.wrote == Wrote::All {
                self.taken.push((progress.stream, worker));
            }
        }
    }

    /// Records the instant at which requests have left. While something is held back, it
    /// isn't known which of them have, until the server has acknowledged them.
    fn note_left(&mut self, link: u32, hits: &mut dyn Hits<Place<()>>, io: &Io<'_>) {
        let Some(quic) = self.quic.as_mut().filter(|_| !self.taken.is_empty()) else {
            return;
        };
        let now_ns = io.clock.now_ns();
        let acknowledged = quic.session.take_acknowledged();
        let stays =
            |stream| quic.session.is_held_back() && acknowledged.binary_search(&stream).is_err();
        for (stream, worker) in self.taken.extract_if(.., |&mut (stream, _)| !stays(stream)) {
            if let Some((place, shot)) = hits.get(worker)
                && place.on == On::Stream(link, stream)
            {
                shot.hit.sent_ns = now_ns;
            }
        }
    }
}

impl Quic {
    /// Takes a datagram.
    fn receive(&mut self, now: Instant, ecn: Option<EcnCodepoint>, datagram: BytesMut) {
        let peer = self.wire.peer;
        let event = self
            .endpoint
            .handle(now, peer, None, ecn, datagram, &mut self.answer);
        match event {
            Some(DatagramEvent::ConnectionEvent(_, event)) => self.session.handle(event),
            Some(DatagramEvent::NewConnection(incoming)) => self.endpoint.ignore(incoming),
            // A server learns in time that this isn't its client.
            Some(DatagramEvent::Response(_)) | None => {}
        }
        self.answer.clear();
    }

    /// Sends datagrams; false if there are none, or no room for them.
    fn send(&mut self, now: Instant) -> std::io::Result<bool> {
        if self.transmit.is_none() {
            self.unsent.clear();
            let segments_max = self.wire.datagrams.segments_max();
            self.transmit = self.session.transmit(now, segments_max, &mut self.unsent);
            self.tell_endpoint();
        }
        let Some(transmit) = &self.transmit else {
            return Ok(false);
        };
        let sent = self.wire.datagrams.send(&Leaving {
            to: transmit.destination,
            source: None,
            ecn: transmit.ecn.map(|ecn| ecn as u8),
            bytes: &self.unsent[..transmit.size],
            segment: transmit.segment_size,
        })?;
        if sent {
            self.transmit = None;
        }
        Ok(sent)
    }

    fn tell_endpoint(&mut self) {
        while let Some(event) = self.session.endpoint_event() {
            if let Some(event) = self.endpoint.handle_event(self.handle, event) {
                self.session.handle(event);
            }
        }
    }
}

impl Drop for Quic {
    /// Tells the peer, which would wait for this end otherwise.
    fn drop(&mut self) {
        let now = Instant::now();
        self.session.close(now, ErrorCode::H3_NO_ERROR, "");
        // It doesn't matter whether it arrives.
        while self.send(now).unwrap_or(false) {}
    }
}

fn system(error: std::io::Error) -> Broken {
    let number = error.raw_os_error();
    let errno = number.map_or(Errno::IO, Errno::from_raw_os_error);
    Broken::Stream(StreamError::System(errno))
}

fn too_long(most: u64) -> String {
    format!(
        "the request's head is longer than the server allows: {most} bytes, with 32 for each field \
         (SETTINGS_MAX_FIELD_SECTION_SIZE of HTTP/3); send fewer or shorter fields"
    )
}

/// Why hits failed with their connection.
fn explain(lost: &Lost) -> Broken {
    let failed = |code, text: String, is_gone| {
        Broken::Failed(Failed {
            code,
            text: format!("HTTP/3: {text}"),
            is_gone,
        })
    };
    let closed = |why: u64, text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        match text.is_empty() {
            true => format!("the server closed the connection ({})", ErrorCode(why)),
            false => format!(
                "the server closed the connection ({}): {text}",
                ErrorCode(why)
            ),
        }
    };
    match lost {
        Lost::Http(error) => failed(
            code_of(error.code, code::PROTOCOL),
            error.to_string(),
            false,
        ),
        Lost::Quic(ConnectionError::TransportError(error)) => match u64::from(error.code) {
            NO_ALPN => Broken::Alpn,
            CRYPTO..CRYPTO_END => Broken::Stream(StreamError::Tls(in_words(&error.reason))),
            _ => failed(code::PROTOCOL, format!("QUIC: {error}"), false),
        },
        Lost::Quic(ConnectionError::ConnectionClosed(close)) => match u64::from(close.error_code) {
            NO_ALPN => Broken::Alpn,
            why @ CRYPTO..CRYPTO_END => {
                let alert = AlertDescription::from((why - CRYPTO) as u8);
                let text = reason(&rustls::Error::AlertReceived(alert));
                Broken::Stream(StreamError::Tls(text))
            }
            CONNECTION_REFUSED => failed(
                code::REFUSED,
                "the server refuses the connection (CONNECTION_REFUSED)".to_owned(),
                false,
            ),
            _ => {
                let text = format!("the server closed the connection: QUIC: {close}");
                failed(code::CLOSED_EARLY, text, true)
            }
        },
        Lost::Quic(ConnectionError::ApplicationClosed(close)) => {
            let why = close.error_code.into_inner();
            let text = closed(why, &close.reason);
            failed(code_of(ErrorCode(why), code::CLOSED_EARLY), text, true)
        }
        Lost::Quic(ConnectionError::Reset) => Broken::Stream(StreamError::System(Errno::CONNRESET)),
        Lost::Quic(ConnectionError::TimedOut) => failed(
            code::CLOSED_EARLY,
            "the connection was idle for too long".to_owned(),
            true,
        ),
        Lost::Quic(ConnectionError::VersionMismatch) => failed(
            code::PROTOCOL,
            "the server speaks no version of QUIC that is known here".to_owned(),
            false,
        ),
        Lost::Quic(error) => failed(code::PROTOCOL, format!("QUIC: {error}"), false),
    }
}

/// An error of TLS, of which only the text comes through QUIC.
fn in_words(text: &str) -> String {
    let known = [
        CertificateError::UnknownIssuer,
        CertificateError::Expired,
        CertificateError::NotValidYet,
        CertificateError::NotValidForName,
        CertificateError::Revoked,
        CertificateError::InvalidPurpose,
        CertificateError::BadEncoding,
        CertificateError::BadSignature,
    ];
    let known = known.map(rustls::Error::InvalidCertificate).into_iter();
    let mut same = known.filter(|error| error.to_string() == text);
    same.next()
        .map_or_else(|| text.to_owned(), |error| reason(&error))
}

/// QUIC's error codes (RFC 9000, 20.1): alerts of TLS, and one of them.
const CRYPTO: u64 = 0x100;
const CRYPTO_END: u64 = 0x200;
const NO_ALPN: u64 = CRYPTO + 120;
const CONNECTION_REFUSED: u64 = 2;
