//! The listening sockets.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use encarno_nib::poll::Poller;

use super::wire::Socket;

/// A listening socket.
#[derive(Debug)]
pub(super) enum Ears {
    Streams(TcpListener),
    Datagrams(UdpSocket),
}

/// The result of listening.
pub(super) enum Heard<'a> {
    Client(Socket),
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
            Self::Streams(listener) => listener.accept().and_then(|(stream, _)| {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                Ok(Heard::Client(Socket::Network(stream)))
            }),
            Self::Datagrams(socket) => socket
                .recv_from(buffer)
                .map(|(count, from)| Heard::Datagram(&buffer[..count], from)),
        };
        heard.or_else(nothing_heard)
    }

    /// Sends a datagram.
    pub(super) fn send_to(&self, bytes: &[u8], to: SocketAddr) -> bool {
        match self {
            Self::Streams(_) => false,
            Self::Datagrams(socket) => socket.send_to(bytes, to).is_ok(),
        }
    }
}

/// What an error means, if listening goes on.
fn nothing_heard<'a>(error: io::Error) -> io::Result<Heard<'a>> {
    match error.kind() {
        ErrorKind::WouldBlock => Ok(Heard::Nothing),
        // The client went away before it was accepted, or this is an earlier datagram's
        // error.
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionRefused | ErrorKind::Interrupted => {
            Ok(Heard::Gone)
        }
        _ => Err(error),
    }
}

/// A listening unix socket.
#[derive(Debug)]
pub(super) struct LocalEars {
    listener: UnixListener,
    path: PathBuf,
}

impl LocalEars {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let named = |error: io::Error| {
            let way_out = match error.kind() {
                ErrorKind::AddrInUse => ": the file is there already, delete it if nobody listens",
                _ => "",
            };
            io::Error::new(
                error.kind(),
                format!("{}: {error}{way_out}", path.display()),
            )
        };
        let listener = UnixListener::bind(&path).map_err(named)?;
        listener.set_nonblocking(true)?;
        // The standard library asks for 128, as for TCP.
        rustix::net::listen(&listener, super::BACKLOG)?;
        Ok(Self { listener, path })
    }

    /// Registers the socket; its events have this token from now on.
    pub(super) fn register(&self, poller: &Poller, token: u64) -> io::Result<()> {
        Ok(poller.register(&self.listener, token)?)
    }

    pub(super) fn hear(&self) -> io::Result<Heard<'static>> {
        let heard = self.listener.accept().and_then(|(stream, _)| {
            stream.set_nonblocking(true)?;
            Ok(Heard::Client(Socket::Local(stream)))
        });
        heard.or_else(nothing_heard)
    }
}

impl Drop for LocalEars {
    fn drop(&mut self) {
        // If somebody else deleted it, it is gone.
        let _ = std::fs::remove_file(&self.path);
    }
}
