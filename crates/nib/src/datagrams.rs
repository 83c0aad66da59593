//! UDP sockets for connections that are made of datagrams: many of them in one system call,
//! where the system can (GSO and GRO).

use std::fmt;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use quinn_udp::{EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::io::Errno;

use crate::socket::Socket;

/// The most datagrams of one call.
const SEGMENTS_MAX: usize = 32;

/// A UDP socket.
pub struct Datagrams {
    descriptor: OwnedFd,
    state: UdpSocketState,
}

/// Datagrams that arrived together.
#[derive(Debug)]
pub struct Arrived<'a> {
    /// The sender.
    pub from: SocketAddr,
    /// The mark of congestion, if there is one.
    pub ecn: Option<u8>,
    /// All datagrams, one after the other.
    pub bytes: &'a [u8],
    /// The length of each but the last.
    pub stride: usize,
}

/// Datagrams for one peer.
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    /// The peer.
    pub to: SocketAddr,
    /// The source address, if the socket has several.
    pub source: Option<IpAddr>,
    /// The mark of congestion.
    pub ecn: Option<u8>,
    /// All datagrams, one after the other.
    pub bytes: &'a [u8],
    /// The length of each but the last; `None` if there is one.
    pub segment: Option<usize>,
}

impl Datagrams {
    /// A socket that talks to this peer alone.
    pub fn connect(peer: &SocketAddr, source: Option<IpAddr>) -> Result<Self, Errno> {
        let socket = Socket::datagrams(peer, source)?;
        Self::of(socket.into()).map_err(|error| {
            let number = error.raw_os_error();
            number.map_or(Errno::IO, Errno::from_raw_os_error)
        })
    }

    /// A socket at which peers ask.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Self::of(UdpSocket::bind(address)?.into())
    }

    fn of(descriptor: OwnedFd) -> io::Result<Self> {
        let state = UdpSocketState::new(UdpSockRef::from(&descriptor))?;
        Ok(Self { descriptor, state })
    }

    /// The most datagrams that can be sent at once.
    pub fn segments_max(&self) -> usize {
        self.state.max_gso_segments().clamp(1, SEGMENTS_MAX)
    }

    /// Receives datagrams; `None` if there are none. A buffer of 64 KiB takes all that come
    /// at once.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> io::Result<Option<Arrived<'a>>> {
        let mut meta = [RecvMeta::default()];
        loop {
            let socket = UdpSockRef::from(&self.descriptor);
            let received = self
                .state
                .recv(socket, &mut [IoSliceMut::new(&mut *buffer)], &mut meta);
            return match received {
                Ok(_) => Ok(Some(Arrived {
                    from: meta[0].addr,
                    ecn: meta[0].ecn.map(|ecn| ecn as u8),
                    bytes: &buffer[..meta[0].len],
                    stride: meta[0].stride,
                })),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) => Err(error),
            };
        }
    }

    /// Sends datagrams; false if there is no room for them. One that is too long for the
    /// path is lost, as on the path.
    pub fn send(&self, leaving: &Leaving<'_>) -> io::Result<bool> {
        let transmit = Transmit {
            destination: leaving.to,
            ecn: leaving.ecn.and_then(EcnCodepoint::from_bits),
            contents: leaving.bytes,
            segment_size: leaving.segment,
            src_ip: leaving.source,
        };
        loop {
            let sent = self
                .state
                .try_send(UdpSockRef::from(&self.descriptor), &transmit);
            return match sent {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
                Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => {
                    Ok(true)
                }
                Err(error) => Err(error),
            };
        }
    }
}

impl AsFd for Datagrams {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl fmt::Debug for Datagrams {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Datagrams")
    }
}
