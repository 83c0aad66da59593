//! Sockets that never wait, over TCP, unix and UDP.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, bind, connect,
    connect_unspec, getsockname, recv, send, socket_with, sockopt,
};

/// Where a socket is connected to.
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
    /// Starts to connect a stream. Whether it succeeded is told by
    /// [`Socket::error`] once the socket is writable.
    pub fn connect(peer: &Peer, source: Option<IpAddr>) -> Result<Self, Errno> {
        let family = match peer {
            Peer::Internet(SocketAddr::V4(_)) => AddressFamily::INET,
            Peer::Internet(SocketAddr::V6(_)) => AddressFamily::INET6,
            Peer::Unix(_) => AddressFamily::UNIX,
        };
        let open = || -> Result<OwnedFd, Errno> {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let descriptor = socket_with(family, SocketType::STREAM, flags, None)?;
            if matches!(peer, Peer::Internet(_)) {
                sockopt::set_tcp_nodelay(&descriptor, true)?;
            }
            Ok(descriptor)
        };
        let descriptor = match (peer, source) {
            (Peer::Internet(address), Some(source)) => {
                connect_from(source, address, local_ports(), &NEXT_PORT, open)?
            }
            (Peer::Internet(address), None) => {
                let descriptor = open()?;
                started(connect(&descriptor, address))?;
                descriptor
            }
            (Peer::Unix(address), _) => {
                let descriptor = open()?;
                started(connect(&descriptor, address))?;
                descriptor
            }
        };
        Ok(Self { descriptor })
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
        if let Some(source) = source {
            bind(&descriptor, &SocketAddr::new(source, 0))?;
        }
        connect(&descriptor, address)?;
        Ok(Self { descriptor })
    }

    /// Connects a datagram socket to its peer once more, from another port, so that
    /// what still comes for the old one is nobody's. That costs a third of a new
    /// socket. False if the system can't do it: then a new one is needed.
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

    /// The local port, as long as no port was seen to change.
    fn port_if_unproven(&self) -> Result<Option<u16>, Errno> {
        if PORTS_CHANGE.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let address: Result<SocketAddr, _> = getsockname(&self.descriptor)?.try_into();
        Ok(address.ok().map(|address| address.port()))
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

fn started(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::INPROGRESS) => Ok(()),
        result => result,
    }
}

/// Datagrams that nobody waits for are read so far: the loop has other work to do.
const UNASKED_MAX: usize = 64;
/// Whether the system was seen to give a socket another port when it connects again.
static PORTS_CHANGE: AtomicBool = AtomicBool::new(false);

/// Ports that are tried for one connection.
const PORTS_TRIED_MAX: u32 = 256;
/// All event loops take their ports from here, so that they rarely meet.
static NEXT_PORT: AtomicU32 = AtomicU32::new(0);

/// Connects from that address. A port that the kernel chose when the socket is
/// bound would be no other socket's, whatever peer that one goes to, and they
/// would be used up; one that is named is shared by sockets to other peers.
fn connect_from(
    source: IpAddr,
    peer: &SocketAddr,
    ports: RangeInclusive<u16>,
    next: &AtomicU32,
    open: impl Fn() -> Result<OwnedFd, Errno>,
) -> Result<OwnedFd, Errno> {
    let count = u32::from(ports.end().saturating_sub(*ports.start())) + 1;
    for offset in offsets(next.fetch_add(1, Ordering::Relaxed), count) {
        let port = ports.start().saturating_add(offset);
        let descriptor = open()?;
        sockopt::set_socket_reuseaddr(&descriptor, true)?;
        match bind(&descriptor, &SocketAddr::new(source, port)) {
            Ok(()) => {}
            Err(Errno::ADDRINUSE | Errno::ACCESS) => continue,
            Err(errno) => return Err(errno),
        }
        match started(connect(&descriptor, peer)) {
            Ok(()) => return Ok(descriptor),
            Err(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) => {}
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::ADDRNOTAVAIL)
}

/// What is tried for connection n. Ports that are taken lie side by side: each try
/// goes far from the ones before (by the golden section), into the next gap.
fn offsets(n: u32, count: u32) -> impl Iterator<Item = u16> {
    let step = (u64::from(count) * 618 / 1000) | 1;
    let tries = 0..PORTS_TRIED_MAX.min(count);
    tries.map(move |k| ((u64::from(n) + u64::from(k) * step) % u64::from(count)) as u16)
}

/// The ports that are meant for this.
fn local_ports() -> RangeInclusive<u16> {
    static PORTS: OnceLock<RangeInclusive<u16>> = OnceLock::new();
    let read = || {
        let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok()?;
        let mut numbers = text.split_whitespace().map_while(|word| word.parse().ok());
        let ports = numbers.next()?..=numbers.next()?;
        (!ports.is_empty()).then_some(ports)
    };
    let ports = PORTS.get_or_init(|| {
        // Other programs start at the same place: begin somewhere else.
        NEXT_PORT.store(std::process::id().wrapping_mul(7919), Ordering::Relaxed);
        read().unwrap_or(32_768..=60_999)
    });
    ports.clone()
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
    use std::sync::atomic::AtomicU32;

    use rustix::io::Errno;
    use rustix::net::{AddressFamily, SocketType, socket};

    use super::{Socket, connect_from, offsets};

    /// What came, and what still comes, for an earlier question is nobody's answer.
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
    fn sockets_to_other_peers_share_a_source_port() {
        let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let listen = || TcpListener::bind((source, 0)).unwrap();
        let (first, second) = (listen(), listen());
        // A port that was free a moment ago.
        let port = listen().local_addr().unwrap().port();
        let connect = |peer: &TcpListener| {
            let open = || socket(AddressFamily::INET, SocketType::STREAM, None);
            let peer = peer.local_addr().unwrap();
            connect_from(source, &peer, port..=port, &AtomicU32::new(0), open)
        };
        let one = connect(&first).unwrap();
        let other = connect(&second).unwrap();
        assert_eq!(connect(&first).err(), Some(Errno::ADDRNOTAVAIL));
        drop((one, other));
    }

    #[test]
    fn a_free_port_is_found_among_many_that_are_taken() {
        for count in [1, 2, 7, 999, 28_232, 65_535] {
            let free = (count / 32).max(1);
            for n in (0..2 * count).step_by(1 + count as usize / 97) {
                assert!(
                    offsets(n, count).any(|port| u32::from(port) < free),
                    "{count}: {n}"
                );
            }
        }
    }
}
