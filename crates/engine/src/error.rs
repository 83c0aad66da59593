//! What ends a run before its end.

use encarno_input::InputError;
use encarno_nib::SetUpError;
use encarno_record::formats::OutputError;

use crate::script::ScriptError;
use crate::workers::LoopError;
use crate::workers::feed::InputFailure;

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
    /// The protocol.
    #[error(transparent)]
    Protocol(#[from] SetUpError),
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
