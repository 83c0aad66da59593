//! From the command line to a served component, and its end.

use std::io::Write as _;
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use encarno_wrpc::memory::Memory;
use encarno_wrpc::serve::{Export, Limits};
use tokio::runtime::{self, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use wasmtime::Result;
use wasmtime::error::Context as _;

use crate::args::GuestArgs;
use crate::cache::Cache;
use crate::calls::{Calls, PARAMS_BYTES_MAX};
use crate::exports::{Function, Kind};
use crate::host::{Host, Workload};
use crate::limits::Ticker;
use crate::pool::GuestLimits;
use crate::{machine, output};

/// The memory for all calls together, if the system doesn't tell how much memory it has.
const DEFAULT_TOTAL_BYTES: u64 = 4 << 30;

/// Runs `serve` on the thread that owns the connections, until it ends. `serve` gets the
/// threads of the guests.
///
/// # Errors
///
/// If the start fails.
pub(crate) fn run<F: Future<Output = Result<()>>>(
    args: &GuestArgs,
    serve: impl FnOnce(Handle) -> F,
) -> Result<()> {
    let guests = guests_runtime(args.allow_outgoing)?;
    let messages = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the thread of the connections")?;
    let served = messages.block_on(serve(guests.handle().clone()));
    guests.shutdown_background();
    served
}

fn guests_runtime(have_network: bool) -> Result<Runtime> {
    let mut threads = runtime::Builder::new_multi_thread();
    if have_network {
        threads.enable_io();
    }
    threads
        .thread_name("guest")
        .enable_time()
        // A guest that burns CPU comes back after a millisecond. With the default of 61
        // such turns, timers of sleeping guests would be checked only every 61 ms.
        .event_interval(4)
        .build()
        .context("cannot start the threads of the guests")
}

impl GuestArgs {
    /// Compiles the component. `calls` are the packages of WASI that are called over
    /// wRPC.
    pub(crate) fn load(&self, workload: &Path, calls: &[String]) -> Result<Workload> {
        let cache = self.cache.as_deref().map(Cache::open).transpose()?;
        Workload::load(workload, self.guest_limits(), cache.as_ref(), calls)
    }

    /// The limits of guests.
    fn guest_limits(&self) -> GuestLimits {
        GuestLimits {
            concurrency: self.max_concurrency,
            memory_bytes: (self.max_memory_mb as usize) << 20,
            total_bytes: self.total_bytes(),
            cpu: self.max_cpu_ms.map(Duration::from_millis),
            outgoing: self.allow_outgoing,
        }
    }

    /// The memory for all calls together.
    fn total_bytes(&self) -> usize {
        let given = self.max_total_memory_mb.map(|mib| mib << 20);
        // The rest is for the compiled component, for the reserves of allocator and pool,
        // and for other programs.
        let there_is = || machine::memory_bytes().map_or(DEFAULT_TOTAL_BYTES, |all| all / 4 * 3);
        usize::try_from(given.unwrap_or_else(there_is)).unwrap_or(usize::MAX)
    }

    /// The account of the memory of all calls.
    pub(crate) fn memory(&self) -> Memory {
        Memory::new(self.total_bytes())
    }

    /// The limits of callers.
    pub(crate) fn call_limits(&self, memory: &Memory) -> Limits {
        Limits {
            params_bytes_max: PARAMS_BYTES_MAX,
            params_timeout: self.timeout,
            memory: memory.clone(),
        }
    }

    /// The component's exports, and the server of their calls.
    pub(crate) fn calls(
        &self,
        workload: &Workload,
        host: Host,
        memory: Memory,
        guests: Handle,
    ) -> Result<(Arc<Calls>, Vec<Export>)> {
        let kinds: Arc<[Kind]> = (workload.exports().iter())
            .map(|export| export.kind.clone())
            .collect();
        let ticker = Ticker::start(workload.engine().clone()).context("cannot start the ticker")?;
        let exports = exports(workload, &kinds);
        let calls = Calls::new(host, kinds, ticker, memory, self.timeout, guests);
        Ok((calls, exports))
    }
}

fn exports(workload: &Workload, kinds: &Arc<[Kind]>) -> Vec<Export> {
    (workload.exports().iter().enumerate())
        .map(|(index, export)| {
            let kinds = Arc::clone(kinds);
            Export {
                instance: export.instance.clone(),
                function: export.name.clone(),
                has_streams: matches!(export.kind, Kind::Http(_)),
                check: Box::new(move |params| kinds[index].check(params)),
            }
        })
        .collect()
}

/// Reports that calls are accepted, and where.
pub(crate) fn say_ready(workload: &Workload, place: &str) -> Result<()> {
    let names: Vec<_> = workload.exports().iter().map(Function::path).collect();
    let mut stdout = std::io::stdout();
    let (names, pid) = (names.join(", "), process::id());
    writeln!(stdout, "ready: serving {names} {place} (pid {pid})")
        .and_then(|()| stdout.flush())
        .context("cannot write to stdout")
}

/// SIGTERM, SIGINT, and SIGHUP, which comes when the terminal is gone. SIGHUP is left out
/// if the process was started with it ignored (`nohup`).
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

/// Whether a signal has come.
#[derive(Clone)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Waits for the first signal.
    pub(crate) async fn wait(mut self) {
        // The sender lives as long as the process.
        let _ = self.0.wait_for(|stopped| *stopped).await;
    }
}

impl Signals {
    pub(crate) fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: match is_ignored(SignalKind::hangup()) {
                true => None,
                false => Some(listen(SignalKind::hangup())?),
            },
        })
    }

    /// The first signal stops the server, and the second one ends the process.
    pub(crate) fn stop(self, calls: &Arc<Calls>) -> Stop {
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(self.handle(stop, Arc::clone(calls)));
        Stop(stopped)
    }

    async fn handle(mut self, stop: watch::Sender<bool>, calls: Arc<Calls>) {
        self.next().await;
        tracing::info!(calls = calls.admitted(), "draining: no new calls are taken");
        stop.send_replace(true);
        self.next().await;
        output::say(&format!(
            "error: stopped by a second signal, which cut off {} calls",
            calls.admitted()
        ));
        output::finish();
        process::exit(1);
    }

    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hangup => {}
        }
    }
}

fn is_ignored(signal: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    ignored
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 << (signal.as_raw_value() - 1) != 0)
}
