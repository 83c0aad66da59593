//! Datagrams: a hit sends one, and waits for one or not.

use std::net::SocketAddr;

use encarno_nib::socket::{Peer, Socket};
use encarno_nib::{
    BadOption, Dialer, Fatal, Form, Io, Kept, Kind, NetworkProtocol, Nib, NoPeer, Options,
    Readiness, Response, Scheme, Seat, Shot, Step, note_lookup,
};
use encarno_record::{Payload, StringId, Strings, code};
use rustix::io::Errno;

/// The largest payload of a datagram.
const DATAGRAM_BYTES_MAX: u64 = 65_507;
/// The most unexpected datagrams that are read at once, because the loop has other work
/// to do.
const UNASKED_MAX: usize = 64;

/// Datagrams.
#[derive(Clone, Copy, Debug)]
pub struct UdpProtocol {
    /// Whether a hit ends with an answer, or when it is sent.
    pub answer: bool,
}

impl NetworkProtocol for UdpProtocol {
    type Nib = Udp;

    const KIND: &'static Kind = &Kind {
        name: "udp",
        aliases: &[],
        schemes: &[Scheme::new("udp", None)],
        form: Form::Bytes,
        tls: None,
        network: true,
        options: &["answer"],
    };

    fn new(options: &Options) -> Result<Self, BadOption> {
        let answer = options.own("answer", "true or false")?.unwrap_or(true);
        Ok(Self { answer })
    }

    fn nib(&self, dialer: Dialer, seat: &Seat<'_>) -> Udp {
        Udp {
            dialer,
            strings: seat.strings.clone(),
            answer: self.answer,
        }
    }
}

/// The UDP nib of one event loop.
///
/// Each worker has a socket of its own, connected to the peer, so that an answer can't
/// reach another worker. A late or second answer would count as that of the next hit, so
/// each hit that waits for an answer has its own port.
#[derive(Debug)]
pub struct Udp {
    dialer: Dialer,
    strings: Strings,
    answer: bool,
}

/// A worker's socket.
#[derive(Debug, Default)]
pub struct Connection {
    socket: Option<Socket>,
    peer: Option<SocketAddr>,
    /// Whether something was sent from its present port.
    used: bool,
    number: u32,
    address: StringId,
    kept: Kept,
    sent: bool,
    /// When the look-up of its address began.
    looked_up_ns: u64,
}

impl Udp {
    fn open(&mut self, connection: &mut Connection, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        let route = match self.dialer.dial(shot, io, None) {
            Ok(found) => found,
            Err(NoPeer::Pending) => {
                connection.looked_up_ns = io.clock.now_ns();
                return Step::Running;
            }
            Err(NoPeer::Failed(code, text)) => {
                return end_failed(connection, shot, io, code, text);
            }
        };
        let Peer::Internet(peer) = route.peer else {
            let text = self.strings.intern("UDP over unix sockets isn't supported");
            return end_failed(connection, shot, io, code::ADDRESS, text);
        };
        connection.peer = Some(peer);
        let opened = Socket::datagrams(&peer, route.source).and_then(|socket| {
            io.register(&socket, connection.number.wrapping_add(1))
                .map(|()| socket)
        });
        match opened {
            Ok(socket) => {
                connection.number = connection.number.wrapping_add(1);
                connection.socket = Some(socket);
                connection.used = false;
            }
            Err(errno) => return self.fail(connection, shot, io, errno),
        }
        connection.address = shot.address;
        self.send(connection, shot, io)
    }

    /// Whether the worker's socket is ready for a hit: it can't receive anything that
    /// belongs to an earlier one.
    fn is_fresh(&self, connection: &mut Connection, address: StringId, io: &mut Io<'_>) -> bool {
        let (Some(socket), Some(peer)) = (&connection.socket, &connection.peer) else {
            return false;
        };
        if connection.address != address {
            return false;
        }
        if self.answer && connection.used {
            connection.used = false;
            return socket.renew(peer, io.scratch) == Ok(true);
        }
        true
    }

