//! The process that makes the hits: the same program, which gets its part of the run.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::FleetError;
use crate::meeting::{self, Meeting};
use crate::words::Begin;

/// The most bytes of a process's messages that are passed on.
const SAID_BYTES_MAX: u64 = 8 << 10;
/// How long it may take to read its input.
const READY: Duration = Duration::from_secs(600);
/// The line that says so is shorter; what was prepared stands in it, too, and has to fit
/// into messages of NATS.
const READY_BYTES_MAX: u64 = 512 << 10;

/// A process that makes a part of a run.
pub(crate) struct Worker {
    child: Child,
    /// While this is open, the process knows that its agent lives.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    said: tokio::task::JoinHandle<String>,
    pub(crate) results: PathBuf,
}

impl Worker {
    /// Starts it in this folder, for part `number` (from 0) of `count`.
    pub(crate) fn start(
        program: &Path,
        arguments: &[String],
        bounds: &[String],
        (number, count): (usize, usize),
        folder: &Path,
        meeting: Option<&Meeting>,
    ) -> Result<Self, FleetError> {
        let results = folder.join("results.enc");
        let mut child = Command::new(program)
            .args(arguments)
            .args(bounds)
            .args(["--part", &format!("{}/{count}", number + 1)])
            .args(["--start-at", "-", "--quiet", "--output", "results.enc"])
            .current_dir(folder)
            .envs(meeting.map(|meeting| (meeting::VARIABLE, meeting.address())))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C of a terminal goes to the agent only, which decides what it means.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(FleetError::of(program.display().to_string()))?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(FleetError("a process has no pipes".to_owned()));
        };
        let said = async move {
            let (mut said, mut stderr) = (Vec::new(), stderr);
            // Later messages are lost; those up to here are kept.
            let _read = (&mut stderr)
                .take(SAID_BYTES_MAX)
                .read_to_end(&mut said)
                .await;
            let _rest = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            String::from_utf8_lossy(&said).trim().to_owned()
        };
        Ok(Self {
            stdin,
            stdout: BufReader::new(stdout),
            said: tokio::spawn(said),
            child,
            results,
        })
    }

    /// Waits until it has read all that it reads before the start. It may have prepared
    /// something for all parts of the run.
    pub(crate) async fn ready(&mut self) -> Result<Option<String>, FleetError> {
        let mut line = String::new();
        let mut stdout = (&mut self.stdout).take(READY_BYTES_MAX);
        let read = tokio::time::timeout(READY, stdout.read_line(&mut line)).await;
        match read {
            Ok(Ok(_)) if line == "ready\n" => Ok(None),
            Ok(Ok(_)) if line.starts_with("ready ") => {
                match line["ready ".len()..].strip_suffix('\n') {
                    Some(data) => Ok(Some(data.to_owned())),
                    None => Err(FleetError(format!(
                        "what the run prepares for all of its parts is longer than {} KiB",
                        READY_BYTES_MAX >> 10
                    ))),
                }
            }
            Ok(_) => {
                let said = self.said().await;
                Err(FleetError(format!("the run can't start: {said}")))
            }
            Err(_) => Err(FleetError(
                "the run isn't ready after 10 minutes".to_owned(),
            )),
        }
    }

    /// Says when it starts, and what the first part has prepared.
    pub(crate) async fn begin(
        &mut self,
        monotonic_ns: u64,
        begin: &Begin,
    ) -> Result<(), FleetError> {
        let failed = || FleetError::of("the run's process doesn't read its input");
        let Some(stdin) = &mut self.stdin else {
            return Err(FleetError(
                "the run's process doesn't read its input".to_owned(),
            ));
        };
        let data = begin.data.as_deref().unwrap_or_default();
        let line = format!("{monotonic_ns} {} {data}\n", begin.at_unix_ns);
        stdin.write_all(line.as_bytes()).await.map_err(failed())?;
        stdin.flush().await.map_err(failed())
    }

    /// Lets running hits end; the second call gives them up.
    pub(crate) fn stop(&self) {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(pid as i32));
        if let Some(pid) = pid {
            // It may have ended already.
            let _sent = kill_process(pid, Signal::TERM);
        }
    }

    /// Its exit status, when it has ended; `None` if a signal ended it.
    pub(crate) async fn ended(&mut self) -> io::Result<Option<i32>> {
        // Read all its output, so that it never blocks.
        let _read = tokio::io::copy(&mut self.stdout, &mut tokio::io::sink()).await;
        Ok(self.child.wait().await?.code())
    }

    /// Its messages on the standard error.
    pub(crate) async fn said(&mut self) -> String {
        self.stdin = None;
        let said = tokio::time::timeout(Duration::from_secs(5), &mut self.said).await;
        said.ok().and_then(Result::ok).unwrap_or_default()
    }
}
