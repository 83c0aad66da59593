//! Datagrams: send one, wait for one, or don't.

use std::net::IpAddr;

use rustix::io::Errno;

use super::address::{AddressBook, Lookup};
use super::socket::{Peer, Socket};
use super::{Io, Nib, Readiness, Shot, Step, code};
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
    addresses: AddressBook,
    strings: Strings,
    sources: Vec<IpAddr>,
    source_next: usize,
    answer: bool,
    keep_bytes_max: usize,
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
}

impl Udp {
    /// Of one event loop.
    pub fn new(settings: &UdpSettings, addresses: AddressBook, strings: &Strings) -> Self {
        Self {
            addresses,
            strings: strings.clone(),
            sources: settings.network.source_addresses.clone(),
            source_next: 0,
            answer: settings.answer,
            keep_bytes_max: settings.network.keep_answer_bytes_max,
            fatal: None,
        }
    }

    fn open(&mut self, connection: &mut Connection, shot: &mut Shot, io: &mut Io<'_>) -> Step {
        let endpoint = match self
            .addresses
            .lookup(shot.address, io.worker, shot.hit.started_ns)
        {
            Lookup::Ready(endpoint) => endpoint,
            Lookup::Pending => return Step::Running,
            Lookup::Failed(code, text) => return end_failed(connection, shot, io, code, text),
        };
        let Peer::Internet(peer) = *endpoint.next_peer() else {
            let text = self.strings.intern("UDP over a unix socket isn't there");
            return end_failed(connection, shot, io, code::ADDRESS, text);
        };
        let source = self.sources.get(self.source_next).copied();
        self.source_next = (self.source_next + 1) % self.sources.len().max(1);
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
        connection.kept.clear();
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
                if self.keep_bytes_max > 0 {
                    connection
                        .kept
                        .extend_from_slice(&io.scratch[..count.min(self.keep_bytes_max)]);
                }
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
        let waited_ns = io.clock.now_ns().saturating_sub(shot.hit.started_ns);
        shot.hit.dns_us = (waited_ns / 1000).min(u64::from(u32::MAX)) as u32;
        self.open(connection, shot, io)
    }

    fn abandon(&mut self, connection: &mut Connection) {
        connection.socket = None;
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
