//! The programs that are attacked, started as users start them, and their memory.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::Failure;

/// The longest time for anything; what takes longer hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running program. It is killed when dropped.
pub(crate) struct Program {
    child: Child,
    log: Option<File>,
}

impl Program {
    /// Starts the program; its stderr goes to a file.
    pub(crate) fn start(mut command: Command) -> Result<Self, Failure> {
        // The file is deleted while it is open.
        let folder = encarno_test_peers::scratch("attack");
        let log = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(folder.join("log"));
        std::fs::remove_dir_all(folder)?;
        let log = log?;
        command.stderr(log.try_clone()?);
        Self::spawn(command, Some(log))
    }

    /// Starts the program; nothing reads its stderr.
    pub(crate) fn start_unread(mut command: Command) -> Result<Self, Failure> {
        command.stderr(Stdio::piped());
        Self::spawn(command, None)
    }

    fn spawn(mut command: Command, log: Option<File>) -> Result<Self, Failure> {
        let child = command.stdin(Stdio::null()).spawn();
        let child = child.map_err(|error| {
            let name = command.get_program().to_string_lossy().into_owned();
            Failure::new(format!("{name}: {error}: run `make` first"))
        })?;
        Ok(Self { child, log })
    }

    /// The first line of its stdout.
    pub(crate) fn first_line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if let Some(stdout) = self.child.stdout.take() {
            BufReader::<ChildStdout>::new(stdout).read_line(&mut line)?;
        }
        match line.is_empty() {
            true => Err(Failure::new(format!(
                "it doesn't start: {}",
                self.log_end()
            ))),
            false => Ok(line),
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The end of its stderr.
    pub(crate) fn log_end(&mut self) -> String {
        let mut text = Vec::new();
        if let Some(log) = &mut self.log {
            let length = log.metadata().map_or(0, |metadata| metadata.len());
            let read = log
                .seek(SeekFrom::Start(length.saturating_sub(2000)))
                .and_then(|_| log.read_to_end(&mut text));
            drop(read);
        }
        String::from_utf8_lossy(&text).trim().replace('\n', " | ")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }

    /// Waits for its end; `None` if it doesn't end in time.
    pub(crate) async fn end(&mut self, within: Duration) -> Result<Option<ExitStatus>, Failure> {
        let deadline = Instant::now() + within;
        loop {
            match self.child.try_wait()? {
                None if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                status => return Ok(status),
            }
        }
    }

    /// Its present memory, MiB.
    pub(crate) fn memory(&self) -> u64 {
        memory(self.pid(), "VmRSS:")
    }

    /// Its peak memory, MiB.
    pub(crate) fn peak(&self) -> u64 {
        memory(self.pid(), "VmHWM:")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn memory(pid: u32, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let found = status.lines().find_map(|text| text.strip_prefix(line));
    let kib = found.and_then(|text| text.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or(0) >> 10
}

/// One of our programs, as `make` builds it, without its environment variables.
pub(crate) fn ours(name: &str) -> Command {
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => PathBuf::from(folder),
        None => encarno_test_peers::root().join("target"),
    };
    let path = match name {
        "k6" => encarno_test_peers::root().join(name),
        name => target.join("release").join(name),
    };
    let mut command = Command::new(path);
    for variable in ["RUST_LOG", "NATS_TOKEN", "NATS_NKEY", "NATS_PASSWORD"] {
        command.env_remove(variable);
    }
    command.stdout(Stdio::null());
    command
}
