//! HTTP/1.1, with and without TLS: one write and one read for a hit.
//!
//! A connection is kept and used again as the answer allows. One that the peer
//! closed between hits is opened again without a trace; if the hit was on its
//! way already, it fails as [`code::STALE`] and isn't sent twice. A worker whose
//! records go to several addresses keeps a connection to each of the last few.

pub mod answer;
mod stream;

use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::Errno;

use super::address::{AddressBook, Lookup};
use super::{Io, Nib, Readiness, Shot, Step, code};
use crate::hit::Payload;
use crate::settings::{NetworkSettings, TlsSettings};
use crate::strings::{StringId, Strings};
use answer::{Answer, AnswerError};
use stream::{Failure, Stream};

/// The HTTP nib of one event loop.
#[derive(Debug)]
pub struct Http {
    addresses: AddressBook,
    tls: Arc<rustls::ClientConfig>,
    tls_settings: TlsSettings,
    strings: Strings,
    sources: Vec<IpAddr>,
    source_next: usize,
    keep_bytes_max: usize,
    texts: Texts,
    fatal: Option<Errno>,
}

/// A worker's connection.
#[derive(Debug)]
pub struct Connection {
    stream: Option<Stream>,
    /// The number of the stream's events.
    number: u32,
    address: StringId,
    /// Streams to other addresses, the last used one at the end.
    aside: Vec<Aside>,
    numbers: u32,
    phase: Phase,
    /// Bytes of the payload that were given to the stream.
    sent: u64,
    /// Whether a hit was made on it before.
    reused: bool,
    answer: Answer,
    kept: Vec<u8>,
}

/// A stream that waits for its address to come up again.
#[derive(Debug)]
struct Aside {
    address: StringId,
    number: u32,
    stream: Stream,
}

/// Addresses that a worker keeps connections to, beside the current one.
const ASIDE_MAX: usize = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    Resolving,
    Connecting,
    Handshaking { since_ns: u64 },
    Sending,
    Receiving,
}

/// What can go wrong, each interned once.
#[derive(Debug)]
struct Texts {
    closed_early: StringId,
    stale: StringId,
    head: StringId,
    head_too_long: StringId,
    length: StringId,
    chunk: StringId,
    payload: StringId,
}

impl Http {
    /// Of one event loop.
    pub fn new(
        settings: &NetworkSettings,
        addresses: AddressBook,
        tls: Arc<rustls::ClientConfig>,
        strings: &Strings,
    ) -> Self {
        let texts = Texts {
            closed_early: strings.intern("connection closed before the answer was complete"),
            stale: strings.intern("kept connection closed by the peer before an answer"),
            head: strings.intern("the answer isn't HTTP/1.1"),
            head_too_long: strings.intern("the answer's head is too long"),
            length: strings.intern("the answer's Content-Length isn't a number, or there are two"),
            chunk: strings.intern("the answer has a bad chunk"),
            payload: strings.intern("the record's file can't be read"),
        };
        Self {
            addresses,
            tls,
            tls_settings: settings.tls.clone(),
            strings: strings.clone(),
            sources: settings.source_addresses.clone(),
            source_next: 0,
            keep_bytes_max: settings.keep_answer_bytes_max,
            texts,
            fatal: None,
        }
    }

    fn open(&mut self, connection: &mut Connection, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        let endpoint = match self
            .addresses
            .lookup(shot.address, io.worker, shot.hit.started_ns)
        {
            Lookup::Ready(endpoint) => endpoint,
            Lookup::Pending => {
                connection.phase = Phase::Resolving;
                return Step::Running;
            }
            Lookup::Failed(code, text) => return end_failed(connection, shot, io, code, text),
        };
        let source = self.sources.get(self.source_next).copied();
        self.source_next = (self.source_next + 1) % self.sources.len().max(1);
        let tls = endpoint
            .tls
            .then(|| (Arc::clone(&self.tls), Arc::clone(&endpoint.name)));
        let tls = tls.map(|(config, name)| {
            let name = self
                .tls_settings
                .server_name
                .as_deref()
                .unwrap_or(&name)
                .to_owned();
            (config, name)
        });
        let opened = Stream::open(endpoint.next_peer(), source, tls);
        let stream = match opened {
            Ok(stream) => stream,
            Err(failure) => return self.fail(connection, shot, io, failure),
        };
        connection.numbers = connection.numbers.wrapping_add(1);
        connection.number = connection.numbers;
        if let Err(errno) = io.register(stream.socket(), connection.number) {
            return self.fail(connection, shot, io, Failure::System(errno));
        }
        connection.stream = Some(stream);
        connection.address = shot.address;
        connection.reused = false;
        connection.phase = Phase::Connecting;
        Step::Running
    }

    /// Moves the hit on as far as it goes without waiting.
    fn advance(
        &mut self,
        connection: &mut Connection,
        shot: &mut Shot,
        closed: bool,
        io: &mut Io<'_>,
    ) -> Step {
        let result = drive(connection, shot, closed, self.keep_bytes_max, io);
        match result {
            Ok(true) => Step::Done,
            Ok(false) => Step::Running,
            Err(failure) => self.fail(connection, shot, io, failure),
        }
    }

