//! The program `encarno`: see `encarno --help`.

use std::process::ExitCode;

/// `make` sets the commit that it builds; otherwise the version has no commit.
const VERSION: &str = match option_env!("ENCARNO_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    encarno::cli::main(VERSION)
}