    fn send(&mut self, connection: &mut Connection, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        let Some(socket) = &connection.socket else {
            return Step::Running;
        };
        if shot.hit.connected_ns == 0 {
            shot.hit.connected_ns = if shot.hit.dns_us > 0 {
                io.clock.now_ns()
            } else {
                shot.hit.started_ns
            };
        }
        let sent = match &shot.payload {
            Payload::Memory(bytes) if bytes.len() as u64 <= DATAGRAM_BYTES_MAX => {
                socket.send(bytes)
            }
            _ => Err(Errno::MSGSIZE),
        };
        match sent {
            Ok(count) => {
                let now_ns = io.clock.now_ns();
                shot.hit.sent_ns = now_ns;
                shot.hit.sent_bytes = count as u64;
                connection.sent = true;
                connection.used = true;
                if self.answer {
                    return Step::Running;
                }
                shot.hit.ended_ns = now_ns;
                Step::Done
            }
            Err(Errno::AGAIN) => Step::Running,
            Err(errno) => self.fail(connection, shot, io, errno),
        }
    }

    fn fail(
        &mut self,
        connection: &mut Connection,
        shot: &mut Shot,
        io: &Io<'_>,
        errno: Errno,
    ) -> Step {
        let (code, text) = self
            .dialer
            .explain(errno.into(), connection.peer.map(Peer::Internet).as_ref());
        end_failed(connection, shot, io, code, text)
    }
}

impl Nib for Udp {
    type Connection = Connection;

    fn connection(&mut self) -> Connection {
        Connection::default()
    }

    fn start(&mut self, connection: &mut Connection, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        connection.kept.expect(shot.keep);
        connection.sent = false;
        if self.is_fresh(connection, shot.address, io) {
            return self.send(connection, shot, io);
        }
        connection.socket = None;
        self.open(connection, shot, io)
    }

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
        let Some(shot) = shot else {
            // No hit waits for it. Reading also clears errors of earlier datagrams.
            if let (true, Some(socket)) = (readiness.readable, &connection.socket) {
                let mut unasked = (0..UNASKED_MAX).map(|_| socket.receive(io.scratch));
                // If a peer sends more than that, the next hit gets a new socket.
                if unasked.all(|received| received.is_ok()) {
                    connection.socket = None;
                }
            }
            return Step::Running;
        };
        if !connection.sent {
            return if readiness.writable {
                self.send(connection, shot, io)
            } else {
                Step::Running
            };
        }
        let Some(socket) = &connection.socket else {
            return Step::Running;
        };
        match socket.receive(io.scratch) {
            Ok(count) => {
                let now_ns = io.clock.now_ns();
                connection.kept.wire(&io.scratch[..count]);
                connection.kept.body(&io.scratch[..count]);
                shot.hit.first_byte_ns = now_ns;
                shot.hit.ended_ns = now_ns;
                shot.hit.received_bytes = count as u64;
                Step::Done
            }
            Err(Errno::AGAIN) => Step::Running,
            Err(errno) => self.fail(connection, shot, io, errno),
        }
    }

    fn wake(&mut self, connection: &mut Connection, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        if connection.socket.is_some() {
            return Step::Running;
        }
        note_lookup(shot, connection.looked_up_ns, io);
        self.open(connection, shot, io)
    }

    fn abandon(&mut self, connection: &mut Connection) {
        connection.socket = None;
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
        connection.peer.as_ref().map(ToString::to_string)
    }

    fn fatal(&self) -> Option<Fatal> {
        self.dialer.fatal()
    }
}

fn end_failed(
    connection: &mut Connection,
    shot: &mut Shot,
    io: &Io<'_>,
    code: u16,
    text: StringId,
) -> Step {
    connection.socket = None;
    shot.fail(code, text, io)
}
