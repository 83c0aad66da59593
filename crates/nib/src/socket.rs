//! Sockets that never wait, over TCP, unix and UDP.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect,
    recv, send, socket_with, sockopt,
};

/// Where a socket is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// TCP or UDP.
    Internet(SocketAddr),
    /// A unix stream socket.
    Unix(SocketAddrUnix),
}

/// A connected (or connecting) socket.
#[derive(Debug)]
pub struct Socket {
    descriptor: OwnedFd,
}

impl Socket {
    /// Starts to connect a stream. Whether it succeeded is told by
    /// [`Socket::error`] once the socket is writable.
    pub fn connect(peer: &Peer, source: Option<IpAddr>) -> Result<Self, Errno> {
        let family = match peer {
            Peer::Internet(SocketAddr::V4(_)) => AddressFamily::INET,
            Peer::Internet(SocketAddr::V6(_)) => AddressFamily::INET6,
            Peer::Unix(_) => AddressFamily::UNIX,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let descriptor = socket_with(family, SocketType::STREAM, flags, None)?;
        let started = match peer {
            Peer::Internet(address) => {
                sockopt::set_tcp_nodelay(&descriptor, true)?;
                bind_source(&descriptor, source)?;
                connect(&descriptor, address)
            }
            Peer::Unix(address) => connect(&descriptor, address),
        };
        match started {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Self { descriptor }),
            Err(error) => Err(error),
        }
    }

    /// A datagram socket that talks to one peer only.
    pub fn datagrams(address: &SocketAddr, source: Option<IpAddr>) -> Result<Self, Errno> {
        let family = if address.is_ipv4() {
            AddressFamily::INET
        } else {
            AddressFamily::INET6
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let descriptor = socket_with(family, SocketType::DGRAM, flags, None)?;
        bind_source(&descriptor, source)?;
        connect(&descriptor, address)?;
        Ok(Self { descriptor })
    }

    /// Sends what there is room for.
    #[inline]
    pub fn send(&self, bytes: &[u8]) -> Result<usize, Errno> {
        retry(|| send(&self.descriptor, bytes, SendFlags::NOSIGNAL))
    }

    /// Receives what is there; 0 = the peer closed.
    #[inline]
    pub fn receive(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        retry(|| recv(&self.descriptor, &mut *buffer, RecvFlags::empty()).map(|(count, _)| count))
    }

    /// The error that connecting (or an earlier datagram) ended with.
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

/// rustls reads and writes through these.
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

fn bind_source(descriptor: &OwnedFd, source: Option<IpAddr>) -> Result<(), Errno> {
    source.map_or(Ok(()), |address| {
        bind(descriptor, &SocketAddr::new(address, 0))
    })
}

#[inline]
fn retry(mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}
