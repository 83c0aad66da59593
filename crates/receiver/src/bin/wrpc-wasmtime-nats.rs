//! Serves a component over NATS: see `encarno_receiver`.

use std::process::ExitCode;

/// Gives memory back after a storm, which the system's keeps.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    encarno_receiver::over_nats()
}
