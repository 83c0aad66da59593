//! The program under test, and a client for it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use encarno_test_peers::Namespace;
use encarno_wrpc::nats::{Connection, Options, subject};
use encarno_wrpc::{Error, ErrorCode, Outcome};
use rustix::process::{Pid, Signal, kill_process};

pub(crate) const PREFIX: &str = "test";
pub(crate) const INSTANCE: &str = "test:guest/work@0.1.0";

/// Nothing here takes this long; a wait for ever shall end nevertheless.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running receiver. It is killed when dropped.
pub(crate) struct Receiver {
    child: Child,
    stderr: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    /// The line that it printed when it was ready.
    pub(crate) ready: String,
}

impl Receiver {
    /// Serves a component under [`PREFIX`], and waits until it is ready.
    pub(crate) fn start(url: &str, component: &Path, arguments: &[&str]) -> Self {
        Self::start_with(url, component, arguments, &[])
    }

    /// The same with variables of the environment.
    pub(crate) fn start_with(
        url: &str,
        component: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut command = command(url, arguments);
        command.envs(environment.iter().copied());
        command.args([PREFIX, PREFIX]).arg(component);
        Self::spawn(command)
    }

    /// Serves a component at a free port of loopback, and waits until it is ready.
    pub(crate) fn start_tcp(component: &Path, arguments: &[&str]) -> Self {
        let mut command = tcp_command(arguments);
        command.arg("127.0.0.1:0").arg(component);
        Self::spawn(command)
    }

    /// The same in another network namespace.
    pub(crate) fn start_tcp_in(namespace: &Namespace, component: &Path) -> Self {
        let mut command = tcp_command(&[]);
        command
            .arg(format!("{}:0", namespace.address()))
            .arg(component);
        let mut command = namespace.within(&command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self::spawn(command)
    }

    /// The same; nobody reads its stderr, and it logs all that is worth debugging.
    pub(crate) fn start_tcp_unread(component: &Path, arguments: &[&str]) -> Self {
        let mut command = tcp_command(arguments);
        command.env("RUST_LOG", "debug");
        command.arg("127.0.0.1:0").arg(component);
        Self::spawn_with(command, false)
    }

    fn spawn(command: Command) -> Self {
        Self::spawn_with(command, true)
    }

    fn spawn_with(mut command: Command, reads_stderr: bool) -> Self {
        let mut child = command.spawn().expect("the receiver");
        let stderr = Arc::<Mutex<String>>::default();
        let reader = reads_stderr.then(|| {
            let stderr = Arc::clone(&stderr);
            let pipe = child.stderr.take().unwrap();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines() {
                    let mut stderr = stderr.lock().unwrap();
                    stderr.push_str(&line.unwrap());
                    stderr.push('\n');
                }
            })
        });
        let mut ready = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut ready).unwrap();
        let receiver = Self {
            child,
            stderr,
            reader,
            ready,
        };
        assert!(
            receiver.ready.starts_with("ready: serving "),
            "{:?} {}",
            receiver.ready,
            receiver.stderr()
        );
        receiver
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> &str {
        let (_, place) = self.ready.rsplit_once(" at ").unwrap();
        place.split(' ').next().unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has had at once.
    pub(crate) fn peak_rss_kib(&self) -> u64 {
        self.kib("VmHWM:")
    }

    /// The memory that it has.
    pub(crate) fn rss_kib(&self) -> u64 {
        self.kib("VmRSS:")
    }

    fn kib(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap()
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .unwrap()
    }

    /// What it has logged so far.
    pub(crate) fn stderr(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Waits until it has logged that.
    pub(crate) async fn logged(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.stderr().contains(text) {
            assert!(
                Instant::now() < deadline,
                "no {text:?} in {}",
                self.stderr()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let status = wait(&mut self.child);
        let _ = self.reader.take().map(JoinHandle::join);
        status
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_wrpc-wasmtime-nats"));
    command.args(["serve", "-n", url]).args(arguments);
    command
}

fn tcp_command(arguments: &[&str]) -> Command {
    let mut command = program(env!("CARGO_BIN_EXE_wrpc-wasmtime-tcp"));
    command.arg("serve").args(arguments);
    command
}

fn program(path: &str) -> Command {
    let mut command = Command::new(path);
    command
        .env_remove("RUST_LOG")
        .env_remove("NATS_TOKEN")
        .env_remove("NATS_NKEY")
        .env_remove("NATS_PASSWORD")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn wait(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("the program did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs the program until it ends; returns its exit code and its stderr.
pub(crate) fn run(url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    run_with(url, arguments, &[])
}

/// The same with variables of the environment.
pub(crate) fn run_with(
    url: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> (Option<i32>, String) {
    let mut command = command(url, arguments);
    command.envs(environment.iter().copied());
    run_command(command)
}

/// The same of the one for TCP.
pub(crate) fn run_tcp(arguments: &[&str]) -> (Option<i32>, String) {
    run_command(tcp_command(arguments))
}

fn run_command(mut command: Command) -> (Option<i32>, String) {
    let mut child = command.spawn().expect("the receiver");
    let status = wait(&mut child);
    let (mut stdout, mut stderr) = (String::new(), String::new());
    child.stdout.unwrap().read_to_string(&mut stdout).unwrap();
    child.stderr.unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(stdout, "", "a start that failed says so on stderr alone");
    (status.code(), stderr)
}

/// Calls what a receiver serves.
#[derive(Clone)]
pub(crate) struct Client(Connection);

impl Client {
    pub(crate) async fn connect(url: &str) -> Self {
        Self(
            Connection::connect(&Options::new(url).unwrap())
                .await
                .unwrap(),
        )
    }

    /// Calls a function of [`INSTANCE`].
    pub(crate) async fn call(&self, function: &str, params: &[u8]) -> Result<Bytes, Error> {
        self.outcome(INSTANCE, function, params).await.result
    }

    /// The same, with another timeout than what is long enough for all.
    pub(crate) async fn call_within(
        &self,
        timeout: Duration,
        function: &str,
        params: &[u8],
    ) -> Result<Bytes, Error> {
        let function = subject::function(PREFIX, INSTANCE, function).unwrap();
        let params = Bytes::copy_from_slice(params);
        let deadline = Instant::now() + timeout;
        self.0.call(function, params, deadline).await.result
    }

    pub(crate) async fn outcome(&self, instance: &str, function: &str, params: &[u8]) -> Outcome {
        let function = subject::function(PREFIX, instance, function).unwrap();
        let params = Bytes::copy_from_slice(params);
        self.0
            .call(function, params, Instant::now() + PATIENCE)
            .await
    }

    /// Calls a function that is to fail, with that code and about that.
    pub(crate) async fn fails(&self, function: &str, params: &[u8], code: ErrorCode, about: &str) {
        let error = self.call(function, params).await.expect_err(function);
        assert_eq!(error.code, code, "{function}: {error}");
        assert!(error.message.contains(about), "{function}: {error}");
    }

    /// Calls `echo` so many times, one after the other.
    pub(crate) async fn echo(&self, times: usize) {
        for _ in 0..times {
            let echoed = self.call("echo", b"\x05hello").await.expect("echo");
            assert_eq!(&echoed[..], b"\x05hello");
        }
    }
}
