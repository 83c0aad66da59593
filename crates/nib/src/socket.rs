//! Non-blocking sockets over TCP, unix and UDP.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::IpBindAddressNoPort;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect,
    connect_unspec, getsockname, recv, send, socket_with, sockopt,
};

/// The peer of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// TCP or UDP.
    Internet(SocketAddr),
    /// A unix stream socket.
    Unix(SocketAddrUnix),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Internet(address) => address.fmt(f),
            Self::Unix(address) => match address.path() {
                Some(path) => String::from_utf8_lossy(path.to_bytes()).fmt(f),
                None => "a unix socket".fmt(f),
            },
        }
    }
}

/// A connected (or connecting) socket.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
}

impl Socket {
    /// Starts to connect a stream. Once the socket is writable, [`Socket::error`] tells
    /// whether that succeeded.
    pub fn connect(peer: &Peer, source: Option<IpAddr>) -> Result<Self, Errno> {
        let family = match peer {
            Peer::Internet(SocketAddr::V4(_)) => AddressFamily::INET,
            Peer::Internet(SocketAddr::V6(_)) => AddressFamily::INET6,
            Peer::Unix(_) => AddressFamily::UNIX,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let descriptor = socket_with(family, SocketType::STREAM, flags, None)?;
        if matches!(peer, Peer::Internet(_)) {
            sockopt::set_tcp_nodelay(&descriptor, true)?;
        }
        match peer {
            Peer::Internet(address) => {
                if let Some(source) = source {
                    bind_without_port(&descriptor, source)?;
                }
                started(connect(&descriptor, address))?;
            }
            Peer::Unix(address) => started(connect(&descriptor, address))?,
        }
        Ok(Self { descriptor })
    }

    /// A datagram socket for one peer.
    pub fn datagrams(address: &SocketAddr, source: Option<IpAddr>) -> Result<Self, Errno> {
        let family = if address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let descriptor = socket_with(family, SocketType::DGRAM, flags, None)?;
        if let Some(source) = source {
            bind(&descriptor, &SocketAddr::new(source, 0))?;
        }
        connect(&descriptor, address)?;
        Ok(Self { descriptor })
    }

    /// Connects a datagram socket to its peer again, from another port, so that late
    /// datagrams for the old port don't reach it. This takes a third of the time of a new
    /// socket. False if the system can't do it and a new socket is needed.
    pub fn renew(&self, address: &SocketAddr, scratch: &mut [u8]) -> Result<bool, Errno> {
        let old = self.port_if_unproven()?;
        connect_unspec(&self.descriptor)?;
        let mut received = (0..UNASKED_MAX).map(|_| self.receive(scratch));
        if received.all(|received| received != Err(Errno::AGAIN)) {
            return Ok(false);
        }
        connect(&self.descriptor, address)?;
        if let Some(old) = old {
            if self.port_if_unproven()? == Some(old) {
                return Ok(false);
            }
            PORTS_CHANGE.store(true, Ordering::Relaxed);
        }
        Ok(true)
    }

    /// The local port, unless it was already seen to change on this system.
    fn port_if_unproven(&self) -> Result<Option<u16>, Errno> {
        if PORTS_CHANGE.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let address: Result<SocketAddr, _> = getsockname(&self.descriptor)?.try_into();
        Ok(address.ok().map(|address| address.port()))
    }

    /// Sends as many bytes as there is room for.
    #[inline]
    pub fn send(&self, bytes: &[u8]) -> Result<usize, Errno> {
        retry(|| send(&self.descriptor, bytes, SendFlags::NOSIGNAL))
    }

    /// Receives the available bytes; 0 means that the peer closed.
    #[inline]
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        retry(|| recv(&self.descriptor, &mut *buffer, RecvFlags::empty()).map(|(count, _)| count))
    }

    /// The error of connecting, or of an earlier datagram.
    pub fn error(&self) -> Option<Errno> {
        sockopt::socket_error(&self.descriptor)
            .unwrap_or_else(Err)
            .err()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> Self {
        socket.descriptor
    }
}

/// rustls reads and writes through these impls.
impl io::Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.receive(buffer)?)
    }
}

impl io::Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.send(bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Binds to an address, and leaves the choice of the port to `connect`. A port that
/// `bind` chooses is exclusive, whatever the peers, so ports would run out. A port that
/// `connect` chooses is unique only together with the peer (`ip(7)`).
fn bind_without_port(descriptor: &OwnedFd, source: IpAddr) -> Result<(), Errno> {
    setsockopt(descriptor, IpBindAddressNoPort, &true)
        .map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
    bind(descriptor, &SocketAddr::new(source, 0))
}

fn started(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::INPROGRESS) => Ok(()),
        result => result,
    }
}

/// The most unexpected datagrams that are read at once, because the loop has other work
/// to do.
const UNASKED_MAX: usize = 64;
/// Whether this system was seen to give a socket another port when it connects again.
static PORTS_CHANGE: AtomicBool = AtomicBool::new(false);

#[inline]
fn retry(mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

    use rustix::io::Errno;
    use rustix::net::{AddressFamily, SocketType, getsockname, socket};

    use super::{Peer, Socket, bind_without_port};

    /// Datagrams for an earlier question, received or on their way, don't reach the
    /// renewed socket.
    #[test]
    fn a_renewed_socket_has_another_port_and_nothing_to_receive() {
        let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = peer.local_addr().unwrap();
        let source = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
        let socket = Socket::datagrams(&address, Some(source)).unwrap();
        let mut buffer = [0; 100];
        let mut earlier = None;
        for _ in 0..8 {
            assert_eq!(socket.send(b"question"), Ok(8));
            let (_, from) = peer.recv_from(&mut buffer).unwrap();
            assert_eq!(from.ip(), source);
            if let Some(earlier) = earlier.replace(from) {
                assert_ne!(from, earlier);
                peer.send_to(b"late", earlier).unwrap();
                assert_eq!(socket.receive(&mut buffer), Err(Errno::AGAIN));
            }
            peer.send_to(b"answer", from).unwrap();
            peer.send_to(b"a second one", from).unwrap();
            assert_eq!(socket.receive(&mut buffer), Ok(6));
            assert_eq!(socket.renew(&address, &mut buffer), Ok(true));
        }
    }

    #[test]
    fn a_source_address_takes_no_port_before_the_peer_is_known() {
        for source in ["127.0.0.1", "::1"] {
            let source: IpAddr = source.parse().unwrap();
            let Ok(listener) = TcpListener::bind((source, 0)) else {
                continue; // a machine without IPv6
            };
            let family = match source {
                IpAddr::V4(_) => AddressFamily::INET,
                IpAddr::V6(_) => AddressFamily::INET6,
            };
            let descriptor = socket(family, SocketType::STREAM, None).unwrap();
            bind_without_port(&descriptor, source).unwrap();
            let bound: SocketAddr = getsockname(&descriptor).unwrap().try_into().unwrap();
            assert_eq!(bound, SocketAddr::new(source, 0));
            let peer = Peer::Internet(listener.local_addr().unwrap());
            let _socket = Socket::connect(&peer, Some(source)).unwrap();
            let (_, from) = listener.accept().unwrap();
            assert_eq!(from.ip(), source);
        }
    }
}
