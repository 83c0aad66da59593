//! The program `encarno`: see `encarno --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    encarno::cli::main()
}
