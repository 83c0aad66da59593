//! Exit codes of the program.

use encarno_engine::{InputFailure, RunError};

/// The run ended as it should; hits may have failed all the same.
pub const OK: u8 = 0;
/// The run couldn't be set up, or a command failed.
pub const SETUP: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 2;
/// Too many broken records.
pub const INPUT: u8 = 3;
/// An output couldn't be opened or written (disk full …).
pub const OUTPUT: u8 = 4;
/// No file descriptors left, or an event loop failed.
pub const ENGINE: u8 = 5;
/// `--strict`: the generator itself was the limit.
pub const STRICT: u8 = 6;
/// `report --fail-if`: what it names came to be. k6 has the same code for thresholds.
pub const DEMAND: u8 = 99;
/// Stopped at once by a second signal.
pub const INTERRUPTED: u8 = 130;

/// The exit code of a run that failed.
pub fn of(error: &RunError) -> u8 {
    match error {
        RunError::Input(InputFailure::Bad { .. }) => INPUT,
        RunError::Output(_) => OUTPUT,
        RunError::Loop(_) => ENGINE,
        RunError::Input(InputFailure::Open(_))
        | RunError::Protocol(_)
        | RunError::Script(_)
        | RunError::Settings(_)
        | RunError::System { .. } => SETUP,
    }
}