    fn fail(
        &mut self,
        connection: &mut Connection,
        shot: &mut Shot,
        io: &mut Io<'_>,
        failure: Failure,
    ) -> Step {
        let untouched = connection.reused && shot.hit.received_bytes == 0;
        let (code, text) = match failure {
            Failure::System(Errno::MFILE | Errno::NFILE) => {
                self.fatal = Some(Errno::MFILE);
                (
                    Errno::MFILE.raw_os_error() as u16,
                    self.strings.intern("no file descriptors left"),
                )
            }
            Failure::System(Errno::CONNRESET | Errno::PIPE) if untouched => {
                (code::STALE, self.texts.stale)
            }
            Failure::System(errno) => {
                let text = std::io::Error::from(errno).to_string();
                (errno.raw_os_error() as u16, self.strings.intern(&text))
            }
            Failure::Closed if untouched => (code::STALE, self.texts.stale),
            Failure::Closed => (code::CLOSED_EARLY, self.texts.closed_early),
            Failure::Tls(text) => (code::TLS, self.strings.intern(&format!("TLS: {text}"))),
            Failure::Payload => (code::PAYLOAD, self.texts.payload),
            Failure::Answer(AnswerError::HeadTooLong) => {
                (code::HEAD_TOO_LONG, self.texts.head_too_long)
            }
            Failure::Answer(AnswerError::Head) => (code::PROTOCOL, self.texts.head),
            Failure::Answer(AnswerError::Length) => (code::PROTOCOL, self.texts.length),
            Failure::Answer(AnswerError::Chunk) => (code::PROTOCOL, self.texts.chunk),
        };
        end_failed(connection, shot, io, code, text)
    }
}

impl Nib for Http {
    type Connection = Connection;

    fn connection(&mut self) -> Connection {
        Connection {
            stream: None,
            number: 0,
            address: StringId(0),
            aside: Vec::new(),
            numbers: 0,
            phase: Phase::Idle,
            sent: 0,
            reused: false,
            answer: Answer::default(),
            kept: Vec::new(),
        }
    }

    #[inline]
    fn start(&mut self, connection: &mut Connection, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        connection.sent = 0;
        connection.answer.expect(is_head(&shot.payload));
        connection.kept.clear();
        if connection.address != shot.address {
            connection.turn_to(shot.address, io.scratch);
        }
        if connection.stream.is_some() {
            shot.hit.connected_ns = shot.hit.started_ns;
            connection.phase = Phase::Sending;
            return self.advance(connection, shot, false, io);
        }
        self.open(connection, shot, io)
    }

    #[inline]
    fn ready(
        &mut self,
        connection: &mut Connection,
        shot: Option<&mut Shot>,
        readiness: Readiness,
        io: &mut Io<'_>,
    ) -> Step {
        if readiness.number != connection.number {
            return Step::Running;
        }
        match shot {
            Some(shot) => self.advance(connection, shot, readiness.closed, io),
            None => {
                // Between hits there is nothing to read: TLS apart, what comes
                // then makes the connection useless.
                let spoiled = connection.stream.as_mut().is_some_and(|stream| {
                    readiness.closed || readiness.readable && !stream.idle_ok(io.scratch)
                });
                if spoiled {
                    connection.stream = None;
                }
                Step::Running
            }
        }
    }

    fn wake(&mut self, connection: &mut Connection, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        if connection.phase != Phase::Resolving {
            return Step::Running;
        }
        let waited_ns = io.clock.now_ns().saturating_sub(shot.hit.started_ns);
        shot.hit.dns_us = (waited_ns / 1000).min(u64::from(u32::MAX)) as u32;
        self.open(connection, shot, io)
    }

    fn abandon(&mut self, connection: &mut Connection) {
        connection.stream = None;
        connection.phase = Phase::Idle;
    }

    fn woken(&mut self, workers: &mut Vec<u32>) {
        self.addresses.take_results(workers);
    }

    fn answer<'a>(&self, connection: &'a Connection) -> &'a [u8] {
        &connection.kept
    }

    fn fatal(&self) -> Option<Errno> {
        self.fatal
    }
}

impl Connection {
    /// Puts the stream aside and takes the one to that address, if there is one
    /// and nothing happened to it meanwhile.
    fn turn_to(&mut self, address: StringId, scratch: &mut [u8]) {
        if let Some(stream) = self.stream.take() {
            if self.aside.len() >= ASIDE_MAX {
                self.aside.remove(0);
            }
            self.aside.push(Aside {
                address: self.address,
                number: self.number,
                stream,
            });
        }
        self.address = address;
        let Some(index) = self.aside.iter().position(|aside| aside.address == address) else {
            return;
        };
        let mut aside = self.aside.remove(index);
        if aside.stream.idle_ok(scratch) {
            self.number = aside.number;
            self.stream = Some(aside.stream);
            self.reused = true;
        }
    }
}

