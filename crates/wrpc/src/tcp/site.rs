//! The state that all connections of a server share.

use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::READ_BYTES;
use super::frames;
use super::shared_calls::Connections;
use crate::memory::Reservation;
use crate::memory::Source;
use crate::outbox::Outbox;
use crate::serve::{Check, Export, Limits};
use crate::socket::Stream;
use crate::tls::ServerTls;
use crate::value::DecodeError;
use crate::{Error, ErrorCode};

/// The memory of a connection: buffers for reading and writing.
pub(super) const CONNECTION_BYTES: usize = READ_BYTES;

/// The settings of a server for connections.
#[derive(Clone, Debug)]
pub struct Settings {
    /// TLS, if it is used.
    pub tls: Option<ServerTls>,
    /// The most open connections.
    pub connections_max: usize,
    /// How long a connection may take to show its kind, including TLS.
    pub header_timeout: Duration,
    /// How long a shared connection may be without calls.
    pub idle_max: Duration,
    /// A peer that reads nothing, or doesn't answer the kernel, for this time is dropped.
    pub silence_max: Duration,
}

impl Settings {
    /// How often idle connections are looked for.
    pub(super) fn round(&self) -> Duration {
        let shortest = self.header_timeout.min(self.idle_max) / 2;
        shortest.clamp(Duration::from_millis(10), Duration::from_secs(1))
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tls: None,
            connections_max: 10_000,
            header_timeout: Duration::from_secs(5),
            idle_max: Duration::from_secs(60),
            silence_max: Duration::from_secs(10),
        }
    }
}

/// The place of a connection, which counts against the limit.
pub(super) struct Seat {
    _place: OwnedSemaphorePermit,
    pub(super) memory: Reservation,
}

/// The state that all connections of a server share.
pub(super) struct Site {
    pub(super) tls: Option<TlsAcceptor>,
    /// The checks of functions, and whether their calls may have streams.
    checks: Vec<(Check, bool)>,
    /// Functions by their names in wire form.
    functions: HashMap<Bytes, usize>,
    pub(super) limits: Limits,
    pub(super) settings: Settings,
    places: Arc<Semaphore>,
    pub(super) shared: Connections,
    is_draining: AtomicBool,
    connections: AtomicU64,
}

impl Site {
    pub(super) fn new(
        tls: Option<TlsAcceptor>,
        exports: Vec<Export>,
        limits: Limits,
        settings: Settings,
    ) -> Self {
        let mut functions = HashMap::new();
        let mut checks = Vec::new();
        for (index, export) in exports.into_iter().enumerate() {
            let function = frames::FunctionNames::new(&export.instance, &export.function);
            functions.insert(Bytes::copy_from_slice(function.names()), index);
            checks.push((export.check, export.has_streams));
        }
        Self {
            tls,
            checks,
            functions,
            limits,
            places: Arc::new(Semaphore::new(settings.connections_max)),
            settings,
            shared: Connections::default(),
            is_draining: AtomicBool::new(false),
            connections: AtomicU64::new(0),
        }
    }

    /// A place for a connection, if one is free.
    pub(super) fn seat(&self) -> Result<Seat, Error> {
        let place = Arc::clone(&self.places).try_acquire_owned();
        self.seat_at(place.map_err(|_| self.is_full())?)
    }

    /// A place for a connection at the expense of an idle one, if there is one.
    pub(super) async fn seat_of_an_idle_one(&self) -> Option<Seat> {
        if !self.shared.end_longest_idle(self.settings.header_timeout) {
            return None;
        }
        // The place and its memory are free when that connection has gone.
        let seat = async {
            Some(Seat {
                _place: Arc::clone(&self.places).acquire_owned().await.ok()?,
                memory: self.limits.memory.reserve_when_free(CONNECTION_BYTES).await,
            })
        };
        timeout(Duration::from_secs(1), seat).await.ok()?
    }

    /// Ends idle connections.
    pub(super) fn end_idle(&self) {
        let settings = &self.settings;
        self.shared
            .end_idle(settings.header_timeout, settings.idle_max);
    }

    fn is_full(&self) -> Error {
        let limit = self.settings.connections_max;
        let text = format!("the receiver has {limit} connections already (--max-connections)");
        Error::new(ErrorCode::ReceiverBusy, text)
    }

    fn seat_at(&self, place: OwnedSemaphorePermit) -> Result<Seat, Error> {
        let memory = self.limits.memory.reserve(CONNECTION_BYTES);
        Ok(Seat {
            _place: place,
            memory: memory.ok_or_else(|| self.limits.memory.used_up())?,
        })
    }

    /// The next number of a connection, as a source of parameters.
    pub(super) fn next_source(&self) -> Source {
        Source(self.connections.fetch_add(1, Ordering::Relaxed))
    }

    /// Stops taking calls.
    pub(super) fn drain(&self) {
        self.is_draining.store(true, Ordering::SeqCst);
        self.shared.go_away();
    }

    /// The position of the function with these names.
    pub(super) fn find(&self, names: &[u8]) -> Result<usize, Error> {
        if self.is_draining.load(Ordering::SeqCst) {
            let text = "the receiver takes no more calls";
            return Err(Error::new(ErrorCode::NoResponders, text));
        }
        self.functions.get(names).copied().ok_or_else(|| {
            let text = format!(
                "the receiver doesn't serve {}",
                frames::readable_names(names)
            );
            Error::new(ErrorCode::NoResponders, text)
        })
    }

    pub(super) fn check(&self, export: usize, params: &[u8]) -> Result<(), DecodeError> {
        (self.checks[export].0)(params)
    }

    pub(super) fn has_streams(&self, export: usize) -> bool {
        self.checks[export].1
    }
}

/// Closes a connection on which unread bytes may arrive. Otherwise they would reset it,
/// and written bytes would be lost.
pub(super) async fn close(stream: &mut Stream) {
    let mut dropped = [0; 4 << 10];
    let _ = stream.shutdown().await;
    let read = async { while let Ok(1..) = stream.read(&mut dropped).await {} };
    let _ = timeout(Duration::from_secs(1), read).await;
}

/// Writes everything, as long as the peer takes some of it within each `limit`.
pub(super) async fn write(
    out: &mut Outbox,
    stream: &mut Stream,
    limit: Duration,
) -> io::Result<()> {
    loop {
        let before = out.len();
        match timeout(limit, poll_fn(|context| out.poll_write(stream, context))).await {
            Ok(written) => return written,
            Err(_) if out.len() < before => {}
            Err(_) => return Err(io::ErrorKind::TimedOut.into()),
        }
    }
}
