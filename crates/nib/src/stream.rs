//! A stream of bytes to a peer, plain or through TLS.

mod tunnel;

use std::io::{Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

use rustix::io::Errno;
use rustls::{AlertDescription, ClientConfig, ClientConnection};

use crate::proxy::ProxySettings;
use crate::socket::{Peer, Socket};
use crate::tls;
use tunnel::Tunnel;

/// An open connection.
#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
    /// The tunnel that is requested before TLS begins.
    tunnel: Option<Box<Tunnel>>,
}

/// Why a stream can't be used any more.
#[derive(Debug)]
pub enum StreamError {
    /// An error of the operating system.
    System(Errno),
    /// The peer closed.
    Closed,
    /// An error of TLS.
    Tls(String),
    /// The peer supports none of the protocols that TLS offered (ALPN).
    NoProtocol,
    /// The proxy didn't connect to the target, with the reason.
    Proxy(String),
}

impl StreamError {
    /// Whether another address of the same name may work.
    pub fn is_of_address(&self) -> bool {
        matches!(
            self,
            Self::System(
                Errno::CONNREFUSED
                    | Errno::CONNRESET
                    | Errno::HOSTUNREACH
                    | Errno::NETUNREACH
                    | Errno::TIMEDOUT
                    | Errno::ADDRNOTAVAIL
                    | Errno::AFNOSUPPORT
                    | Errno::ACCESS
                    | Errno::PERM
            )
        )
    }
}

impl From<Errno> for StreamError {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

impl Stream {
    /// Starts to connect. With TLS, the peer's certificate must have this name.
    pub fn open(
        peer: &Peer,
        source: Option<IpAddr>,
        tls: Option<(Arc<ClientConfig>, String)>,
    ) -> Result<Self, StreamError> {
        let tls = match tls {
            None => None,
            Some((config, name)) => {
                let bad_name = || StreamError::Tls(format!("'{name}' can't be a server's name"));
                let server = tls::server_name(&name).ok_or_else(bad_name)?;
                let session = ClientConnection::new(config, server)
                    .map_err(|error| StreamError::Tls(tls::reason(&error)))?;
                Some(Box::new(session))
            }
        };
        Ok(Self {
            socket: Socket::connect(peer, source)?,
            tls,
            tunnel: None,
        })
    }

    /// Sets the peer up as a proxy: TLS begins behind a tunnel to this host and port.
    pub fn tunnel_to(&mut self, proxy: &ProxySettings, authority: &str) {
        self.tunnel = Some(Box::new(Tunnel::new(proxy, authority)));
    }

    /// The socket, for registration.
    #[inline]
    pub fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Whether the stream uses TLS.
    #[inline]
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// The protocol that the peer chose from the offered ones (ALPN).
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tls.as_deref()?.alpn_protocol()
    }

    /// Whether the stream is connected; an error if connecting failed.
    pub fn connected(&self) -> Result<bool, StreamError> {
        if let Some(errno) = self.socket.error() {
            return Err(StreamError::System(errno));
        }
        match rustix::net::getpeername(&self.socket) {
            Ok(_) => Ok(true),
            Err(Errno::NOTCONN) => Ok(false),
            Err(errno) => Err(StreamError::System(errno)),
        }
    }

    /// Continues the handshake; true at its end.
    pub fn shake_hands(&mut self) -> Result<bool, StreamError> {
        let Some(tls) = self.tls.as_deref_mut() else {
            return Ok(true);
        };
        if let Some(tunnel) = &mut self.tunnel {
            if !tunnel.advance(&self.socket)? {
                return Ok(false);
            }
            self.tunnel = None;
        }
        let mut pulls = 0;
        while tls.is_handshaking() {
            push(tls, &self.socket)?;
            if tls.wants_write() || !pull(tls, &self.socket)? {
                break;
            }
            count_pull(&mut pulls)?;
        }
        // The last flight of the handshake may still wait; send it before the request.
        push(tls, &self.socket)?;
        Ok(!tls.is_handshaking())
    }

