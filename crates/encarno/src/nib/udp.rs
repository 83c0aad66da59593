//! Datagrams: send one, wait for one, or don't.

use rustix::io::Errno;

use super::address::AddressBook;
use super::dial::{Dialer, NoPeer, note_lookup};
use super::socket::{Peer, Socket};
use super::{Io, Nib, Readiness, Shot, Step, code, forget};
use crate::hit::Payload;
use crate::settings::UdpSettings;
use crate::strings::{StringId, Strings};

/// The largest payload of a datagram.
const DATAGRAM_BYTES_MAX: u64 = 65_507;

/// The UDP nib of one event loop.
///
/// Each worker has a socket of its own, connected to the peer, so that an
/// answer can be nobody else's. An answer that comes after its hit timed out
/// would be taken for the next one's: the socket is closed with the hit.
#[derive(Debug)]
pub struct Udp {
    dialer: Dialer,
    strings: Strings,
    answer: bool,
    fatal: Option<Errno>,
}

/// A worker's socket.
#[derive(Debug, Default)]
pub struct Connection {
    socket: Option<Socket>,
    number: u32,
    address: StringId,
    kept: Vec<u8>,
    sent: bool,
    /// When its address began to be looked up.
    looked_up_ns: u64,
}

impl Udp {
    /// Of one event loop.
    pub fn new(settings: &UdpSettings, addresses: AddressBook, strings: &Strings) -> Self {
        Self {
            dialer: Dialer::new(&settings.network, addresses),
            strings: strings.clone(),
            answer: settings.answer,
            fatal: None,
        }
    }

    fn open(&mut self, connection: &mut Connection, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        let (endpoint, source) = match self.dialer.dial(shot, io) {
            Ok(found) => found,
            Err(NoPeer::Pending) => {
                connection.looked_up_ns = io.clock.now_ns();
                return Step::Running;
            }
            Err(NoPeer::Failed(code, text)) => {
                return end_failed(connection, shot, io, code, text);
            }
        };
        let Peer::Internet(peer) = *endpoint.next_peer() else {
            let text = self.strings.intern("UDP over a unix socket isn't there");
            return end_failed(connection, shot, io, code::ADDRESS, text);
        };
        let opened = Socket::datagrams(&peer, source).and_then(|socket| {
            io.register(&socket, connection.number.wrapping_add(1))
                .map(|()| socket)
        });
        match opened {
            Ok(socket) => {
                connection.number = connection.number.wrapping_add(1);
                connection.socket = Some(socket);
            }
            Err(errno) => return self.fail(connection, shot, io, errno),
        }
        connection.address = shot.address;
        self.send(connection, shot, io)
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
        if matches!(errno, Errno::MFILE | Errno::NFILE) {
            self.fatal = Some(errno);
        }
        let text = self
            .strings
            .intern(&std::io::Error::from(errno).to_string());
        end_failed(connection, shot, io, errno.raw_os_error() as u16, text)
    }
}

impl Nib for Udp {
    type Connection = Connection;

    fn connection(&mut self) -> Connection {
        Connection::default()
    }

    fn start(&mut self, connection: &mut Connection, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        forget(&mut connection.kept);
        connection.sent = false;
        if connection.socket.is_some() && connection.address == shot.address {
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
            // Nobody waits for it. Errors of earlier datagrams are taken off.
            if let (true, Some(socket)) = (readiness.readable, &connection.socket) {
                while socket.receive(io.scratch).is_ok() {}
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
                shot.keep(&mut connection.kept, &io.scratch[..count]);
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

    fn answer<'a>(&self, connection: &'a Connection) -> &'a [u8] {
        &connection.kept
    }

    fn fatal(&self) -> Option<Errno> {
        self.fatal
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
    shot.hit.net_code = code;
    shot.hit.error = text;
    shot.hit.ended_ns = io.clock.now_ns();
    Step::Done
}
