//! HTTP/1.1, with and without TLS: one write and one read for a hit.
//!
//! A connection is kept and used again as the answer allows. One that the peer
//! closed between hits is opened again without a trace; if the hit was on its
//! way already, it fails as [`code::STALE`] and isn't sent twice. A worker whose
//! records go to several addresses keeps a connection to each of the last few.

//!
//! - [`connection`]: what a worker has, and how a hit moves on in it
//! - [`stream`]: bytes to and from the peer, plain or through TLS
//! - [`answer`]: where an answer ends

pub mod answer;
mod connection;
mod stream;

use std::sync::Arc;
use std::time::Duration;

use answer::AnswerError;
pub use connection::Connection;
use connection::{Phase, is_head};
use encarno_nib::{
    Dialer, Io, Network, NetworkSettings, Nib, NoPeer, Protocol, Readiness, Seat, SetUpError, Shot,
    Step, TlsSettings, forget, note_lookup, tls,
};
use encarno_record::{StringId, Strings, code};
use rustix::io::Errno;
use stream::{Failure, Stream};

/// HTTP over a network that is set up.
#[derive(Debug)]
pub struct HttpProtocol {
    network: Network,
    tls: Arc<rustls::ClientConfig>,
}

impl HttpProtocol {
    /// Looks the default address up, and loads certificates.
    pub fn set_up(settings: NetworkSettings) -> Result<Self, SetUpError> {
        let network = Network::set_up(settings)?;
        let tls = tls::client_config(&network.settings().tls)?;
        Ok(Self { network, tls })
    }
}

impl Protocol for HttpProtocol {
    type Nib = Http;

    fn nib(&self, seat: &Seat<'_>) -> Http {
        Http {
            dialer: self.network.dialer(seat),
            tls: Arc::clone(&self.tls),
            tls_settings: self.network.settings().tls.clone(),
            strings: seat.strings.clone(),
            texts: Texts::new(seat.strings),
            fatal: None,
        }
    }

    fn timeout(&self) -> Duration {
        self.network.settings().timeout
    }

    fn keep_answer_bytes_max(&self) -> usize {
        self.network.settings().keep_answer_bytes_max
    }

    fn address(&self) -> Option<&str> {
        self.network.settings().address.as_deref()
    }
}

/// The HTTP nib of one event loop.
#[derive(Debug)]
pub struct Http {
    dialer: Dialer,
    tls: Arc<rustls::ClientConfig>,
    tls_settings: TlsSettings,
    strings: Strings,
    texts: Texts,
    fatal: Option<Errno>,
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

impl Texts {
    fn new(strings: &Strings) -> Self {
        Self {
            closed_early: strings.intern("connection closed before the answer was complete"),
            stale: strings.intern("kept connection closed by the peer before an answer"),
            head: strings.intern("the answer isn't HTTP/1.1"),
            head_too_long: strings.intern("the answer's head is too long"),
            length: strings.intern("the answer's Content-Length isn't a number, or there are two"),
            chunk: strings.intern("the answer has a bad chunk"),
            payload: strings.intern("the record's file can't be read"),
        }
    }
}

impl Http {
    fn open(&mut self, connection: &mut Connection, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        let (endpoint, source) = match self.dialer.dial(shot, io) {
            Ok(found) => found,
            Err(NoPeer::Pending) => {
                let since_ns = io.clock.now_ns();
                connection.phase = Phase::Resolving { since_ns };
                return Step::Running;
            }
            Err(NoPeer::Failed(code, text)) => {
                return connection.end_failed(shot, io, code, text);
            }
        };
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
        let number = connection.next_number();
        if let Err(errno) = io.register(stream.socket(), number) {
            return self.fail(connection, shot, io, Failure::System(errno));
        }
        connection.connect(stream, shot.address);
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
        match connection.drive(shot, closed, io) {
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
        connection.end_failed(shot, io, code, text)
    }
}

impl Nib for Http {
    type Connection = Connection;

    fn connection(&mut self) -> Connection {
        Connection::default()
    }

    #[inline]
    fn start(&mut self, connection: &mut Connection, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        connection.sent = 0;
        connection.answer.expect(is_head(&shot.payload));
        forget(&mut connection.kept);
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
        let Phase::Resolving { since_ns } = connection.phase else {
            return Step::Running;
        };
        note_lookup(shot, since_ns, io);
        self.open(connection, shot, io)
    }

    fn abandon(&mut self, connection: &mut Connection) {
        connection.stream = None;
        connection.phase = Phase::Idle;
    }

    fn woken(&mut self, workers: &mut Vec<u32>) {
        self.dialer.woken(workers);
    }

    fn answer<'a>(&self, connection: &'a Connection) -> &'a [u8] {
        &connection.kept
    }

    fn fatal(&self) -> Option<Errno> {
        self.fatal
    }
}
