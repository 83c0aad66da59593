//! Why a server can't be reached, or was lost.

use std::io;

use tokio_rustls::rustls;

/// The kind of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The host name has no address.
    Resolve,
    /// Nothing listens there, or the peer closes the connection.
    Io,
    /// There was no answer in time.
    TimedOut,
    /// TLS could not be set up.
    Tls,
    /// The server doesn't accept the credentials.
    Authentication,
    /// The peer doesn't follow the NATS protocol.
    Protocol,
    /// A message is larger than the server accepts.
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
    /// The sentence.
    pub message: String,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, message }
    }

    /// The error of a socket, which may come from TLS on it.
    pub(super) fn of_socket(error: &io::Error) -> Self {
        let inner = error.get_ref().map(|inner| inner.is::<rustls::Error>());
        match inner {
            Some(true) => Self::new(ErrorKind::Tls, crate::socket::tls_reason(error)),
            _ => Self::new(ErrorKind::Io, error.to_string()),
        }
    }

    /// The error for a refusal by the server.
    pub(super) fn refused(text: &str) -> Self {
        // "Authorization Violation" is in lower case within a sentence.
        let (kind, text) = match is_of_credentials(text) {
            true => (ErrorKind::Authentication, text.to_lowercase()),
            false => (ErrorKind::Io, text.to_owned()),
        };
        Self::new(kind, format!("the server refuses it: {text}"))
    }
}

/// Whether a refusal is about our identity, such as "user authentication expired".
pub fn is_of_credentials(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("authentication") || text.contains("authorization")
}
