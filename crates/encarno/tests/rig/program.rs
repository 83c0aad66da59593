//! The program, as a user starts it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The program with these arguments, in that folder, with nothing to read.
pub(super) fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_encarno"));
    command
        .args(arguments)
        .current_dir(folder)
        // Whoever runs the tests may have calibrated this machine.
        .env("XDG_STATE_HOME", folder.join("state"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs it to its end.
pub(super) fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder, arguments).output().expect("it starts")
}
