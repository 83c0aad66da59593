//! A scripted server: it answers as its settings say, late, wrong or not at all, and logs
//! the instants. You can compare the generator's results with its log.

mod answer;
mod calls;
mod client;
mod clock;
mod connection;
mod ears;
mod ending;
mod http2;
mod http3;
mod log;
mod schedule;
mod serve;
mod station;
mod websocket;
mod wire;

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ears::LocalEars;
pub use log::{LogEntry, read_log};

use encarno_capacity::usl::Usl;
use encarno_nib::delay::Delay;
use encarno_nib::poll::{Poller, Waker};

/// Why it can't serve.
#[derive(Debug, thiserror::Error)]
#[error("can't {operation}: {source}")]
pub struct TargetError {
    /// The operation that failed.
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

/// The most connections that wait to be accepted, if the system allows it.
const BACKLOG: i32 = 16_384;

/// The settings of the target.
#[derive(Clone, Debug, Default)]
pub struct TargetSettings {
    /// The address at which it listens; port 0 means any free one.
    pub listen: Option<SocketAddr>,
    /// A unix socket at which it listens, too, without TLS. The file is deleted at the end.
    pub unix: Option<PathBuf>,
    /// Whether it answers datagrams instead of HTTP.
    pub udp: bool,
    /// Speak TLS, and HTTP/3 over UDP at the same port. Without an identity, the target makes a key and a certificate that
    /// signs itself, for localhost and for the address that it listens at.
    pub tls: bool,
    /// The certificate chain and the key to speak TLS with: PEM files. It implies TLS.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The time of an answer, from the request's last byte.
    pub delay: Delay,
    /// The Universal Scalability Law for the service of requests; the delay is added.
    pub usl: Option<Usl>,
    /// The number of servers, each of which serves one request at a time for the delay
    /// (M/M/m, if the delay is exponential).
    pub servers: Option<usize>,
    /// The most requests in service; further ones are answered with status 503 at once.
    pub in_service_max: Option<usize>,
    /// A stall: its start, counted from the first request, and its length, in which
    /// nothing is answered.
    pub stall: Option<(Duration, Duration)>,
    /// The share of answers with status 500, 0 … 1.
    pub error_rate: f64,
    /// The share of answers whose connection is reset in the middle of the body.
    pub reset_rate: f64,
    /// The share of requests that are never answered.
    pub silent_rate: f64,
    /// The share of answers after which the connection is closed with an announcement.
    pub close_rate: f64,
    /// The share of answers after which the connection is closed without an announcement.
    pub rude_close_rate: f64,
    /// HTTP/2 and HTTP/3: the most requests of a connection at a time; `None` means 65,536.
    pub streams_max: Option<u32>,
    /// Whether each answer is sent one byte at a time.
    pub drip: bool,
    /// Whether bodies are sent in chunks.
    pub chunked: bool,
    /// The length of an answer's body.
    pub body_bytes: usize,
    /// The seed of everything random.
    pub seed: u64,
    /// Whether to keep a core busy, so that the log's instants don't contain a wake-up.
    pub spin: bool,
    /// The log file.
    pub log: Option<PathBuf>,
}

/// A target that runs on a thread of its own.
#[derive(Debug)]
pub struct Target {
    address: SocketAddr,
    waker: Arc<Waker>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<TargetSummary, TargetError>>,
}

/// The counts of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TargetSummary {
    /// Connections that were accepted.
    pub connections: u64,
    /// Requests that were received.
    pub requests: u64,
    /// Answers that were sent completely.
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
        let (ears, door) = listen(address, &settings, tls.as_deref())?;
        let address = ears
            .address()
            .map_err(TargetError::new("listen as target"))?;
        let log = log::Log::create(settings.log.as_deref())
            .map_err(TargetError::new("create the target's log"))?;
        let local = settings.unix.clone().map(LocalEars::open).transpose();
        let local = local.map_err(TargetError::new("listen at the target's unix socket"))?;
        let ears = (ears, local);
        let mut server =
            serve::Server::new(settings, ears, door, tls, poller, Arc::clone(&stop), log)?;
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

    /// The address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it ended by itself: [`Target::stop`] returns the reason.
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

/// Opens the sockets. With TLS, HTTP/3 has the same port over UDP.
fn listen(
    address: SocketAddr,
    settings: &TargetSettings,
    tls: Option<&rustls::ServerConfig>,
) -> Result<(ears::Ears, Option<http3::Door>), TargetError> {
    if settings.udp {
        let socket =
            UdpSocket::bind(address).map_err(TargetError::new("bind the target's socket"))?;
        return Ok((ears::Ears::Datagrams(socket), None));
    }
    let mut attempts = 0;
    loop {
        let listener = TcpListener::bind(address).map_err(TargetError::new("listen as target"))?;
        // The standard library asks for 128. The first instant of a closed run with
        // 10,000 workers needs more; otherwise connections are refused.
        rustix::net::listen(&listener, BACKLOG)
            .map_err(|errno| TargetError::new("listen as target")(errno.into()))?;
        let door = tls.map(|tls| {
            http3::Door::open(
                listener.local_addr()?,
                tls,
                settings.streams_max,
                settings.body_bytes,
                settings.drip,
            )
        });
        attempts += 1;
        match door.transpose() {
            // A port that is free over TCP may be taken over UDP.
            Err(error)
                if error.kind() == ErrorKind::AddrInUse
                    && address.port() == 0
                    && attempts < ATTEMPTS_MAX => {}
            door => {
                let failed = "listen over UDP, for HTTP/3, as target";
                let door = door.map_err(TargetError::new(failed))?;
                return Ok((ears::Ears::Streams(listener), door));
            }
        }
    }
}

/// How many ports are tried until one is free over TCP and UDP.
const ATTEMPTS_MAX: u32 = 64;
