//! Calls served.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::messages::PREFACE;
use super::outbox::Outbox;
use super::stream::Stream;
use super::{frames, options, respond_shared, serve_shared, serve_single};
use crate::serve::{Bodies, Check, Export, Invocation, Limits};
use crate::streams::Streaming;
use crate::tls::ServerTls;
use crate::{Error, ErrorCode};

/// Refusals of connections that are under way at once; further ones are dropped.
const REFUSALS_MAX: usize = 64;

/// What a server asks of connections.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Encrypts, if it is there.
    pub tls: Option<ServerTls>,
    /// Connections that may be open.
    pub connections_max: usize,
    /// How long a connection may take to say what it wants, TLS included.
    pub header_timeout: Duration,
    /// A peer that takes no bytes, or doesn't answer the kernel, for so long is dropped.
    pub silence_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tls: None,
            connections_max: 10_000,
            header_timeout: Duration::from_secs(5),
            silence_max: Duration::from_secs(10),
        }
    }
}

/// The functions served at an address.
pub struct Server {
    listener: TcpListener,
    site: Arc<Site>,
    tasks: JoinSet<()>,
}

/// What all connections of a server share.
pub(super) struct Site {
    tls: Option<TlsAcceptor>,
    /// And whether their calls may have streams.
    checks: Vec<(Check, bool)>,
    /// By their names as they travel.
    functions: HashMap<Bytes, usize>,
    pub(super) limits: Limits,
    pub(super) settings: Settings,
    places: Arc<Semaphore>,
    pub(super) shared: serve_shared::Connections,
    is_draining: AtomicBool,
}

impl Site {
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

    pub(super) fn check(
        &self,
        export: usize,
        params: &[u8],
    ) -> Result<(), crate::value::DecodeError> {
        (self.checks[export].0)(params)
    }

    pub(super) fn has_streams(&self, export: usize) -> bool {
        self.checks[export].1
    }

    pub(super) fn too_large(&self) -> Error {
        let limit = self.limits.params_bytes_max;
        let text = format!("the parameters are larger than {limit} bytes");
        Error::new(ErrorCode::PayloadTooLarge, text)
    }

    pub(super) fn params_late(&self) -> Error {
        let limit = self.limits.params_timeout;
        let text = format!("the parameters did not arrive whole within {limit:?}");
        Error::new(ErrorCode::Timeout, text)
    }
}

