//! Exit codes of the program.

use encarno_engine::{InputFailure, RunError};

/// The run ended as it should; some hits may have failed all the same.
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
/// Every hit failed, or none was made.
pub const ALL_FAILED: u8 = 7;
/// An agent was lost, and hits with it.
pub const LOST: u8 = 8;
/// A condition of `--fail-if` or `--stop-if` holds; k6 has the same number.
pub const CRITERIA: u8 = 99;
/// A script of k6 ended the test by `exec.test.abort()`; k6 has the same number.
pub const ABORTED: u8 = 108;
/// Stopped at once by a second signal.
pub const INTERRUPTED: u8 = 130;

/// All exit statuses of the program, for its help.
pub const TABLE: &str = "\
Exit statuses:
    0  the run ended as it should; some hits may have failed
    1  the run couldn't be set up, or a command failed
    2  the command line is wrong
    3  too many records of the input are broken
    4  an output can't be written
    5  no file descriptors are left, or an event loop failed
    6  with --strict: the generator itself was the limit
    7  every hit failed, or none was made
    8  with --agents: an agent was lost, and hits with it
   99  a condition of --fail-if or --stop-if holds
  108  k6 run: the script ended the test by exec.test.abort()
  130  stopped at once by a second signal";

/// The exit status of a run that failed.
pub fn of(error: &RunError) -> u8 {
    match error {
        RunError::Input(InputFailure::Bad { .. }) => INPUT,
        RunError::Output(_) => OUTPUT,
        RunError::Loop(_) | RunError::Input(InputFailure::Chooser(_)) => ENGINE,
        RunError::Input(InputFailure::Open(_))
        | RunError::Protocol(_)
        | RunError::Script(_)
        | RunError::Settings(_)
        | RunError::System { .. } => SETUP,
    }
}
