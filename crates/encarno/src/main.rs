//! The program `encarno`: see `encarno --help`.

use std::process::ExitCode;

/// `make` names the commit that it builds from; without it the version stands alone.
const VERSION: &str = match option_env!("ENCARNO_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

fn main() -> ExitCode {
    encarno::cli::main(VERSION)
}
