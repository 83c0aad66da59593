//! Upstream's program, `wrpc-wasmtime` 0.17, both as caller and as receiver. It takes as
//! long to build as all of this, so that these tests are run by name, with `WRPC_WASMTIME`
//! for where it is; `scripts/test` says whether they were.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use encarno_test_peers::NatsServer;

use crate::guests;
use crate::program::{Client, PREFIX, Receiver};

/// A receiver of upstream's. It is killed when dropped.
struct Upstream(Child);

impl Upstream {
    fn start(program: &Path, url: &str, component: &Path) -> Self {
        let mut child = Command::new(program)
            .args([
                "nats", "serve", "-n", url, "--import", PREFIX, "--export", PREFIX,
            ])
            .arg(component)
            .env("RUST_LOG", "info")
            .env("NO_COLOR", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("upstream's receiver");
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let ready = (stdout.lines().map_while(Result::ok))
            .any(|line| line.contains("serving instance function"));
        assert!(ready, "upstream's receiver ended at once");
        Self(child)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn upstream() -> PathBuf {
    let program = std::env::var_os("WRPC_WASMTIME");
    program
        .expect("WRPC_WASMTIME names upstream's program")
        .into()
}

async fn relay(url: &str, payload: &[u8]) {
    let client = Client::connect(url).await;
    let mut params = Vec::new();
    encarno_wrpc::value::Write::bytes(&mut params, payload);
    let outcome = client
        .outcome("test:guest/relay@0.1.0", "relay", &params)
        .await;
    assert_eq!(outcome.result.unwrap(), params);
}

#[tokio::test]
#[ignore = "needs upstream's program in WRPC_WASMTIME"]
async fn upstream_calls_our_receiver() {
    let program = upstream();
    let nats = NatsServer::start();
    let _worker = Receiver::start(&nats.url(), &guests::worker(), &[]);
    let _relay = Upstream::start(&program, &nats.url(), &guests::relay());
    relay(&nats.url(), b"hello").await;
    relay(&nats.url(), b"").await;
}

#[tokio::test]
#[ignore = "needs upstream's program in WRPC_WASMTIME"]
async fn our_receiver_calls_upstream() {
    let program = upstream();
    let nats = NatsServer::start();
    let _worker = Upstream::start(&program, &nats.url(), &guests::worker());
    let _relay = Receiver::start(&nats.url(), &guests::relay(), &[]);
    relay(&nats.url(), b"hello").await;
    relay(&nats.url(), &[7; 20_000]).await;
}
