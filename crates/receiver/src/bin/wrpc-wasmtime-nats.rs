//! Serves a component over NATS: see `encarno_receiver`.

use std::process::ExitCode;

use encarno_receiver::Allocator;

/// Unlike the system's allocator, it gives memory back.
#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

/// `make` sets the commit that it builds; otherwise the version has no commit.
const VERSION: &str = match option_env!("ENCARNO_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    encarno_receiver::over_nats(VERSION)
}
