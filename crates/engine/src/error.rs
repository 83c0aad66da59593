//! The errors that end a run early.

use encarno_input::InputError;
use encarno_nib::SetUpError;
use encarno_record::formats::OutputError;

use crate::script::ScriptError;
use crate::workers::LoopError;
use crate::workers::feed::InputFailure;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The input failed.
    #[error(transparent)]
    Input(#[from] InputFailure),
    /// An output failed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// An event loop failed.
    #[error(transparent)]
    Loop(#[from] LoopError),
    /// The protocol couldn't be set up.
    #[error(transparent)]
    Protocol(#[from] SetUpError),
    /// The scripts couldn't be set up.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// Settings contradict each other.
    #[error("{0}")]
    Settings(String),
    /// The operating system refused something.
    #[error("can't {operation}: {source}")]
    System {
        /// The operation that failed.
        operation: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
}

impl RunError {
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
