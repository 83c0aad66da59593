//! Connects to a peer, with or without TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;

use super::options::Options;
use crate::socket::{Stream, tls_reason, watch};
use crate::tls::ClientTls;
use crate::{Counters, Error, ErrorCode, lock, tls};

/// The age after which certificates and keys are read again for a new connection.
const TLS_CONFIG_AGE_MAX: Duration = Duration::from_secs(10);

/// Makes connections with the same options.
pub(super) struct Connector {
    options: Options,
    counters: Arc<Counters>,
    peer: String,
    /// Whether a connection was lost, and no other one was made since.
    lost: AtomicBool,
    /// The configuration from the files, and when they were read.
    tls: Mutex<Option<(Instant, Arc<ClientConfig>)>>,
}

impl Connector {
    pub(super) fn new(options: Options, counters: Arc<Counters>) -> Self {
        Self {
            peer: options.peer(),
            options,
            counters,
            lost: AtomicBool::new(false),
            tls: Mutex::default(),
        }
    }

    pub(super) fn peer(&self) -> &str {
        &self.peer
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    /// Connects, or fails within [`Options::connect_timeout`].
    pub(super) async fn connect(&self) -> Result<Stream, Error> {
        let began = Instant::now();
        let connected = self.try_connect().await;
        match &connected {
            Ok(_) if self.lost.swap(false, Ordering::Relaxed) => self.counters.reconnected(),
            Ok(_) => self.counters.connected(began.elapsed()),
            Err(_) => self.counters.not_connected(),
        }
        connected
    }

    /// Counts a connection that was lost although it was still needed.
    pub(super) fn lost(&self) {
        self.lost.store(true, Ordering::Relaxed);
        self.counters.lost();
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    async fn try_connect(&self) -> Result<Stream, Error> {
        let limit = self.options.connect_timeout;
        let deadline = Instant::now() + limit;
        let tcp = self.connect_tcp(deadline).await?;
        let Some(tls) = &self.options.tls else {
            return Ok(Stream::Plain(tcp));
        };
        let config = self.tls_config(tls).await?;
        let name = tls.server_name.as_deref().unwrap_or(&self.options.host);
        let handshake = TlsConnector::from(config).connect(tls::server_name(name)?, tcp);
        let peer = &self.peer;
        match timeout_at(deadline, handshake).await {
            Ok(Ok(stream)) => Ok(Stream::Tls(Box::new(stream.into()))),
            Ok(Err(error)) => Err(Error::new(
                ErrorCode::TlsFailure,
                format!("TLS with {peer} failed: {}", tls_reason(&error)),
            )),
            Err(_) => Err(Error::new(
                ErrorCode::TlsFailure,
                format!("TLS with {peer} failed: no answer within {limit:?}"),
            )),
        }
    }

    /// Reads the files on another thread, unless that was a short while ago. An error
    /// isn't kept, because the files may be corrected.
    async fn tls_config(&self, tls: &ClientTls) -> Result<Arc<ClientConfig>, Error> {
        if let Some((read, config)) = &*lock(&self.tls)
            && read.elapsed() < TLS_CONFIG_AGE_MAX
        {
            return Ok(Arc::clone(config));
        }
        let tls = tls.clone();
        let config = tokio::task::spawn_blocking(move || tls.config()).await;
        let config = config.map_err(|error| {
            let text = format!("TLS set-up: {error}");
            Error::new(ErrorCode::Internal, text)
        })??;
        *lock(&self.tls) = Some((Instant::now(), Arc::clone(&config)));
        Ok(config)
    }

    async fn connect_tcp(&self, deadline: Instant) -> Result<TcpStream, Error> {
        let addresses = self.resolve(deadline).await?;
        let mut reason = None;
        for (index, &address) in addresses.iter().enumerate() {
            // The remaining addresses share the remaining time.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / (addresses.len() - index) as u32;
            reason = match timeout(share, self.connect_to(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => Some(connect_reason(&error)),
                Err(_) => Some(format!("no answer within {share:.1?}")),
            };
        }
        let tried = match addresses.len() {
            0 => " (it has no address of the family of source_addr)".to_owned(),
            1 => String::new(),
            count => format!(" (the last of {count} addresses)"),
        };
        Err(Error::new(
            ErrorCode::ConnectionRefused,
            format!(
                "cannot connect to {}: {}{tried}",
                self.peer,
                reason.unwrap_or_else(|| "nowhere to connect to".into())
            ),
        ))
    }

    async fn resolve(&self, deadline: Instant) -> Result<Vec<SocketAddr>, Error> {
        let unresolved = |reason: &dyn std::fmt::Display| {
            let text = format!("cannot resolve {:?}: {reason}", self.options.host);
            Error::new(ErrorCode::UnresolvedHost, text)
        };
        let lookup = tokio::net::lookup_host((self.options.host.as_str(), self.options.port));
        let found = timeout_at(deadline, lookup).await;
        let found = found
            .map_err(|_| {
                unresolved(&format!(
                    "no answer within {:?}",
                    self.options.connect_timeout
                ))
            })?
            .map_err(|error| unresolved(&error))?;
        let source = self.options.source_addr;
        Ok(found
            .filter(|address| source.is_none_or(|source| source.is_ipv4() == address.is_ipv4()))
            .collect())
    }

    async fn connect_to(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = match address.ip() {
            IpAddr::V4(_) => TcpSocket::new_v4()?,
            IpAddr::V6(_) => TcpSocket::new_v6()?,
        };
        if let Some(source) = self.options.source_addr {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(address).await?;
        stream.set_nodelay(self.options.nodelay)?;
        watch(&stream, self.options.keepalive)?;
        Ok(stream)
    }
}

fn connect_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrNotAvailable => {
            format!("{error}: no local port is free, or source_addr isn't an address of this host")
        }
        _ => error.to_string(),
    }
}
