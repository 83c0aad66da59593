//! Clients of HTTP/3, which all talk to one UDP socket.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use encarno_http2::{Head, HeadKind, Role};
use encarno_http3::{
    ALPN, DATA, ErrorCode, HEADERS, Handler, Limits, Reset, Session, Then, Wrote, qpack,
    write_frame, write_frame_head,
};
use encarno_nib::datagrams::{Datagrams, Leaving};
use encarno_nib::poll::Poller;
use quinn_proto::crypto::rustls::QuicServerConfig;
use quinn_proto::{
    ConnectionHandle, DatagramEvent, EcnCodepoint, Endpoint, EndpointConfig, ServerConfig,
    Transmit, TransportConfig, VarInt,
};

use super::clock::monotonic_ns;
use super::connection::{Asked, number_at_end};
use super::http2::Reply;
use super::log::LogEntry;

/// The most calls that receive in one turn.
const HEARD_MAX: usize = 64;
/// The most calls that send to one client in one turn.
const SENDS_MAX: usize = 256;
/// The most requests of a connection at a time, unless the settings say another number.
const STREAMS_MAX: u32 = 1 << 16;
/// The length of a body's pieces if its length isn't announced.
const CHUNK_BYTES: usize = 1000;

/// The socket, and the clients that talk to it.
pub(super) struct Door {
    datagrams: Datagrams,
    endpoint: Endpoint,
    numbers: HashMap<ConnectionHandle, u64>,
    visitors: HashMap<u64, Visitor>,
    /// Visitors to which something may have to be sent.
    changed: BTreeSet<u64>,
    /// What the endpoint itself answers, and datagrams for which there was no room.
    unsent: VecDeque<(Vec<u8>, Transmit)>,
    body: Bytes,
    /// Whether each byte of a body has a frame of its own.
    drip: bool,
}

impl fmt::Debug for Door {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Door")
    }
}

/// A client.
struct Visitor {
    handle: ConnectionHandle,
    session: Session<Asked>,
    /// Answers that QUIC hasn't taken completely, by their streams.
    answers: HashMap<u32, Outgoing>,
    /// Answers that QUIC has taken.
    leaving: Vec<LogEntry>,
    /// Whether the connection is closed when all has left.
    closes: bool,
}

#[derive(Clone, Copy, Debug)]
struct Outgoing {
    entry: LogEntry,
    cut: bool,
    close: bool,
}

/// A complete request: its client, its stream, and what it asks for.
pub(super) type Whole = (u64, u32, Asked);

impl Door {
    /// Listens at this address.
    pub(super) fn open(
        address: SocketAddr,
        tls: &rustls::ServerConfig,
        streams_max: Option<u32>,
        body_bytes: usize,
        drip: bool,
    ) -> io::Result<Self> {
        let mut tls = tls.clone();
        tls.alpn_protocols = vec![ALPN.to_vec()];
        // A request that comes twice harms nobody here. QUIC has no other limit than this.
        tls.max_early_data_size = u32::MAX;
        let crypto = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
        let mut transport = TransportConfig::default();
        transport
            .max_concurrent_bidi_streams(VarInt::from_u32(streams_max.unwrap_or(STREAMS_MAX)))
            .max_concurrent_uni_streams(VarInt::from_u32(8))
            .datagram_receive_buffer_size(None);
        let mut server = ServerConfig::with_crypto(Arc::new(crypto));
        server
            .migration(false)
            .transport_config(Arc::new(transport));
        let config = Arc::new(EndpointConfig::default());
        Ok(Self {
            datagrams: Datagrams::bind(address)?,
            endpoint: Endpoint::new(config, Some(Arc::new(server)), true, None),
            numbers: HashMap::new(),
            visitors: HashMap::new(),
            changed: BTreeSet::new(),
            unsent: VecDeque::new(),
            body: vec![b'x'; body_bytes].into(),
            drip,
        })
    }

    /// Registers the socket; its events have this token from now on.
    pub(super) fn register(&self, poller: &Poller, token: u64) -> io::Result<()> {
        Ok(poller.register(&self.datagrams, token)?)
    }

