//! Serves a component over NATS.

use std::time::Duration;

use encarno_wrpc::nats::{Connection, Options, Server};
use tokio::runtime::Handle;
use wasmtime::{Result, bail};

use crate::args::NatsArgs;
use crate::host::Workload;
use crate::serve::{self, Signals};

/// How long the server may still send calls after the end of the subscriptions.
const UNSUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long written answers may take to leave.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves the component until a signal comes.
pub(crate) fn run(args: &NatsArgs) -> Result<()> {
    let options = args.connection.options()?;
    let workload = args.guests.load(&args.workload, &args.call)?;
    serve::run(&args.guests, |guests| {
        serve(args, options, workload, guests)
    })
}

async fn serve(
    args: &NatsArgs,
    options: Options,
    workload: Workload,
    guests: Handle,
) -> Result<()> {
    let signals = Signals::listen()?;
    let connection = Connection::connect(&options).await?;
    let host = workload.link(Some((&connection, &args.import_prefix)))?;
    let memory = args.guests.memory();
    let limits = args.guests.call_limits(&memory);
    let (calls, exports) = args.guests.calls(&workload, host, memory, guests)?;
    let server = Server::new(
        connection.clone(),
        &args.export_prefix,
        args.group.as_deref(),
        exports,
        limits,
    )
    .await?;
    let place = format!("under {} at {}", args.export_prefix, connection.peers());
    serve::say_ready(&workload, &place)?;

    let stop = signals.stop(&calls);
    tokio::select! {
        () = server.run(stop.clone().wait(), |invocation| calls.serve(invocation)) => {}
        // Without a connection, the server can't be told to stop sending calls.
        () = async { stop.wait().await; tokio::time::sleep(UNSUBSCRIBE_TIMEOUT).await } => {}
    }
    if connection.is_closed() {
        bail!(
            "the connection to NATS at {} was lost and given up (--max-reconnects)",
            connection.peers()
        );
    }
    calls.drained().await;
    // The answers of the last calls may still be leaving. Without a connection there is
    // nothing to wait for.
    let _ = tokio::time::timeout(FLUSH_TIMEOUT, connection.flush()).await;
    Ok(())
}
