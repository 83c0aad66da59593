//! A receiver under a storm.

use std::future::Future;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use encarno_test_peers::{Certificates, NatsServer};
use rustix::process::Signal;

use crate::failure::Failure;
use crate::neighbours::{Caller, Neighbours, PREFIX, Place, Usage};
use crate::programs::{PATIENCE, Program, ours};
use crate::row::{Row, number};

const BLASTER: &str = "blaster-component/blaster-component.wasm";
/// The memory of the program without calls. In addition, the pool may keep a quarter of
/// the limit, including memory on its way back to the system.
const REST_MIB: u64 = 160;
/// How much more memory than before the program may keep afterwards.
const KEPT_MIB: u64 = 96;
/// How long memory may take to go back.
const SETTLED: Duration = Duration::from_secs(20);

/// How the receiver is reached.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Tcp,
    Tls,
    Nats,
}

/// A receiver with its options.
pub(crate) struct Siege {
    pub(crate) transport: Transport,
    /// The component, as text; `None` means blaster-component.
    pub(crate) guest: Option<&'static str>,
    pub(crate) arguments: &'static [&'static str],
    /// The most memory of all calls together, MiB: `--max-total-memory-mb`.
    pub(crate) limit: u64,
    /// The calls of the neighbours.
    pub(crate) usage: Usage,
    /// The errors that neighbours may get, as parts of messages.
    pub(crate) may_say: &'static [&'static str],
    /// Whether nothing reads its stderr, which is long.
    pub(crate) unread: bool,
}

impl Default for Siege {
    fn default() -> Self {
        Self {
            transport: Transport::Tcp,
            guest: Some(crate::storms::guests::WORKER),
            arguments: &[],
            limit: 256,
            usage: Usage::echo(100),
            may_say: &[],
            unread: false,
        }
    }
}

/// The state for a storm.
#[derive(Clone)]
pub(crate) struct Under {
    pub(crate) place: Place,
    pub(crate) until: Instant,
    thrown: Arc<AtomicU64>,
    nats: Option<Arc<Mutex<NatsServer>>>,
}

impl Under {
    /// Whether the storm goes on.
    pub(crate) fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// Counts attacks.
    pub(crate) fn threw(&self, more: u64) {
        self.thrown.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) async fn caller(&self) -> Result<Caller, Failure> {
        Caller::new(&self.place).await
    }

    /// Kills the NATS server, and starts it again.
    pub(crate) fn restart_nats(&self) {
        if let Some(nats) = &self.nats {
            nats.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .restart();
        }
    }

    /// The address at which it listens.
    pub(crate) fn addr(&self) -> &str {
        match &self.place {
            Place::Tcp(addr) | Place::Tls(addr) => addr,
            Place::Nats(url) => url.trim_start_matches("nats://"),
        }
    }
}

impl Siege {
    /// Runs a storm, described by `what`, until its time is over.
    pub(crate) async fn hold<F>(
        self,
        time: Duration,
        what: &str,
        storm: impl FnOnce(Under) -> F,
    ) -> Result<Row, Failure>
    where
        F: Future<Output = Result<(), Failure>>,
    {
        let folder = encarno_test_peers::scratch("attack");
        let component = match self.guest {
            Some(text) => {
                let component = folder.join("guest.wasm");
                std::fs::write(&component, wat::parse_str(text)?)?;
                component
            }
            None => encarno_test_peers::root().join(BLASTER),
        };
        let nats = (self.transport == Transport::Nats).then(NatsServer::start);
        let mut command = self.command(nats.as_ref());
        command.arg(&component);
        let mut receiver = match self.unread {
            true => Program::start_unread(command)?,
            false => Program::start(command)?,
        };
        let ready = receiver.first_line()?;
        let place = match &nats {
            Some(nats) => Place::Nats(nats.url()),
            None => {
                let place = ready.rsplit_once(" at ").map_or("", |(_, place)| place);
                let addr = place
                    .split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                match self.transport {
                    Transport::Tls => Place::Tls(addr),
                    _ => Place::Tcp(addr),
                }
            }
        };
        // Measure the memory after the first call.
        let first = Caller::new(&place).await?;
        for _ in 0..50 {
            if let Some(failure) = self.usage.call(&first).await {
                return Err(Failure::new(failure));
            }
        }
        let before = receiver.memory();
        let neighbours = Neighbours::start(&place, &self.usage).await?;

        let thrown = Arc::<AtomicU64>::default();
        let under = Under {
            place,
            until: Instant::now() + time,
            thrown: Arc::clone(&thrown),
            nats: nats.map(|nats| Arc::new(Mutex::new(nats))),
        };
        // The NATS server lives as long as the receiver.
        let nats = under.nats.clone();
        storm(under).await?;
        let mut fared = neighbours.take();
        // The neighbours go on, because an allocator gives memory back while it is used.
        let deadline = Instant::now() + SETTLED;
        while receiver.memory() > before + KEPT_MIB && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        fared.failed.extend(neighbours.stop().await.failed);
        drop(first);
        let (peak, after) = (receiver.peak(), receiver.memory());
        let mut row = Row {
            thrown: format!("{} {what}", number(thrown.load(Ordering::Relaxed))),
            neighbours: fared.text,
            memory: Some([before, peak, after]),
            ..Row::default()
        };
        row.check(fared.calls > 0, "no neighbour called");
        for (failure, times) in fared.failed {
            let allowed = self.may_say.iter().any(|text| failure.contains(text));
            row.check(allowed, format!("{times} neighbours were told: {failure}"));
        }
        let most = self.limit + self.limit / 4 + REST_MIB;
        row.check(peak <= most, format!("it took {peak} MiB, beyond {most}"));
        row.check(
            after <= before + KEPT_MIB,
            format!("it kept {after} MiB of {before} after {SETTLED:?}"),
        );
        match receiver.end(Duration::ZERO).await? {
            Some(status) => row.check(false, format!("it ended: {status}: {}", receiver.log_end())),
            None => {
                receiver.signal(Signal::TERM);
                let ended = receiver.end(PATIENCE).await?;
                let ended_well = ended.is_some_and(|status| status.success());
                row.check(
                    ended_well,
                    format!("SIGTERM: {ended:?}: {}", receiver.log_end()),
                );
            }
        }
        drop(nats);
        let _ = std::fs::remove_dir_all(&folder);
        Ok(row)
    }

    fn command(&self, nats: Option<&NatsServer>) -> Command {
        let limit = self.limit.to_string();
        let mut command = ours(match nats {
            Some(_) => "wrpc-wasmtime-nats",
            None => "wrpc-wasmtime-tcp",
        });
        command.arg("serve").args(["--max-total-memory-mb", &limit]);
        command.args(self.arguments).stdout(Stdio::piped());
        if self.unread {
            command.env("RUST_LOG", "debug");
        } else {
            command.env("RUST_LOG", "error");
        }
        if self.transport == Transport::Tls {
            let certificates = Certificates::new();
            command.arg("--tls-cert").arg(&certificates.server);
            command.arg("--tls-key").arg(&certificates.server_key);
        }
        match nats {
            Some(nats) => command.args(["-n", &nats.url(), PREFIX, PREFIX]),
            None => command.arg("127.0.0.1:0"),
        };
        command
    }
}