    /// Takes what has come. New clients get numbers from `next`. True if there may be more.
    pub(super) fn hear(
        &mut self,
        buffer: &mut [u8],
        next: &mut u64,
        whole: &mut Vec<Whole>,
    ) -> io::Result<bool> {
        let mut more = true;
        for _ in 0..HEARD_MAX {
            let arrived = match self.datagrams.receive(buffer) {
                Ok(Some(arrived)) => arrived,
                Ok(None) => {
                    more = false;
                    break;
                }
                // An earlier datagram's error.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error),
            };
            let (now, from) = (Instant::now(), arrived.from);
            let ecn = arrived.ecn.and_then(EcnCodepoint::from_bits);
            let mut all = BytesMut::from(arrived.bytes);
            while !all.is_empty() {
                let bytes = all.split_to(arrived.stride.clamp(1, all.len()));
                let mut answer = Vec::new();
                let event = self
                    .endpoint
                    .handle(now, from, None, ecn, bytes, &mut answer);
                match event {
                    Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                        if let Some(number) = self.numbers.get(&handle)
                            && let Some(visitor) = self.visitors.get_mut(number)
                        {
                            visitor.session.handle(event);
                            self.changed.insert(*number);
                        }
                    }
                    Some(DatagramEvent::NewConnection(incoming)) => {
                        match self.endpoint.accept(incoming, now, &mut answer, None) {
                            Ok((handle, quic)) => {
                                let session = Session::new(Role::Server, quic, Limits::default());
                                self.numbers.insert(handle, *next);
                                self.visitors.insert(*next, Visitor::new(handle, session));
                                self.changed.insert(*next);
                                *next += 1;
                            }
                            Err(error) => {
                                self.unsent
                                    .extend(error.response.map(|transmit| (answer, transmit)));
                            }
                        }
                    }
                    Some(DatagramEvent::Response(transmit)) => {
                        self.unsent.push_back((answer, transmit));
                    }
                    None => {}
                }
            }
        }
        for number in &self.changed {
            if let Some(visitor) = self.visitors.get_mut(number) {
                visitor.turn(*number, whole);
            }
        }
        Ok(more)
    }

    /// When [`Door::due`] must be called, in ns from now.
    pub(super) fn next_in_ns(&mut self) -> Option<u64> {
        let visitors = self.visitors.values_mut();
        let next = visitors
            .filter_map(|visitor| visitor.session.timeout())
            .min()?;
        Some(next.saturating_duration_since(Instant::now()).as_nanos() as u64)
    }

    /// Handles the timers that are due.
    pub(super) fn due(&mut self, whole: &mut Vec<Whole>) {
        let now = Instant::now();
        for (number, visitor) in &mut self.visitors {
            if visitor.session.timeout().is_some_and(|due| due <= now) {
                visitor.session.handle_timeout(now);
                visitor.turn(*number, whole);
                self.changed.insert(*number);
            }
        }
    }

    /// Whether this client is one of these.
    pub(super) fn has(&self, number: u64) -> bool {
        self.visitors.contains_key(&number)
    }

    /// Appends an answer; false if it isn't needed any more.
    pub(super) fn answer(&mut self, number: u64, reply: &Reply, entry: LogEntry) -> bool {
        let Some(visitor) = self.visitors.get_mut(&number) else {
            return false;
        };
        if visitor.session.lost().is_some() || visitor.closes {
            return false;
        }
        let mut section = Vec::with_capacity(16);
        qpack::begin(&mut section);
        qpack::write_field(
            b":status",
            reply.status.to_string().as_bytes(),
            &mut section,
        );
        if reply.says_length {
            let length = reply.length.to_string();
            qpack::write_field(b"content-length", length.as_bytes(), &mut section);
        }
        let mut head = Vec::with_capacity(32);
        write_frame(HEADERS, &section, &mut head);
        let mut chunks = Vec::new();
        let whole = if reply.head_only { 0 } else { reply.length };
        let length = if reply.cut { whole / 2 } else { whole };
        let body = self.body.slice(..length);
        let piece_max = match (self.drip, reply.says_length) {
            (true, _) => 1,
            (false, true) => usize::MAX,
            (false, false) => CHUNK_BYTES,
        };
        for (place, piece) in body.chunks(piece_max.min(length.max(1))).enumerate() {
            write_frame_head(DATA, piece.len(), &mut head);
            chunks.push(std::mem::take(&mut head).into());
            let start = place * piece_max.min(length);
            chunks.push(body.slice(start..start + piece.len()));
        }
        if !head.is_empty() {
            chunks.push(head.into());
        }
        if reply.leave {
            visitor.session.ask_to_leave();
        }
        let outgoing = Outgoing {
            entry,
            cut: reply.cut,
            close: reply.close,
        };
        visitor.answers.insert(reply.stream, outgoing);
        let then = match reply.cut {
            true => Then::Reset(ErrorCode::H3_INTERNAL_ERROR),
            false => Then::Finish,
        };
        visitor.session.send(reply.stream, chunks, then);
        self.changed.insert(number);
        true
    }

    /// Sends as much as there is room for. Requests whose answers have left or were broken
    /// off go to `ended`.
    pub(super) fn send(&mut self, ended: &mut Vec<LogEntry>) -> io::Result<()> {
        if !self.send_unsent()? {
            return Ok(());
        }
        while let Some(number) = self.changed.pop_first() {
            let Some(visitor) = self.visitors.get_mut(&number) else {
                continue;
            };
            visitor.note_progress(ended);
            let mut is_empty = false;
            for _ in 0..SENDS_MAX {
                let (now, mut bytes) = (Instant::now(), Vec::new());
                let segments_max = self.datagrams.segments_max();
                let transmit = visitor.session.transmit(now, segments_max, &mut bytes);
                while let Some(event) = visitor.session.endpoint_event() {
                    if let Some(event) = self.endpoint.handle_event(visitor.handle, event) {
                        visitor.session.handle(event);
                    }
                }
                let Some(transmit) = transmit else {
                    is_empty = true;
                    break;
                };
                if !send(&self.datagrams, &bytes, &transmit)? {
                    self.unsent.push_back((bytes, transmit));
                    break;
                }
            }
            if !is_empty {
                self.changed.insert(number);
                if !self.unsent.is_empty() {
                    return Ok(());
                }
                continue;
            }
            let sent_ns = monotonic_ns();
            let left = visitor.leaving.drain(..);
            ended.extend(left.map(|entry| LogEntry { sent_ns, ..entry }));
            if visitor.closes && visitor.session.lost().is_none() && !visitor.is_closed() {
                visitor
                    .session
                    .close(Instant::now(), ErrorCode::H3_NO_ERROR, "");
                self.changed.insert(number);
            } else if visitor.session.quic().is_drained() {
                self.numbers.remove(&visitor.handle);
                if let Some(visitor) = self.visitors.remove(&number) {
                    ended.extend(visitor.unanswered());
                }
            }
        }
        Ok(())
    }

    /// Tells all clients that this is the end. The requests whose answers won't be sent go to
    /// `ended`.
    pub(super) fn close(&mut self, ended: &mut Vec<LogEntry>) -> io::Result<()> {
        for (number, visitor) in &mut self.visitors {
            let now = Instant::now();
            visitor.session.close(now, ErrorCode::H3_NO_ERROR, "");
            self.changed.insert(*number);
        }
        self.send(ended)?;
        let visitors = std::mem::take(&mut self.visitors).into_values();
        ended.extend(visitors.flat_map(Visitor::unanswered));
        Ok(())
    }

    /// Whether something could be sent if there was time.
    pub(super) fn has_changed(&self) -> bool {
        self.unsent.is_empty() && !self.changed.is_empty()
    }

    fn send_unsent(&mut self) -> io::Result<bool> {
        while let Some((bytes, transmit)) = self.unsent.pop_front() {
            if !send(&self.datagrams, &bytes, &transmit)? {
                self.unsent.push_front((bytes, transmit));
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn send(datagrams: &Datagrams, bytes: &[u8], transmit: &Transmit) -> io::Result<bool> {
    let sent = datagrams.send(&Leaving {
        to: transmit.destination,
        source: transmit.src_ip,
        ecn: transmit.ecn.map(|ecn| ecn as u8),
        bytes: &bytes[..transmit.size],
        segment: transmit.segment_size,
    });
    match sent {
        // The client is gone, or an earlier one.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(true),
        sent => sent,
    }
}

impl Visitor {
    fn new(handle: ConnectionHandle, session: Session<Asked>) -> Self {
        Self {
            handle,
            session,
            answers: HashMap::new(),
            leaving: Vec::new(),
            closes: false,
        }
    }

    fn is_closed(&self) -> bool {
        self.session.quic().is_closed()
    }

    fn turn(&mut self, number: u64, whole: &mut Vec<Whole>) {
        let mut requests = Requests {
            client: number,
            whole,
        };
        self.session.turn(Instant::now(), &mut requests);
    }

    fn note_progress(&mut self, ended: &mut Vec<LogEntry>) {
        for progress in self.session.take_progress() {
            if progress.wrote == Wrote::Part {
                continue;
            }
            let Some(answer) = self.answers.remove(&progress.stream) else {
                continue;
            };
            match progress.wrote == Wrote::All && !answer.cut {
                true => self.leaving.push(answer.entry),
                false => ended.push(answer.entry),
            }
            self.closes |= answer.close;
        }
    }

    fn unanswered(self) -> impl Iterator<Item = LogEntry> {
        let answers = self.answers.into_values().map(|answer| answer.entry);
        answers.chain(self.leaving)
    }
}

/// Collects complete requests.
struct Requests<'a> {
    client: u64,
    whole: &'a mut Vec<Whole>,
}

impl Handler<Asked> for Requests<'_> {
    fn wants_text(&mut self, _: &Asked) -> bool {
        false
    }

    fn begin(&mut self, _: u32) -> Option<Asked> {
        Some(Asked::default())
    }

    fn head(&mut self, _: u32, asked: &mut Asked, head: &Head<'_>) {
        if head.kind == HeadKind::Final {
            asked.sequence = number_at_end(head.path);
            asked.head_only = head.is_head;
        }
    }

    fn data(&mut self, _: u32, _: &mut Asked, _: &[u8], _: usize) {}

    fn end(&mut self, stream: u32, asked: Asked) {
        self.whole.push((self.client, stream, asked));
    }

    /// The answer isn't needed any more.
    fn reset(&mut self, _: u32, _: Asked, _: Reset) {}
}
