//! Serves a component over TCP.

use std::sync::Arc;
use std::time::Duration;

use encarno_wrpc::tcp::Server;
use encarno_wrpc::tcp::serve::Settings;
use encarno_wrpc::tls::ServerTls;
use tokio::runtime::Handle;
use wasmtime::Result;

use crate::args::TcpArgs;
use crate::host::Workload;
use crate::serve::{self, Signals};

/// How long written answers may take to leave.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves the component until a signal comes.
pub(crate) fn run(args: &TcpArgs) -> Result<()> {
    let workload = args.guests.load(&args.workload, &[])?;
    serve::run(&args.guests, |guests| serve(args, workload, guests))
}

impl TcpArgs {
    fn settings(&self) -> Settings {
        let tls =
            (self.tls_cert.as_ref().zip(self.tls_key.as_ref())).map(|(cert, key)| ServerTls {
                cert: cert.clone().into(),
                key: key.clone().into(),
                client_ca: self.tls_client_ca.clone().map(Into::into),
            });
        Settings {
            tls,
            connections_max: self.max_connections as usize,
            header_timeout: self.header_timeout,
            idle_max: self.idle,
            silence_max: self.silence,
        }
    }
}

async fn serve(args: &TcpArgs, workload: Workload, guests: Handle) -> Result<()> {
    let signals = Signals::listen()?;
    let host = workload.link(None)?;
    let memory = args.guests.memory();
    let limits = args.guests.call_limits(&memory);
    let (calls, exports) = args.guests.calls(&workload, host, memory, guests)?;
    let server = Server::bind(&args.addr, exports, limits, args.settings()).await?;
    serve::say_ready(&workload, &format!("at {}", server.local_addr()?))?;

    let stop = signals.stop(&calls);
    let serving = Arc::clone(&calls);
    let draining = server
        .run(stop.wait(), move |invocation| serving.serve(invocation))
        .await;
    calls.drained().await;
    let _ = tokio::time::timeout(FLUSH_TIMEOUT, draining.close()).await;
    Ok(())
}
