//! `wrpc-wasmtime-nats`: serves the exports of a wasm component over wRPC on
//! NATS.
//!
//! The modules in the order in which a call meets them:
//!
//! - [`durations`]: durations on the command line
//! - [`serve`]: from the command line to a served component, and its end
//! - [`exports`]: what the component exports and imports
//! - [`calls`]: the path of a call
//! - [`budget`]: the memory of all parameters together
//! - [`host`]: the component compiled and linked once, instantiated for each call
//! - [`pool`]: the pool of instances, and what the kernel allows
//! - [`guest`]: what a guest has of the host
//! - [`codec`]: values between the wire and a guest's memory
//! - [`imports`]: calls that the component makes
//! - [`limits`]: memory, tables and CPU of a call

mod budget;
mod calls;
mod codec;
mod durations;
mod exports;
mod guest;
mod host;
mod imports;
mod limits;
mod pool;
mod serve;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// Hosts a wasm component on wasmtime and serves its exports over wRPC on NATS.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the exports of a component until SIGTERM or SIGINT.
    ///
    /// Prints one line on stdout when it is ready. Logs go to stderr as RUST_LOG
    /// says, and so does what guests write to their stdout and stderr. Guests
    /// have clocks and random numbers, but no network, files or environment.
    ///
    /// On SIGTERM or SIGINT no new calls are taken, running ones finish, and the
    /// exit status is 0. A second signal ends it at once.
    Serve(ServeArgs),
}

/// What the command line says.
#[derive(Args)]
pub(crate) struct ServeArgs {
    /// NATS server, or several separated by commas.
    #[arg(
        short,
        long,
        value_name = "URL",
        default_value = "nats://127.0.0.1:4222"
    )]
    nats: String,
    /// Queue group: receivers of the same group share the calls.
    #[arg(short, long)]
    group: Option<String>,
    /// A call that takes longer is stopped.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = durations::parse)]
    timeout: Duration,
    /// Calls that run at the same time; four times as many may wait.
    #[arg(long, value_name = "N", default_value_t = 2048,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_concurrency: u32,
    /// Memory of a call, MiB.
    #[arg(long, value_name = "N", default_value_t = 256,
          value_parser = clap::value_parser!(u32).range(1..=4096))]
    max_memory_mb: u32,
    /// CPU time of a call, ms, counted while it runs [default: unlimited].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_cpu_ms: Option<u64>,
    /// How long to try to reach NATS at the start.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = durations::parse)]
    connect_timeout: Duration,
    /// Imports that aren't WASI are called under this prefix.
    import_prefix: String,
    /// Exports are served under this prefix.
    export_prefix: String,
    /// The component: a .wasm file.
    workload: PathBuf,
}

fn main() -> ExitCode {
    let Cli {
        command: Command::Serve(args),
    } = Cli::parse();
    // Without RUST_LOG: what a user must know. async-nats says again, and in
    // worse words, what the errors here say.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new("warn,async_nats=off,wrpc_wasmtime_nats=info,encarno_wrpc=info")
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match serve::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
