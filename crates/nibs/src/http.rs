//! HTTP/1.1, with and without TLS: one write and one read for a hit.
//!
//! A connection is kept and reused if the response allows it. If the peer closed it
//! between hits, it is opened again, which results don't show. If a hit was already sent,
//! it fails as [`code::STALE`] and isn't sent twice. A worker whose records go to several
//! addresses keeps a connection to each of the last few.
//!
//! - connection: a worker's connection, which moves a hit on

mod connection;

pub use connection::Connection;
use connection::{Driven, Failure, Phase, Ready};
use encarno_http1::{Expected, ResponseError, ResponseReader};
use encarno_nib::stream::StreamError;
use encarno_nib::{
    BadOption, Dialer, Fatal, Form, Io, Kind, NetworkProtocol, Nib, NoPeer, Options, Readiness,
    Response, Scheme, Seat, Shot, Step, note_lookup,
};
use encarno_record::{Payload, StringId, Strings, code};
use rustix::io::Errno;

/// HTTP/1.1, which has no options of its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpProtocol;

impl NetworkProtocol for HttpProtocol {
    type Nib = Http;

    const KIND: &'static Kind = &Kind {
        name: "http",
        aliases: &["https"],
        schemes: &[
            Scheme::new("http", Some(80)),
            Scheme::with_tls("https", Some(443)),
            Scheme::unix("http+unix"),
            Scheme::unix("unix"),
        ],
        form: Form::Http,
        tls: Some(&[b"http/1.1"]),
        network: true,
        options: &[],
    };

    fn new(_: &Options) -> Result<Self, BadOption> {
        Ok(Self)
    }

    fn nib(&self, dialer: Dialer, seat: &Seat<'_>) -> Http {
        let head_bytes_max = dialer.settings().head_bytes_max;
        Http {
            dialer,
            head_bytes_max,
            strings: seat.strings.clone(),
            texts: Texts::new(seat.strings, head_bytes_max),
        }
    }
}

/// The HTTP nib of one event loop.
#[derive(Debug)]
pub struct Http {
    dialer: Dialer,
    head_bytes_max: usize,
    strings: Strings,
    texts: Texts,
}

/// Error texts, each interned once.
#[derive(Debug)]
struct Texts {
    closed_in_handshake: StringId,
    stale: StringId,
    head_too_long: StringId,
    payload: StringId,
}

impl Texts {
    fn new(strings: &Strings, head_bytes_max: usize) -> Self {
        let too_long = format!(
            "the response's head is longer than {head_bytes_max} bytes: --max-head-bytes allows more"
        );
        Self {
            closed_in_handshake: strings.intern("connection closed during the TLS handshake"),
            stale: strings.intern("kept connection closed by the peer before a response"),
            head_too_long: strings.intern(&too_long),
            payload: strings.intern("the record's file can't be read"),
        }
    }
}

impl Http {
    /// Connects to the next address; skips addresses that refuse at once.
    fn open(&mut self, connection: &mut Connection, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        loop {
            let now_ns = io.clock.now_ns();
            let route = match self.dialer.dial(shot, io, connection.silent_peer()) {
                Ok(route) => route,
                Err(NoPeer::Pending) => {
                    connection.phase = Phase::Resolving { since_ns: now_ns };
                    return Step::Running;
                }
                Err(NoPeer::Failed(code, text)) => {
                    return connection.end_failed(shot, io, code, text);
                }
            };
            let timeout = self.dialer.settings().timeout;
            connection.attempt.begin(&route, now_ns, timeout);
            let number = connection.next_number();
            let opened = self.dialer.connect(&route).and_then(|stream| {
                io.register(stream.socket(), number)?;
                Ok(stream)
            });
            match opened {
                Ok(stream) => {
                    connection.connect(stream, shot.address);
                    return match connection.attempt.may_pass_over() {
                        true => Step::WakeAt(connection.attempt.silent_at_ns()),
                        false => Step::Running,
                    };
                }
                Err(error) if self.passes_over(connection, shot, &error, now_ns) => {}
                Err(error) => return self.fail(connection, shot, io, error.into()),
            }
        }
    }

    /// Whether to try another address after this failure.
    fn passes_over(
        &mut self,
        connection: &mut Connection,
        shot: &Shot,
        error: &StreamError,
        now_ns: u64,
    ) -> bool {
        if !connection.attempt.may_pass_over() || !error.is_of_address() {
            return false;
        }
        if let Some(peer) = &connection.attempt.peer {
            self.dialer.avoid(shot.address, peer, now_ns);
        }
        connection.stream = None;
        true
    }

