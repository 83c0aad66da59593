//! Serves a component over NATS: see `encarno_receiver`.

use std::process::ExitCode;

use encarno_receiver::Allocator;

/// Gives memory back, which the system's keeps.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// `make` names the commit that it builds from; without it the version stands alone.
const VERSION: &str = match option_env!("ENCARNO_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    encarno_receiver::over_nats(VERSION)
}
