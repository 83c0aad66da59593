//! Correct callers during a storm.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_wrpc::Error;
use encarno_wrpc::blaster::{self, Packet};
use encarno_wrpc::nats::{self, subject};
use encarno_wrpc::tcp::{self, FunctionNames};
use encarno_wrpc::tls::ClientTls;
use encarno_wrpc::value::Write as _;
use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::row::number;

pub(crate) const PREFIX: &str = "attack";
/// The interface that the guests of the receiver's tests export.
pub(crate) const INSTANCE: &str = "test:guest/work@0.1.0";
/// The number of neighbours.
const NEIGHBOURS: usize = 4;
/// The pause between two calls of a neighbour.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a call of theirs may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The address of a receiver.
#[derive(Clone)]
pub(crate) enum Place {
    /// `HOST:PORT`
    Tcp(String),
    /// `HOST:PORT`, with TLS.
    Tls(String),
    /// The URL of the server.
    Nats(String),
}

/// A connection for calls.
pub(crate) enum Caller {
    Tcp(tcp::Remote),
    Nats(nats::Connection),
}

impl Caller {
    pub(crate) async fn new(place: &Place) -> Result<Self, Failure> {
        Ok(match place {
            Place::Tcp(addr) => Self::Tcp(tcp::Remote::new(tcp::Options::new(addr)?)),
            Place::Tls(addr) => Self::Tcp(tcp::Remote::new(tcp::Options {
                tls: Some(ClientTls {
                    insecure_skip_verify: true,
                    ..ClientTls::default()
                }),
                ..tcp::Options::new(addr)?
            })),
            Place::Nats(url) => {
                let options = nats::Options::new(url)?;
                Self::Nats(nats::Connection::connect(&options).await?)
            }
        })
    }

    /// Calls a function of [`INSTANCE`].
    pub(crate) async fn call(
        &self,
        function: &str,
        params: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        self.call_in(INSTANCE, function, params, timeout).await
    }

    async fn call_in(
        &self,
        instance: &str,
        function: &str,
        params: Bytes,
        timeout: Duration,
    ) -> Result<Bytes, Error> {
        let deadline = Instant::now() + timeout;
        match self {
            Self::Tcp(remote) => {
                let function = FunctionNames::new(instance, function);
                remote.call(&function, params, deadline).await.result
            }
            Self::Nats(connection) => {
                let function = subject::function(PREFIX, instance, function)?;
                connection.call(function, params, deadline).await.result
            }
        }
    }
}

/// A correct use of a receiver.
#[derive(Clone)]
pub(crate) struct Usage {
    pub(crate) instance: &'static str,
    pub(crate) function: &'static str,
    pub(crate) params: Bytes,
    pub(crate) results: Bytes,
}

impl Usage {
    /// Calls of `echo` with this many bytes.
    pub(crate) fn echo(bytes: usize) -> Self {
        Self {
            instance: INSTANCE,
            function: "echo",
            params: list(bytes),
            results: list(bytes),
        }
    }

    /// Small blasts.
    pub(crate) fn blast() -> Self {
        let packet = Packet {
            id: "neighbour",
            wait_ms: 1,
            ..Packet::default()
        };
        Self {
            instance: blaster::INSTANCE,
            function: blaster::FUNCTION,
            params: packet.encode().into(),
            results: Bytes::new(),
        }
    }

    /// Makes a call; returns the error, if there is one.
    pub(crate) async fn call(&self, caller: &Caller) -> Option<String> {
        let (function, params) = (self.function, self.params.clone());
        match caller
            .call_in(self.instance, function, params, TIMEOUT)
            .await
        {
            Ok(results) if results == self.results => None,
            Ok(_) => Some("another answer".to_owned()),
            Err(error) => Some(format!("{}: {}", error.code.name(), error.message)),
        }
    }
}

/// A list of this many bytes, as a parameter.
pub(crate) fn list(bytes: usize) -> Bytes {
    let mut params = Vec::with_capacity(bytes + 5);
    params.bytes(&vec![7; bytes]);
    params.into()
}

#[derive(Default)]
struct Seen {
    took: Vec<Duration>,
    failed: BTreeMap<String, u64>,
}

/// The neighbours of a storm.
pub(crate) struct Neighbours {
    seen: Arc<Mutex<Seen>>,
    running: JoinSet<()>,
    stop: Arc<tokio::sync::Notify>,
}

/// The results of neighbours.
pub(crate) struct Fared {
    /// The results as text.
    pub(crate) text: String,
    pub(crate) calls: u64,
    /// The errors, with their numbers.
    pub(crate) failed: BTreeMap<String, u64>,
}

impl Neighbours {
    pub(crate) async fn start(place: &Place, usage: &Usage) -> Result<Self, Failure> {
        let seen = Arc::<Mutex<Seen>>::default();
        let stop = Arc::new(tokio::sync::Notify::new());
        let mut running = JoinSet::new();
        for _ in 0..NEIGHBOURS {
            let caller = Caller::new(place).await?;
            let (seen, stop) = (Arc::clone(&seen), Arc::clone(&stop));
            let usage = usage.clone();
            running.spawn(async move {
                let mut stopped = std::pin::pin!(stop.notified());
                loop {
                    let began = Instant::now();
                    let failure = usage.call(&caller).await;
                    {
                        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                        seen.took.push(began.elapsed());
                        if let Some(failure) = failure {
                            *seen.failed.entry(failure).or_default() += 1;
                        }
                    }
                    tokio::select! {
                        () = &mut stopped => return,
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
            });
        }
        // A notification only reaches tasks that wait already.
        tokio::task::yield_now().await;
        Ok(Self {
            seen,
            running,
            stop,
        })
    }

    /// Takes the results so far; counting starts again.
    pub(crate) fn take(&self) -> Fared {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        fared(std::mem::take(&mut *seen))
    }

    /// Stops making calls, and waits for the running ones.
    pub(crate) async fn stop(mut self) -> Fared {
        self.stop.notify_waiters();
        while self.running.join_next().await.is_some() {}
        self.take()
    }
}

fn fared(seen: Seen) -> Fared {
    let Seen { mut took, failed } = seen;
    took.sort_unstable();
    let quantile = |part: f64| {
        let at = (took.len() as f64 * part) as usize;
        let took = took.get(at.min(took.len().saturating_sub(1)));
        took.map_or(0.0, |took| took.as_secs_f64() * 1e3)
    };
    let calls = took.len() as u64;
    let failures: u64 = failed.values().sum();
    Fared {
        text: format!(
            "{} calls, {failures} failed, p50 {:.1} ms, p99 {:.0} ms",
            number(calls),
            quantile(0.5),
            quantile(0.99)
        ),
        calls,
        failed,
    }
}
