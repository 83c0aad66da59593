//! The real peers that tests start on free ports and stop again.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "used by tests alone"
)]

mod identity;
mod namespace;
mod random;
mod toxiproxy;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub use identity::{Certificates, Nkey, Operator, file};
pub use namespace::Namespace;
pub use random::Random;
/// Makes the attributes of toxics.
pub use serde_json::json;
pub use toxiproxy::Toxiproxy;

/// A nats-server for one test. It is killed when dropped.
pub struct NatsServer {
    child: Child,
    host: String,
    port: u16,
    arguments: Vec<String>,
}

impl NatsServer {
    /// Starts nats-server on a free port of loopback.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with further arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|&text| text.to_owned()).collect();
        // -1 makes the server choose a port and write it to a file.
        let command = command("127.0.0.1", "-1", &arguments);
        let (child, port) = start(command);
        Self {
            child,
            host: "127.0.0.1".into(),
            port,
            arguments,
        }
    }

    /// Starts it in another network namespace; it can't be restarted.
    pub fn start_in(namespace: &Namespace) -> Self {
        let host = namespace.address().to_string();
        let (child, port) = start(namespace.within(&command(&host, "-1", &[])));
        Self {
            child,
            host,
            port,
            arguments: Vec::new(),
        }
    }

    /// Starts it with a configuration file with this text.
    pub fn start_configured(text: &str) -> Self {
        let file = file("nats.conf", text);
        Self::start_with(&["--config", file.to_str().expect("UTF-8")])
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `nats://HOST:PORT`.
    pub fn url(&self) -> String {
        format!("nats://{}:{}", self.host, self.port)
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Kills it, as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again on the same port.
    pub fn restart(&mut self) {
        self.kill();
        let command = command(&self.host, &self.port.to_string(), &self.arguments);
        self.child = start(command).0;
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn command(host: &str, port: &str, arguments: &[String]) -> Command {
    let mut command = Command::new(program("nats-server", "NATS_SERVER"));
    command
        .args(["--addr", host, "--port", port])
        .args(arguments);
    command
}

fn start(mut command: Command) -> (Child, u16) {
    let ports = scratch("nats-ports");
    let mut child = command
        .arg("--ports_file_dir")
        .arg(&ports)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let deadline = Instant::now() + Duration::from_secs(20);
    let port = loop {
        if let Some(port) = read_port(&ports) {
            break port;
        }
        if let Some(status) = child.try_wait().expect("nats-server") {
            panic!("nats-server ended at once: {status}");
        }
        assert!(Instant::now() < deadline, "nats-server is not ready");
        std::thread::sleep(Duration::from_millis(2));
    };
    let _ = std::fs::remove_dir_all(&ports);
    (child, port)
}

fn read_port(directory: &Path) -> Option<u16> {
    let file = std::fs::read_dir(directory).ok()?.next()?.ok()?.path();
    let ports: serde_json::Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
    let url = ports["nats"][0].as_str()?;
    url.rsplit_once(':')?.1.parse().ok()
}

/// A directory for this process in the system's temporary directory.
pub fn scratch(name: &str) -> PathBuf {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory =
        std::env::temp_dir().join(format!("encarno-{name}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a temporary directory");
    directory
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A program in `bin/`, or the one that the environment variable names.
fn program(name: &str, variable: &str) -> PathBuf {
    let program = match std::env::var_os(variable) {
        Some(program) => PathBuf::from(program),
        None => root().join("bin").join(name),
    };
    assert!(
        program.exists(),
        "{} does not exist: run `make setup` first, or name another {name} in {variable}",
        program.display()
    );
    program
}
