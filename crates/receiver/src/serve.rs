//! From the command line to a served component, and its end.

use std::io::Write as _;
use std::process;
use std::sync::Arc;
use std::time::Duration;

use encarno_wrpc::nats::{Connection, Options, Server};
use encarno_wrpc::serve::{Export, Limits};
use tokio::runtime::{self, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use wasmtime::Result;
use wasmtime::error::Context as _;

use crate::ServeArgs;
use crate::calls::{Calls, PARAMS_BYTES_MAX};
use crate::codec::Shape;
use crate::exports::Function;
use crate::host::Workload;
use crate::limits::Ticker;
use crate::pool::GuestLimits;

/// How long the server may take to send no more calls.
const UNSUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long answers that are written may take to leave.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves the component until a signal. An error is a start that failed.
pub(crate) fn run(args: &ServeArgs) -> Result<()> {
    let limits = GuestLimits {
        concurrency: args.max_concurrency,
        memory_bytes: (args.max_memory_mb as usize) << 20,
        cpu: args.max_cpu_ms.map(Duration::from_millis),
    };
    let mut options = Options::new(&args.nats)?;
    options.name = "wrpc-wasmtime-nats".into();
    options.connect_timeout = args.connect_timeout;
    let workload = Workload::load(&args.workload, limits)?;

    let guests = guests_runtime()?;
    // This thread owns the connection.
    let messages = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the thread of the connection")?;
    let served = messages.block_on(serve(args, &options, &workload, guests.handle()));
    guests.shutdown_background();
    served
}

fn guests_runtime() -> Result<Runtime> {
    runtime::Builder::new_multi_thread()
        .thread_name("guest")
        .enable_time()
        // A guest that burns CPU comes back after a millisecond. With the
        // default of 61 such turns, the timers of sleeping guests would be
        // looked at every 61 ms.
        .event_interval(4)
        .build()
        .context("cannot start the threads of the guests")
}

async fn serve(
    args: &ServeArgs,
    options: &Options,
    workload: &Workload,
    guests: &Handle,
) -> Result<()> {
    let signals = Signals::listen()?;
    let connection = Connection::connect(options).await?;
    let host = workload.link(&connection, &args.import_prefix)?;
    let shapes: Arc<[Shape]> = (workload.exports().iter())
        .map(|export| export.params.clone())
        .collect();
    let ticker = Ticker::start(workload.engine().clone()).context("cannot start the ticker")?;
    let calls = Calls::new(
        host,
        Arc::clone(&shapes),
        ticker,
        args.timeout,
        args.max_concurrency,
        guests.clone(),
    );
    let limits = Limits {
        params_bytes_max: PARAMS_BYTES_MAX,
        params_timeout: args.timeout,
    };
    let server = Server::new(
        connection.clone(),
        &args.export_prefix,
        args.group.as_deref(),
        exports(workload, &shapes),
        limits,
    )
    .await?;
    say_ready(workload, &args.export_prefix, connection.peers())?;

    let (stop, stopped) = watch::channel(false);
    tokio::spawn(signals.handle(stop, Arc::clone(&calls)));
    tokio::select! {
        () = server.run(until(stopped.clone()), |invocation| calls.serve(invocation)) => {}
        // Without a connection, the server can't be told to send no more calls.
        () = async { until(stopped).await; tokio::time::sleep(UNSUBSCRIBE_TIMEOUT).await } => {}
    }
    calls.drained().await;
    // The answers of the last calls may still be on their way out. Without a
    // connection there is nothing to wait for.
    let _ = tokio::time::timeout(FLUSH_TIMEOUT, connection.flush()).await;
    Ok(())
}

fn exports(workload: &Workload, shapes: &Arc<[Shape]>) -> Vec<Export> {
    (workload.exports().iter().enumerate())
        .map(|(index, export)| {
            let shapes = Arc::clone(shapes);
            Export {
                instance: export.instance.clone(),
                function: export.name.clone(),
                check: Box::new(move |params| shapes[index].check(params)),
            }
        })
        .collect()
}

#[allow(clippy::print_stdout)] // the one line that scripts wait for
fn say_ready(workload: &Workload, prefix: &str, peers: &str) -> Result<()> {
    let names: Vec<_> = workload.exports().iter().map(Function::path).collect();
    println!(
        "ready: serving {} under {prefix} at {peers} (pid {})",
        names.join(", "),
        process::id()
    );
    std::io::stdout().flush().context("cannot write to stdout")
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // The sender lives as long as the process.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// The first signal stops the server, the second one the process.
    async fn handle(mut self, stop: watch::Sender<bool>, calls: Arc<Calls>) {
        self.next().await;
        tracing::info!(calls = calls.admitted(), "draining: no new calls are taken");
        stop.send_replace(true);
        self.next().await;
        eprintln!(
            "error: stopped by a second signal, which cut off {} calls",
            calls.admitted()
        );
        process::exit(1);
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