    /// Moves the hit on as far as it goes without waiting.
    #[inline]
    fn advance(
        &mut self,
        connection: &mut Connection,
        shot: &mut Shot,
        ready: Ready,
        io: &mut Io<'_>,
    ) -> Step {
        match connection.drive(shot, ready, io) {
            Ok(Driven::Done) => Step::Done,
            Ok(Driven::Waiting) => Step::Running,
            Ok(Driven::Again) => Step::WakeAt(io.clock.now_ns()),
            Err(failure) => {
                if let (Phase::Connecting, Failure::Stream(error)) = (connection.phase, &failure)
                    && self.passes_over(connection, shot, error, io.clock.now_ns())
                {
                    return self.open(connection, shot, io);
                }
                self.fail(connection, shot, io, failure)
            }
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
            Failure::Stream(
                StreamError::System(Errno::CONNRESET | Errno::PIPE) | StreamError::Closed,
            ) if untouched => (code::STALE, self.texts.stale),
            Failure::Stream(StreamError::Closed)
                if matches!(connection.phase, Phase::Handshaking { .. }) =>
            {
                (code::CLOSED_EARLY, self.texts.closed_in_handshake)
            }
            Failure::Stream(error) => {
                let peer = connection.attempt.peer.as_ref();
                self.dialer.explain(error, peer)
            }
            Failure::Payload => (code::PAYLOAD, self.texts.payload),
            Failure::Response(ResponseError::HeadTooLong) => {
                (code::HEAD_TOO_LONG, self.texts.head_too_long)
            }
            Failure::Response(error) => (code::PROTOCOL, self.strings.intern(&error.to_string())),
        };
        connection.end_failed(shot, io, code, text)
    }
}

impl Nib for Http {
    type Connection = Connection;

    fn connection(&mut self) -> Connection {
        Connection::new(ResponseReader::new(self.head_bytes_max))
    }

    #[inline]
    fn start(&mut self, connection: &mut Connection, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        connection.sent = 0;
        if self.dialer.has_proxy()
            && let Err(text) = self.dialer.for_proxy(shot, io)
        {
            return connection.end_failed(shot, io, code::PAYLOAD, text);
        }
        let expected = match &shot.payload {
            Payload::Memory(bytes) => Expected::of(bytes, bytes.len() as u64),
            Payload::File { .. } => connection::expected_of_file(&shot.payload, io.scratch),
        };
        connection.reader.expect(expected);
        connection.kept.expect(shot.keep);
        if connection.address != shot.address {
            connection.turn_to(shot.address, io.scratch);
        }
        if connection.stream.is_some() {
            shot.hit.connected_ns = shot.hit.started_ns;
            connection.phase = Phase::Sending;
            return self.advance(connection, shot, Ready::default(), io);
        }
        connection.attempt = Default::default();
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
            Some(shot) => {
                let ready = Ready {
                    readable: readiness.readable,
                    closed: readiness.closed,
                };
                self.advance(connection, shot, ready, io)
            }
            None => {
                // Between hits there is nothing to read. Any data, apart from TLS's own
                // messages, make the connection useless.
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
        match connection.phase {
            Phase::Resolving { since_ns } => {
                note_lookup(shot, since_ns, io);
                self.open(connection, shot, io)
            }
            Phase::Connecting => {
                // This address was silent.
                let silent = StreamError::System(Errno::TIMEDOUT);
                if !self.passes_over(connection, shot, &silent, io.clock.now_ns()) {
                    return Step::Running;
                }
                connection.attempt.is_silent();
                self.open(connection, shot, io)
            }
            Phase::Sending | Phase::Receiving => {
                let ready = Ready {
                    readable: true,
                    closed: connection.closed,
                };
                self.advance(connection, shot, ready, io)
            }
            Phase::Idle | Phase::Handshaking { .. } => Step::Running,
        }
    }

    fn abandon(&mut self, connection: &mut Connection) {
        connection.stream = None;
        connection.phase = Phase::Idle;
    }

    fn woken(&mut self, workers: &mut Vec<u32>) {
        self.dialer.woken(workers);
    }

    fn response<'a>(&self, connection: &'a Connection) -> Response<'a> {
        connection.kept.response()
    }

    fn received<'a>(&self, connection: &'a Connection) -> &'a [u8] {
        connection.kept.received()
    }

    fn peer(&self, connection: &Connection) -> Option<String> {
        connection.attempt.peer.as_ref().map(ToString::to_string)
    }

    fn fatal(&self) -> Option<Fatal> {
        self.dialer.fatal()
    }
}