    /// Sends as many bytes as there is room for; `None` means to wait for room.
    #[inline]
    pub fn send(&mut self, bytes: &[u8]) -> Result<Option<usize>, StreamError> {
        let Some(tls) = self.tls.as_deref_mut() else {
            return match self.socket.send(bytes) {
                Ok(count) => Ok(Some(count)),
                Err(Errno::AGAIN) => Ok(None),
                Err(errno) => Err(StreamError::System(errno)),
            };
        };
        push(tls, &self.socket)?;
        if tls.wants_write() {
            return Ok(None);
        }
        let count = tls.writer().write(bytes).map_err(tls_failure)?;
        push(tls, &self.socket)?;
        Ok(Some(count))
    }

    /// Whether everything that was sent has left.
    #[inline]
    pub fn flushed(&mut self) -> Result<bool, StreamError> {
        let Some(tls) = self.tls.as_deref_mut() else {
            return Ok(true);
        };
        push(tls, &self.socket)?;
        Ok(!tls.wants_write())
    }

    /// Receives the available bytes; `None` means to wait, 0 that the peer closed.
    #[inline]
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, StreamError> {
        let Some(tls) = self.tls.as_deref_mut() else {
            return match self.socket.receive(buffer) {
                Ok(count) => Ok(Some(count)),
                Err(Errno::AGAIN) => Ok(None),
                Err(errno) => Err(StreamError::System(errno)),
            };
        };
        let mut pulls = 0;
        loop {
            match tls.reader().read(buffer) {
                Ok(count) => return Ok(Some(count)),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                // The peer closed without a close_notify. An answer with a length is
                // complete all the same; an answer without one isn't.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                    return Err(StreamError::Closed);
                }
                Err(error) => return Err(tls_failure(error)),
            }
            if !pull(tls, &self.socket)? {
                return Ok(None);
            }
            count_pull(&mut pulls)?;
        }
    }

    /// Handles messages of TLS itself (tickets) between hits; false if any other data
    /// came.
    pub fn idle_ok(&mut self, scratch: &mut [u8]) -> bool {
        matches!(self.receive(scratch), Ok(None))
    }
}

fn push(session: &mut ClientConnection, mut socket: &Socket) -> Result<(), StreamError> {
    while session.wants_write() {
        match session.write_tls(&mut socket) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(tls_failure(error)),
        }
    }
    Ok(())
}

/// Reads from the socket; false if there was nothing.
fn pull(session: &mut ClientConnection, mut socket: &Socket) -> Result<bool, StreamError> {
    match session.read_tls(&mut socket) {
        Ok(count) => {
            let state = session.process_new_packets().map_err(|error| {
                // The alert tells the peer the reason; it doesn't matter whether it
                // arrives.
                let _sent = session.write_tls(&mut socket);
                match error {
                    rustls::Error::NoApplicationProtocol
                    | rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                        StreamError::NoProtocol
                    }
                    error => StreamError::Tls(tls::reason(&error)),
                }
            })?;
            if count == 0 && !state.peer_has_closed() && session.is_handshaking() {
                return Err(StreamError::Closed);
            }
            Ok(true)
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(tls_failure(error)),
    }
}

/// The most reads in one turn that give no data to the protocol. A record of 16 KiB or a
/// long chain of certificates takes some; more only come from a peer that wants to keep
/// us busy.
const PULLS_MAX: u32 = 256;

fn count_pull(pulls: &mut u32) -> Result<(), StreamError> {
    *pulls += 1;
    if *pulls > PULLS_MAX {
        let text = "the peer sends endless TLS messages";
        return Err(StreamError::Tls(text.to_owned()));
    }
    Ok(())
}

fn tls_failure(error: std::io::Error) -> StreamError {
    match Errno::from_io_error(&error) {
        Some(errno) => StreamError::System(errno),
        None => {
            let source = error.get_ref().and_then(|source| source.downcast_ref());
            StreamError::Tls(source.map_or_else(|| error.to_string(), tls::reason))
        }
    }
}
