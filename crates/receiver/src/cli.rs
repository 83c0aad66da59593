//! The command lines of both programs.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use wasmtime::Result;

use crate::args::{NatsArgs, TcpArgs};
use crate::output::log::{LimitByKind, Lines};
use crate::{output, serve_nats, serve_tcp};

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
    /// Prints one line on stdout when it is ready. Logs go to stderr, and so does what guests
    /// write to their stdout and stderr; RUST_LOG sets their level. Guests have clocks and
    /// random numbers, but no network, files or environment.
    ///
    /// After SIGTERM or SIGINT the receiver takes no new calls, lets running calls finish, and
    /// exits with status 0. A second signal ends it at once.
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
    /// Prints one line on stdout when it is ready. Logs go to stderr, and so does what guests
    /// write to their stdout and stderr; RUST_LOG sets their level. Guests have clocks and
    /// random numbers, but no network, files or environment.
    ///
    /// After SIGTERM or SIGINT the receiver takes no new calls, lets running calls finish, and
    /// exits with status 0. A second signal ends it at once.
    Serve(TcpArgs),
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

/// The arguments of the command line; ends the process if it can't be parsed.
fn parsed<Cli: Parser>(version: &'static str) -> Cli {
    let matches = Cli::command().version(version).get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

fn run(serve: impl FnOnce() -> Result<()>) -> ExitCode {
    // Without RUST_LOG, log only what a user must know.
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
