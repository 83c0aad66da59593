//! Serves a component over NATS: see `encarno_receiver`.

use std::process::ExitCode;

fn main() -> ExitCode {
    encarno_receiver::over_nats()
}
