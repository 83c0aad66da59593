//! The arguments of the command lines: for guests, for NATS, for TCP.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::durations;
use crate::nats_args::ConnectionArgs;

/// The arguments that both transports share.
#[derive(Args)]
pub(crate) struct GuestArgs {
    /// Stop a call that takes longer than this.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = durations::parse)]
    pub(crate) timeout: Duration,
    /// How many calls may run at the same time. Four times as many may wait.
    #[arg(long, value_name = "N", default_value_t = 2048,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_concurrency: u32,
    /// The most memory of a call, in MiB.
    #[arg(long, value_name = "N", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) max_memory_mb: u32,
    /// Memory of all calls together, MiB: of guests, parameters, results, and all that is
    /// kept for them. What would take more is refused, or waits [default: three quarters
    /// of the memory of the machine or of the control group].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    pub(crate) max_total_memory_mb: Option<u64>,
    /// Keep the compiled component in this directory, and load it from there. Nobody else may
    /// have write access to it.
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// CPU time of a call, ms, counted while it runs [default: unlimited].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_cpu_ms: Option<u64>,
    /// Let guests send HTTP requests to anyone (wasi:http/outgoing-handler).
    #[arg(long)]
    pub(crate) allow_outgoing: bool,
}

/// The arguments for NATS.
#[derive(Args)]
pub(crate) struct NatsArgs {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    /// The queue group. Receivers of the same group share the calls.
    #[arg(short, long)]
    pub(crate) group: Option<String>,
    #[command(flatten)]
    pub(crate) guests: GuestArgs,
    /// Call imports of this package over NATS, although its name begins with "wasi:".
    #[arg(long, value_name = "PACKAGE")]
    pub(crate) call: Vec<String>,
    /// Call imports that aren't WASI under this prefix.
    pub(crate) import_prefix: String,
    /// Serve exports under this prefix.
    pub(crate) export_prefix: String,
    /// The component: a .wasm file.
    pub(crate) workload: PathBuf,
}

/// The arguments for TCP.
#[derive(Args)]
pub(crate) struct TcpArgs {
    #[command(flatten)]
    pub(crate) guests: GuestArgs,
    /// How many connections may be open. The receiver refuses further ones.
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_connections: u32,
    /// Drop a connection that hasn't said within this time what it wants.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = durations::parse)]
    pub(crate) header_timeout: Duration,
    /// Close a shared connection when it has had no calls for this long.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = durations::parse)]
    pub(crate) idle: Duration,
    /// Drop a caller that doesn't finish what it began, or takes no bytes, for this long.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = durations::parse)]
    pub(crate) silence: Duration,
    /// Speak TLS with this certificate chain: a PEM file.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_key",
        allow_hyphen_values = true
    )]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The key of --tls-cert: a PEM file.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        allow_hyphen_values = true
    )]
    pub(crate) tls_key: Option<PathBuf>,
    /// Demand a certificate of one of these authorities from callers: a PEM file.
    #[arg(
        long,
        value_name = "FILE",
        requires = "tls_cert",
        allow_hyphen_values = true
    )]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// Listen at HOST:PORT. Port 0 is any free one.
    pub(crate) addr: String,
    /// The component: a .wasm file. It may import WASI alone.
    pub(crate) workload: PathBuf,
}
