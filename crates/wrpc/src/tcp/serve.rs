//! Serves calls.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use super::messages::PREFACE;
use super::respond_shared::SharedResponder;
use super::serve_single::Single;
use super::site::{Seat, Site, close};
use super::{frames, options, serve_shared};
use crate::http::Streaming;
use crate::serve::{Bodies, Export, Invocation, Limits, Respond};
use crate::socket::Stream;
use crate::{Error, ErrorCode};

pub use super::site::Settings;

/// The most refusals of connections at once; further connections are dropped.
const REFUSALS_MAX: usize = 64;

/// The functions served at an address.
pub struct Server {
    listener: TcpListener,
    site: Arc<Site>,
    tasks: JoinSet<()>,
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
        let site = Arc::new(Site::new(tls, exports, limits, settings));
        Ok(Self {
            listener,
            site,
            tasks: JoinSet::new(),
        })
    }

    /// The address at which it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Hands every call to `serve` until `stop` completes. Then it stops listening and
    /// takes no more calls. Running calls can still be answered, until
    /// [`Draining::close`] closes the connections.
    ///
    /// `serve` must not block, because it runs on the tasks that read connections.
    pub async fn run(
        mut self,
        stop: impl Future<Output = ()>,
        serve: impl Fn(Invocation<Responder>) + Send + Sync + 'static,
    ) -> Draining {
        let serve: Arc<Serve> = Arc::new(serve);
        let refusals = Arc::new(Semaphore::new(REFUSALS_MAX));
        let mut stop = pin!(stop);
        let mut rounds = interval(self.site.settings.round());
        rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.take(stream, peer, &serve, &refusals),
                    Err(error) => {
                        // For example, no descriptors are left. They come back when calls
                        // end.
                        tracing::warn!(%error, "a connection can't be taken");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                },
                Some(_) = self.tasks.join_next() => {}
                _ = rounds.tick() => self.site.end_idle(),
                () = &mut stop => break,
            }
        }
        self.site.drain();
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
        match site.seat() {
            Ok(seat) => {
                self.tasks
                    .spawn(serve_one(site, stream, peer, Arc::clone(serve), seat));
            }
            Err(error) => {
                let Ok(refusal) = Arc::clone(refusals).try_acquire_owned() else {
                    return;
                };
                let serve = Arc::clone(serve);
                self.tasks.spawn(async move {
                    let seat = site.seat_of_an_idle_one().await;
                    match seat {
                        Some(seat) => {
                            drop(refusal);
                            serve_one(site, stream, peer, serve, seat).await;
                        }
                        None => refuse(&site, stream, &error).await,
                    }
                });
            }
        }
    }
}

/// Takes calls, on the thread that reads them.
type Serve = dyn Fn(Invocation<Responder>) + Send + Sync;

/// A server that takes no more calls.
pub struct Draining {
    site: Arc<Site>,
    tasks: JoinSet<()>,
}

impl Draining {
    /// Sends the remaining data, and closes the connections. Call it when all calls were
    /// answered.
    pub async fn close(mut self) {
        self.site.shared.close();
        while self.tasks.join_next().await.is_some() {}
    }
}

async fn serve_one(
    site: Arc<Site>,
    stream: TcpStream,
    peer: SocketAddr,
    serve: Arc<Serve>,
    seat: Seat,
) {
    if let Err(error) = connection(site, stream, serve, seat).await {
        tracing::debug!(%peer, %error, "a connection was dropped");
    }
}

/// Finds out which kind of connection it is, and serves it.
async fn connection(
    site: Arc<Site>,
    stream: TcpStream,
    serve: Arc<Serve>,
    seat: Seat,
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
            "it sent nothing complete within {limit:?}"
        )))
    })?;
    if let Some(names) = names {
        let call = Single::read_call(site, stream, inbox, &names, seat, deadline).await;
        if let Some(invocation) = call {
            serve(invocation.map(|single| Responder::Single(Box::new(single))));
        }
        return Ok(());
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
        Ok(Ok(())) => {
            let serve = |invocation: Invocation<_>| serve(invocation.map(Responder::Shared));
            serve_shared::serve(site, stream, inbox, serve, seat).await
        }
        _ => Err(frames::violation("it takes no bytes")),
    }
}

async fn accept(site: &Site, stream: TcpStream) -> Result<Stream, Error> {
    let accepted = Stream::accept(stream, site.tls.as_ref(), site.settings.silence_max).await;
    accepted.map_err(|error| Error::new(ErrorCode::TlsFailure, error.to_string()))
}

/// Tells the peer why its connection isn't accepted.
async fn refuse(site: &Site, stream: TcpStream, error: &Error) {
    let said = async {
        let mut stream = accept(site, stream).await.ok()?;
        let mut frame = Vec::new();
        frames::put_error(error, &mut frame);
        stream.write_all(&frame).await.ok()?;
        close(&mut stream).await;
        Some(())
    };
    let _ = timeout(Duration::from_secs(1), said).await;
}

/// Answers one call.
pub enum Responder {
    /// On a connection of its own.
    Single(Box<Single>),
    /// On a shared connection.
    Shared(SharedResponder),
}

impl Respond for Responder {
    async fn accept(&mut self) {
        match self {
            Self::Single(single) => single.accept().await,
            Self::Shared(shared) => shared.accept(),
        }
    }

    async fn complete(&mut self) -> Result<Bytes, Error> {
        match self {
            Self::Single(single) => single.complete().await,
            Self::Shared(shared) => shared.complete().await,
        }
    }

    fn take_body(&mut self) -> Option<Bytes> {
        None
    }

    fn bodies(&self) -> Bodies {
        match self {
            Self::Single(_) => Bodies::Whole,
            Self::Shared(_) => Bodies::Either,
        }
    }

    fn streams(&mut self) -> Option<Streaming> {
        match self {
            Self::Single(_) => None,
            Self::Shared(shared) => Some(shared.streams()),
        }
    }

    async fn begin(&mut self, results: Bytes) {
        match self {
            Self::Single(_) => {} // it has no streams
            Self::Shared(shared) => shared.begin(results).await,
        }
    }

    async fn finish(self, result: Result<Bytes, Error>) {
        match self {
            Self::Single(single) => single.finish(result).await,
            Self::Shared(shared) => shared.finish(result).await,
        }
    }

    async fn caller_gone(&self) {
        match self {
            Self::Single(single) => single.caller_gone().await,
            Self::Shared(shared) => shared.caller_gone().await,
        }
    }
}
