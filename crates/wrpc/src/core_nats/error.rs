//! Why a server can't be reached, or isn't any more.

use std::io;

use tokio_rustls::rustls;

/// What kind of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The host name has no address.
    Resolve,
    /// Nothing listens there, or it ends the connection.
    Io,
    /// No answer in time.
    TimedOut,
    /// TLS could not be set up.
    Tls,
    /// The server doesn't accept the credentials.
    Authentication,
    /// What was said isn't NATS.
    Protocol,
    /// A message larger than the server takes.
    PayloadTooLarge,
    /// The connection is down, or was given up.
    Closed,
}

/// A failure, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind it is.
    pub kind: ErrorKind,
    /// What failed.
    pub message: String,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message }
    }

    /// What a socket says; where there is TLS on it, TLS may say it.
    pub(super) fn of_socket(error: &io::Error) -> Self {
        let inner = error.get_ref().map(|inner| inner.is::<rustls::Error>());
        match inner {
            Some(true) => Self::new(ErrorKind::Tls, crate::socket::tls_reason(error)),
            _ => Self::new(ErrorKind::Io, error.to_string()),
        }
    }

    /// What a server refuses.
    pub(super) fn refused(text: &str) -> Self {
        // "Authorization Violation" stands in the middle of a sentence.
        let (kind, text) = match is_of_credentials(text) {
            true => (ErrorKind::Authentication, text.to_lowercase()),
            false => (ErrorKind::Io, text.to_owned()),
        };
        Self::new(kind, format!("the server refuses it: {text}"))
    }
}

/// Whether a server says that of who we are, such as "user authentication expired".
pub fn is_of_credentials(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("authentication") || text.contains("authorization")
}
