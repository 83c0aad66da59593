//! The command lines of both programs.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use wasmtime::Result;

use crate::nats_args::ConnectionArgs;
use crate::output::log::{LimitByKind, Lines};
use crate::{durations, output, serve_nats, serve_tcp};

/// Hosts a wasm component on wasmtime and serves its exports over wRPC on NATS.
#[derive(Parser)]
#[command(name = "wrpc-wasmtime-nats", version, about)]
struct NatsCli {
    #[command(subcommand)]
    command: NatsCommand,
}

#[derive(Subcommand)]
enum NatsCommand {
    /// Serve the exports of a component until SIGTERM or SIGINT.
    ///
    /// Prints one line on stdout when it is ready. Logs go to stderr as RUST_LOG
    /// says, and so does what guests write to their stdout and stderr. Guests
    /// have clocks and random numbers, but no network, files or environment.
    ///
    /// On SIGTERM or SIGINT no new calls are taken, running ones finish, and the
    /// exit status is 0. A second signal ends it at once.
    Serve(NatsArgs),
}

/// Hosts a wasm component on wasmtime and serves its exports over wRPC on TCP.
#[derive(Parser)]
#[command(name = "wrpc-wasmtime-tcp", version, about)]
struct TcpCli {
    #[command(subcommand)]
    command: TcpCommand,
}

#[derive(Subcommand)]
enum TcpCommand {
    /// Serve the exports of a component until SIGTERM or SIGINT.
    ///
    /// Prints one line on stdout when it is ready. Logs go to stderr as RUST_LOG
    /// says, and so does what guests write to their stdout and stderr. Guests
    /// have clocks and random numbers, but no network, files or environment.
    ///
    /// On SIGTERM or SIGINT no new calls are taken, running ones finish, and the
    /// exit status is 0. A second signal ends it at once.
    Serve(TcpArgs),
}

/// What the command line says, whichever the transport.
#[derive(Args)]
pub(crate) struct GuestArgs {
    /// A call that takes longer is stopped.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = durations::parse)]
    pub(crate) timeout: Duration,
    /// Calls that run at the same time; four times as many may wait.
    #[arg(long, value_name = "N", default_value_t = 2048,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_concurrency: u32,
    /// Memory of a call, MiB.
    #[arg(long, value_name = "N", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) max_memory_mb: u32,
    /// Memory of all calls together, MiB: of guests, parameters, results, and all that is
    /// kept for them. What would take more is refused, or waits [default: three quarters
    /// of the memory of the machine or of the control group].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub(crate) max_total_memory_mb: Option<u64>,
    /// Keep the compiled component in this directory, and take it from there. Nobody else
    /// may write to it.
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// CPU time of a call, ms, counted while it runs [default: unlimited].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_cpu_ms: Option<u64>,
    /// Let guests send HTTP requests to anyone (wasi:http/outgoing-handler).
    #[arg(long)]
    pub(crate) allow_outgoing: bool,
}

/// What the command line says of NATS.
#[derive(Args)]
pub(crate) struct NatsArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// Queue group: receivers of the same group share the calls.
    #[arg(short, long)]
    pub(crate) group: Option<String>,
    #[command(flatten)]
    pub(crate) guests: GuestArgs,
    /// Call imports of this package over NATS, although its name begins with "wasi:".
    #[arg(long, value_name = "PACKAGE")]
    pub(crate) call: Vec<String>,
    /// Imports that aren't WASI are called under this prefix.
    pub(crate) import_prefix: String,
    /// Exports are served under this prefix.
    pub(crate) export_prefix: String,
    /// The component: a .wasm file.
    pub(crate) workload: PathBuf,
}

/// What the command line says of TCP.
#[derive(Args)]
pub(crate) struct TcpArgs {
    #[command(flatten)]
    pub(crate) guests: GuestArgs,
    /// Connections that may be open; further ones are refused.
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_connections: u32,
    /// A connection that hasn't said what it wants by then is dropped.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = durations::parse)]
    pub(crate) header_timeout: Duration,
    /// A connection that calls share is closed after so long without calls.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = durations::parse)]
    pub(crate) idle: Duration,
    /// A caller that holds up what it has begun, or takes no bytes, for so long is dropped.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = durations::parse)]
    pub(crate) silence: Duration,
    /// Encrypt: the chain of certificates, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key to --tls-cert, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Callers must show a certificate of one of these authorities, PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// Listen at HOST:PORT; port 0 is any free one.
    pub(crate) addr: String,
    /// The component: a .wasm file. Of imports it may have WASI's alone.
    pub(crate) workload: PathBuf,
}

/// The program `wrpc-wasmtime-nats`.
pub fn over_nats(version: &'static str) -> ExitCode {
    let NatsCommand::Serve(args) = parsed::<NatsCli>(version).command;
    run(|| serve_nats::run(&args))
}

/// The program `wrpc-wasmtime-tcp`.
pub fn over_tcp(version: &'static str) -> ExitCode {
    let TcpCommand::Serve(args) = parsed::<TcpCli>(version).command;
    run(|| serve_tcp::run(&args))
}

/// The definitions of both command lines, for manual pages and completions.
pub fn commands() -> [clap::Command; 2] {
    [NatsCli::command(), TcpCli::command()]
}

/// What the command line says; ends the process when that can't be read.
fn parsed<Cli: Parser>(version: &'static str) -> Cli {
    let matches = Cli::command().version(version).get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn run(serve: impl FnOnce() -> Result<()>) -> ExitCode {
    // Without RUST_LOG: what a user must know.
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,encarno_receiver=info,encarno_wrpc=info"));
    output::start();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(Lines)
        .with_ansi(std::io::stderr().is_terminal());
    tracing_subscriber::registry()
        .with(filter)
        .with(LimitByKind)
        .with(lines)
        .init();
    let ended = serve();
    if let Err(error) = &ended {
        output::say(&format!("error: {error:#}"));
    }
    output::finish();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
