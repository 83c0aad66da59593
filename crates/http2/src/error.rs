//! The error codes of streams and connections (RFC 9113, 7).

use std::fmt;

/// A code, known or not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// Nothing is wrong.
    pub const NO_ERROR: Self = Self(0);
    /// A violation of the protocol.
    pub const PROTOCOL: Self = Self(1);
    /// An internal error of the sender.
    pub const INTERNAL: Self = Self(2);
    /// More data than the window allowed.
    pub const FLOW_CONTROL: Self = Self(3);
    /// A frame for a closed stream.
    pub const STREAM_CLOSED: Self = Self(5);
    /// A frame of a wrong size.
    pub const FRAME_SIZE: Self = Self(6);
    /// The stream wasn't processed, so it may be retried.
    pub const REFUSED_STREAM: Self = Self(7);
    /// The answer isn't needed any more.
    pub const CANCEL: Self = Self(8);
    /// A head can't be decompressed.
    pub const COMPRESSION: Self = Self(9);
    /// The peer sends too much of something.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);

    /// Its name; `None` if the code isn't known.
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        NAMES.get(self.0 as usize).copied()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error {}", self.0),
        }
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A violation by the peer that ends the connection.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text} ({code})")]
pub struct ConnectionError {
    /// The code for the peer.
    pub code: ErrorCode,
    /// The violation.
    pub text: &'static str,
}

impl ConnectionError {
    pub(crate) const fn new(code: ErrorCode, text: &'static str) -> Self {
        Self { code, text }
    }

    pub(crate) const fn protocol(text: &'static str) -> Self {
        Self::new(ErrorCode::PROTOCOL, text)
    }
}
