//! The listening sockets.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use encarno_nib::poll::Poller;

/// A listening socket.
#[derive(Debug)]
pub(super) enum Ears {
    Streams(TcpListener),
    Datagrams(UdpSocket),
}

/// The result of listening.
pub(super) enum Heard<'a> {
    Client(TcpStream),
    Datagram(&'a [u8], SocketAddr),
    /// The client or datagram is gone, but there may be more.
    Gone,
    /// There is nothing more.
    Nothing,
}

impl Ears {
    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Streams(listener) => listener.local_addr(),
            Self::Datagrams(socket) => socket.local_addr(),
        }
    }

    /// Registers the socket; its events have this token from now on.
    pub(super) fn register(&self, poller: &Poller, token: u64) -> io::Result<()> {
        match self {
            Self::Streams(listener) => {
                listener.set_nonblocking(true)?;
                poller.register(listener, token)?;
            }
            Self::Datagrams(socket) => {
                socket.set_nonblocking(true)?;
                poller.register(socket, token)?;
            }
        }
        Ok(())
    }

    pub(super) fn hear<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Heard<'a>> {
        let heard = match self {
            Self::Streams(listener) => listener.accept().map(|(stream, _)| Heard::Client(stream)),
            Self::Datagrams(socket) => socket
                .recv_from(buffer)
                .map(|(count, from)| Heard::Datagram(&buffer[..count], from)),
        };
        match heard {
            Ok(Heard::Client(stream)) => {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                Ok(Heard::Client(stream))
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => Ok(Heard::Nothing),
                // The client went away before it was accepted, or this is an earlier
                // datagram's error.
                ErrorKind::ConnectionAborted
                | ErrorKind::ConnectionRefused
                | ErrorKind::Interrupted => Ok(Heard::Gone),
                _ => Err(error),
            },
            heard => heard,
        }
    }

    /// Sends a datagram.
    pub(super) fn send_to(&self, bytes: &[u8], to: SocketAddr) -> bool {
        match self {
            Self::Streams(_) => false,
            Self::Datagrams(socket) => socket.send_to(bytes, to).is_ok(),
        }
    }
}
