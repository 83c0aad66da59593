//! Peers in Go, which `make setup` builds into `bin/`.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

use super::process::Process;

/// The command for a peer, with its input and output as pipes. A server ends with its input.
pub(super) fn go_peer(name: &str) -> Command {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../bin");
    let program = program.join(name);
    let there = program.exists();
    assert!(there, "bin/{name} does not exist: run `make setup` first");
    let mut command = Command::new(program);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// A peer that serves; it ends with the test.
pub(super) struct GoServer {
    pub(super) address: String,
    /// What it prints after its address.
    pub(super) stdout: BufReader<ChildStdout>,
    pub(super) process: Process,
}

impl GoServer {
    pub(super) fn start(name: &str, flags: &[&str]) -> Self {
        let mut child = go_peer(name).arg("serve").args(flags).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        Self {
            address: line.trim().rsplit(' ').next().unwrap().to_owned(),
            stdout,
            process: Process(child),
        }
    }
}