impl Server {
    /// Listens at `HOST:PORT`; port 0 is any free one.
    pub async fn bind(
        addr: &str,
        exports: Vec<Export>,
        limits: Limits,
        settings: Settings,
    ) -> Result<Self, Error> {
        let (host, port) = options::parse(addr)?;
        let tls = match &settings.tls {
            Some(tls) => Some(TlsAcceptor::from(tls.config()?)),
            None => None,
        };
        let listener = TcpListener::bind((host.as_str(), port)).await;
        let listener = listener.map_err(|error| {
            let text = format!("cannot listen at {addr}: {error}");
            Error::new(ErrorCode::ConnectionRefused, text)
        })?;
        let mut functions = HashMap::new();
        let mut checks = Vec::new();
        for (index, export) in exports.into_iter().enumerate() {
            let function = frames::Function::new(&export.instance, &export.function);
            functions.insert(Bytes::copy_from_slice(function.names()), index);
            checks.push((export.check, export.has_streams));
        }
        let site = Arc::new(Site {
            tls,
            checks,
            functions,
            limits,
            places: Arc::new(Semaphore::new(settings.connections_max)),
            settings,
            shared: serve_shared::Connections::default(),
            is_draining: AtomicBool::new(false),
        });
        Ok(Self {
            listener,
            site,
            tasks: JoinSet::new(),
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Hands every call to `serve` until `stop` is done. Then it listens no more,
    /// and takes no more calls; those that run can still be answered, until the
    /// connections are closed by [`Draining::close`].
    ///
    /// `serve` must not block: it runs on the tasks that read connections.
    pub async fn run(
        mut self,
        stop: impl Future<Output = ()>,
        serve: impl Fn(Invocation) + Send + Sync + 'static,
    ) -> Draining {
        let serve: Arc<Serve> = Arc::new(serve);
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        let mut stop = pin!(stop);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.take(stream, peer, &serve, &refusals),
                    Err(error) => {
                        // No descriptors are left, say. They come back when calls end.
                        tracing::warn!(%error, "a connection can't be taken");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                },
                Some(_) = self.tasks.join_next() => {}
                () = &mut stop => break,
            }
        }
        self.site.is_draining.store(true, Ordering::SeqCst);
        self.site.shared.go_away();
        Draining {
            site: self.site,
            tasks: self.tasks,
        }
    }

    fn take(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        serve: &Arc<Serve>,
        refusals: &Arc<Semaphore>,
    ) {
        let site = Arc::clone(&self.site);
        match Arc::clone(&site.places).try_acquire_owned() {
            Ok(place) => {
                let serve = Arc::clone(serve);
                self.tasks.spawn(async move {
                    if let Err(error) = connection(site, stream, serve, place).await {
                        tracing::debug!(%peer, %error, "a connection was dropped");
                    }
                });
            }
            Err(_) => {
                if let Ok(refusal) = Arc::clone(refusals).try_acquire_owned() {
                    self.tasks.spawn(async move {
                        refuse(&site, stream).await;
                        drop(refusal);
                    });
                }
            }
        }
    }
}

/// Takes calls, on the thread that reads them.
pub(super) type Serve = dyn Fn(Invocation) + Send + Sync;

/// A server that takes no more calls.
pub struct Draining {
    site: Arc<Site>,
    tasks: JoinSet<()>,
}

impl Draining {
    /// Sends what is on its way, and closes the connections. To be called when
    /// all calls were answered.
    pub async fn close(mut self) {
        self.site.shared.close();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Finds out what a connection is to be, and serves it.
async fn connection(
    site: Arc<Site>,
    stream: TcpStream,
    serve: Arc<Serve>,
    place: OwnedSemaphorePermit,
) -> Result<(), Error> {
    let limit = site.settings.header_timeout;
    let deadline = tokio::time::Instant::now() + limit;
    let begun = async {
        let mut stream = accept(&site, stream).await?;
        let mut inbox = BytesMut::with_capacity(4 << 10);
        loop {
            match stream.read_buf(&mut inbox).await {
                Ok(0) => return Err(frames::violation("it was closed before a call was read")),
                Ok(_) => {}
                Err(error) => return Err(frames::violation(error.to_string())),
            }
            if inbox.first() == PREFACE.first() {
                if inbox.len() < PREFACE.len() && PREFACE.starts_with(&inbox) {
                    continue;
                }
                return Ok((stream, inbox, None));
            }
            if let Some(names) = frames::take_header(&mut inbox)? {
                return Ok((stream, inbox, Some(names)));
            }
        }
    };
    let begun = timeout_at(deadline, begun).await;
    let (mut stream, mut inbox, names) = begun.unwrap_or_else(|_| {
        Err(frames::violation(format!(
            "it said nothing whole within {limit:?}"
        )))
    })?;
    if let Some(names) = names {
        return serve_single::serve(site, stream, inbox, &names, &serve, place, deadline).await;
    }
    if !inbox.starts_with(PREFACE) {
        return Err(frames::violation(
            "it wants another version of the shared wire",
        ));
    }
    let _ = inbox.split_to(PREFACE.len());
    let answered = async {
        stream.write_all(PREFACE).await?;
        stream.flush().await
    };
    match timeout_at(deadline, answered).await {
        Ok(Ok(())) => serve_shared::serve(site, stream, inbox, &serve, place).await,
        _ => Err(frames::violation("it takes no bytes")),
    }
}

async fn accept(site: &Site, stream: TcpStream) -> Result<Stream, Error> {
    let accepted = Stream::accept(stream, site.tls.as_ref(), site.settings.silence_max).await;
    accepted.map_err(|error| Error::new(ErrorCode::TlsFailure, error.to_string()))
}

/// Says that there are too many connections.
async fn refuse(site: &Site, stream: TcpStream) {
    let limit = site.settings.connections_max;
    let text = format!("the receiver has {limit} connections already (--max-connections)");
    let error = Error::new(ErrorCode::ReceiverBusy, text);
    let said = async {
        let mut stream = accept(site, stream).await.ok()?;
        let mut frame = Vec::new();
        frames::put_error(&error, &mut frame);
        stream.write_all(&frame).await.ok()?;
        close(&mut stream).await;
        Some(())
    };
    let _ = timeout(Duration::from_secs(1), said).await;
}

/// Closes a connection on which bytes may come that nobody reads. Without this
/// they would reset it, and what was written would be lost with it.
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

/// The way of the answers to one call.
pub enum Responder {
    /// On a connection of its own.
    Single(Box<serve_single::Single>),
    /// On a connection that it shares.
    Shared(respond_shared::SharedResponder),
}

impl Responder {
    /// See [`serve::Responder::accept`](crate::serve::Responder::accept).
    pub async fn accept(&mut self) {
        match self {
            Self::Single(single) => single.accept().await,
            Self::Shared(shared) => shared.accept(),
        }
    }

    /// See [`serve::Responder::finish`](crate::serve::Responder::finish).
    pub async fn finish(self, result: Result<Bytes, Error>) {
        match self {
            Self::Single(single) => single.finish(result).await,
            Self::Shared(shared) => shared.finish(result).await,
        }
    }

    /// See [`serve::Responder::bodies`](crate::serve::Responder::bodies).
    pub(crate) fn bodies(&self) -> Bodies {
        match self {
            Self::Single(_) => Bodies::Whole,
            Self::Shared(_) => Bodies::Either,
        }
    }

    /// See [`serve::Responder::streams`](crate::serve::Responder::streams).
    pub(crate) fn streams(&self) -> Option<Streaming> {
        match self {
            Self::Single(_) => None,
            Self::Shared(shared) => Some(shared.streams()),
        }
    }

    /// See [`serve::Responder::begin`](crate::serve::Responder::begin).
    pub(crate) async fn begin(&mut self, results: Bytes) {
        match self {
            Self::Single(_) => {} // it has no streams
            Self::Shared(shared) => shared.begin(results).await,
        }
    }

    /// See [`serve::Responder::caller_gone`](crate::serve::Responder::caller_gone).
    pub async fn caller_gone(&self) {
        match self {
            Self::Single(single) => single.caller_gone().await,
            Self::Shared(shared) => shared.caller_gone().await,
        }
    }

    /// See [`serve::Partial::complete`](crate::serve::Partial::complete).
    pub async fn complete(&mut self) -> Result<Bytes, Error> {
        match self {
            Self::Single(single) => single.complete().await,
            Self::Shared(shared) => shared.complete().await,
        }
    }
}
