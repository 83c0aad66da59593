//! Serves a component over TCP: see `encarno_receiver`.

use std::process::ExitCode;

fn main() -> ExitCode {
    encarno_receiver::over_tcp()
}
