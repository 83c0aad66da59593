//! What ends a run before its end, and the exit codes.

use crate::input::InputError;
use crate::nib::address::AddressError;
use crate::nib::tls::TlsError;
use crate::output::OutputError;
use crate::script::ScriptError;
use crate::workers::LoopError;
use crate::workers::feed::InputFailure;

/// Exit codes of the program.
pub mod exit {
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
    /// Stopped at once by a second signal.
    pub const INTERRUPTED: u8 = 130;
}

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The input.
    #[error(transparent)]
    Input(#[from] InputFailure),
    /// An output.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// An event loop.
    #[error(transparent)]
    Loop(#[from] LoopError),
    /// The default address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Scripting.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// Settings that don't go together.
    #[error("{0}")]
    Settings(String),
    /// The operating system refused something.
    #[error("can't {operation}: {source}")]
    System {
        /// What was tried.
        operation: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl RunError {
    /// The exit code that tells it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(InputFailure::Bad { .. }) => exit::INPUT,
            Self::Output(_) => exit::OUTPUT,
            Self::Loop(_) => exit::ENGINE,
            Self::Input(InputFailure::Open(_))
            | Self::Address(_)
            | Self::Tls(_)
            | Self::Script(_)
            | Self::Settings(_)
            | Self::System { .. } => exit::SETUP,
        }
    }

    /// Wraps an error of the operating system.
    pub fn system(operation: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { operation, source }
    }
}

impl From<InputError> for RunError {
    fn from(error: InputError) -> Self {
        Self::Input(InputFailure::Open(error))
    }
}
