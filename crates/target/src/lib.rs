//! A scripted server: it answers as it is told, late, wrong or not at all, and
//! logs when. What the generator says can be compared with its log.

mod answer;
mod calls;
mod client;
mod clock;
mod connection;
mod ears;
mod ending;
mod http2;
mod log;
mod schedule;
mod serve;
mod station;
mod websocket;
mod wire;

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub use log::{LogEntry, read_log};

use encarno_capacity::usl::Usl;
use encarno_nib::delay::Delay;
use encarno_nib::poll::{Poller, Waker};

/// Why it can't serve.
#[derive(Debug, thiserror::Error)]
#[error("can't {operation}: {source}")]
pub struct TargetError {
    /// What was tried.
    pub operation: &'static str,
    /// Why not.
    #[source]
    pub source: std::io::Error,
}

impl TargetError {
    fn new(operation: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self { operation, source }
    }
}

/// Connections that may wait to be taken, as far as the system allows.
const BACKLOG: i32 = 16_384;

/// What the target does.
#[derive(Clone, Debug, Default)]
pub struct TargetSettings {
    /// Where it listens; port 0 = any free one.
    pub listen: Option<SocketAddr>,
    /// Answer datagrams instead of HTTP.
    pub udp: bool,
    /// Speak TLS. Without an identity, the target makes a key and a certificate that
    /// signs itself, for localhost and for the address that it listens at.
    pub tls: bool,
    /// The certificate chain and the key to speak TLS with: PEM files. It implies TLS.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// How long an answer takes, from the request's last byte.
    pub delay: Delay,
    /// Requests are served as the Universal Scalability Law says; the delay comes
    /// on top.
    pub usl: Option<Usl>,
    /// So many servers take one request each, and the delay is the time that a
    /// server takes (M/M/m, with an exponential one).
    pub servers: Option<usize>,
    /// More requests than that at a time are answered with status 503 at once.
    pub in_service_max: Option<usize>,
    /// From that instant after the first request on, nothing is answered for that long.
    pub stall: Option<(Duration, Duration)>,
    /// The part of answers with status 500, 0 … 1.
    pub error_rate: f64,
    /// The part that is reset in the middle of the body.
    pub reset_rate: f64,
    /// The part that is never answered.
    pub silent_rate: f64,
    /// The part after which the connection is closed, with and …
    pub close_rate: f64,
    /// … without saying so before.
    pub rude_close_rate: f64,
    /// HTTP/2: a connection may have so many requests at a time; without it, 65,536.
    pub streams_max: Option<u32>,
    /// Send each answer one byte at a time.
    pub drip: bool,
    /// Send bodies in chunks.
    pub chunked: bool,
    /// The length of an answer's body.
    pub body_bytes: usize,
    /// The seed of everything random.
    pub seed: u64,
    /// Burn a core, so that the log's instants don't have the wake-up in them.
    pub spin: bool,
    /// The log file.
    pub log: Option<PathBuf>,
}

/// A target that serves on a thread of its own.
#[derive(Debug)]
pub struct Target {
    address: SocketAddr,
    waker: Arc<Waker>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<TargetSummary, TargetError>>,
}

/// What it did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetSummary {
    /// Connections it took.
    pub connections: u64,
    /// Requests it got.
    pub requests: u64,
    /// Answers it sent, whole.
    pub answers: u64,
}

impl Target {
    /// Listens, and starts to serve.
    pub fn start(settings: TargetSettings) -> Result<Self, TargetError> {
        let address = settings
            .listen
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let stop = Arc::new(AtomicBool::new(false));
        let waker = Arc::new(
            Waker::new().map_err(|errno| TargetError::new("create an eventfd")(errno.into()))?,
        );
        let poller =
            Poller::new().map_err(|errno| TargetError::new("create an epoll")(errno.into()))?;
        poller
            .register_waker(&waker)
            .map_err(|errno| TargetError::new("use an eventfd")(errno.into()))?;
        let ears = if settings.udp {
            ears::Ears::Datagrams(
                UdpSocket::bind(address).map_err(TargetError::new("bind the target's socket"))?,
            )
        } else {
            let listener =
                TcpListener::bind(address).map_err(TargetError::new("listen as target"))?;
            // std asks for 128: the first instant of a closed run with 10,000 workers
            // needs more, or connections are refused that a server would take.
            rustix::net::listen(&listener, BACKLOG)
                .map_err(|errno| TargetError::new("listen as target")(errno.into()))?;
            ears::Ears::Streams(listener)
        };
        let address = ears
            .address()
            .map_err(TargetError::new("listen as target"))?;
        let tls = match &settings.identity {
            Some((certificate, key)) => Some(
                wire::server_config(certificate, key)
                    .map_err(TargetError::new("use the target's certificate and key"))?,
            ),
            None if settings.tls => Some(
                wire::self_signed(address.ip())
                    .map_err(TargetError::new("make the target's certificate"))?,
            ),
            None => None,
        };
        let log = log::Log::create(settings.log.as_deref())
            .map_err(TargetError::new("create the target's log"))?;
        let mut server = serve::Server::new(settings, ears, tls, poller, Arc::clone(&stop), log)?;
        let body = move || server.run();
        let thread = thread::Builder::new().name("target".to_owned()).spawn(body);
        let thread = thread.map_err(TargetError::new("start the target's thread"))?;
        Ok(Self {
            address,
            waker,
            stop,
            thread,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it ended by itself: [`Target::stop`] says why.
    pub fn has_failed(&self) -> bool {
        self.thread.is_finished()
    }

    /// Ends it, and completes its log.
    pub fn stop(self) -> Result<TargetSummary, TargetError> {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake();
        match self.thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