/// True once the hit has ended well.
fn drive(
    connection: &mut Connection,
    shot: &mut Shot,
    closed: bool,
    keep_bytes_max: usize,
    io: &mut Io<'_>,
) -> Result<bool, Failure> {
    let Connection {
        stream: slot,
        phase,
        sent,
        answer,
        kept,
        reused,
        ..
    } = connection;
    let Some(stream) = slot.as_mut() else {
        return Ok(false);
    };
    let hit = &mut shot.hit;
    if *phase == Phase::Connecting {
        if !stream.connected()? {
            return Ok(false);
        }
        let now_ns = io.clock.now_ns();
        if stream.is_tls() {
            *phase = Phase::Handshaking { since_ns: now_ns };
        } else {
            hit.connected_ns = now_ns;
            *phase = Phase::Sending;
        }
    }
    if let Phase::Handshaking { since_ns } = *phase {
        if !stream.shake_hands()? {
            return if closed {
                Err(Failure::Closed)
            } else {
                Ok(false)
            };
        }
        hit.connected_ns = io.clock.now_ns();
        hit.tls_us = ((hit.connected_ns - since_ns) / 1000).min(u64::from(u32::MAX)) as u32;
        *phase = Phase::Sending;
    }
    if *phase == Phase::Sending {
        let fresh = *sent == 0;
        let all = send(stream, &shot.payload, sent, io.scratch);
        hit.sent_bytes = *sent;
        match all {
            Ok(true) => {
                hit.sent_ns = io.clock.now_ns();
                *phase = Phase::Receiving;
                // Nothing can have come yet: the edge will tell.
                if fresh && !closed {
                    return Ok(false);
                }
            }
            Ok(false) => {}
            // The peer may have answered before it closed: read that first.
            Err(Failure::System(Errno::PIPE | Errno::CONNRESET)) if !*reused => {
                *phase = Phase::Receiving
            }
            Err(failure) => return Err(failure),
        }
    }
    loop {
        let count = match stream.receive(io.scratch)? {
            None => return Ok(false),
            Some(count) => count,
        };
        let now_ns = io.clock.now_ns();
        if count == 0 {
            if !answer.end() || hit.received_bytes == 0 {
                return Err(Failure::Closed);
            }
        } else {
            if hit.received_bytes == 0 {
                hit.first_byte_ns = now_ns;
            }
            hit.received_bytes += count as u64;
            let bytes = &io.scratch[..count];
            if keep_bytes_max > 0 {
                let room = keep_bytes_max.saturating_sub(kept.len()).min(count);
                kept.extend_from_slice(&bytes[..room]);
            }
            answer.feed(bytes).map_err(Failure::Answer)?;
        }
        if answer.is_complete() {
            hit.protocol_code = answer.status();
            hit.ended_ns = now_ns;
            // An answer before the request's end: the rest can't be sent any more.
            let keeps = answer.keep_alive() && *phase == Phase::Receiving && !closed;
            if *phase == Phase::Sending {
                hit.sent_ns = hit.first_byte_ns;
            }
            *phase = Phase::Idle;
            *reused = true;
            if !keeps {
                *slot = None;
            }
            return Ok(true);
        }
        // A short read emptied the socket: more will come as a new edge. The
        // end of the stream is no edge of its own if it came along.
        if count < io.scratch.len() && !closed && !stream.is_tls() {
            return Ok(false);
        }
    }
}

/// Sends on; true once all is sent.
fn send(
    stream: &mut Stream,
    payload: &Payload,
    sent: &mut u64,
    scratch: &mut [u8],
) -> Result<bool, Failure> {
    match payload {
        Payload::Memory(bytes) => {
            while (*sent as usize) < bytes.len() {
                match stream.send(&bytes[*sent as usize..])? {
                    None => return Ok(false),
                    Some(count) => *sent += count as u64,
                }
            }
        }
        Payload::File { file, range } => {
            let length = range.end.saturating_sub(range.start);
            while *sent < length {
                let piece = (length - *sent).min(scratch.len() as u64) as usize;
                file.read_exact_at(&mut scratch[..piece], range.start + *sent)
                    .map_err(|_| Failure::Payload)?;
                match stream.send(&scratch[..piece])? {
                    None => return Ok(false),
                    Some(count) => *sent += count as u64,
                }
            }
        }
    }
    stream.flushed()
}

fn end_failed(
    connection: &mut Connection,
    shot: &mut Shot,
    io: &Io<'_>,
    code: u16,
    text: StringId,
) -> Step {
    connection.stream = None;
    connection.phase = Phase::Idle;
    let hit = &mut shot.hit;
    hit.protocol_code = connection.answer.status();
    hit.net_code = code;
    hit.error = text;
    hit.ended_ns = io.clock.now_ns();
    Step::Done
}

fn is_head(payload: &Payload) -> bool {
    match payload {
        Payload::Memory(bytes) => bytes.starts_with(b"HEAD "),
        Payload::File { .. } => false,
    }
}
