//! The codes that streams and connections are closed with (RFC 9113, 7).

use std::fmt;

/// A code, known or not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// Nothing is wrong.
    pub const NO_ERROR: Self = Self(0);
    /// Something isn't as HTTP/2 demands.
    pub const PROTOCOL: Self = Self(1);
    /// The sender's own trouble.
    pub const INTERNAL: Self = Self(2);
    /// More came than the window allowed.
    pub const FLOW_CONTROL: Self = Self(3);
    /// A frame for a stream that is closed.
    pub const STREAM_CLOSED: Self = Self(5);
    /// A frame of a wrong size.
    pub const FRAME_SIZE: Self = Self(6);
    /// The stream wasn't touched: it may be made again.
    pub const REFUSED_STREAM: Self = Self(7);
    /// Nobody wants the answer any more.
    pub const CANCEL: Self = Self(8);
    /// A head can't be read.
    pub const COMPRESSION: Self = Self(9);
    /// Too much of something.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);

    /// Its name; none if it isn't known.
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

/// What the peer did that ends the connection.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text} ({code})")]
pub struct ConnectionError {
    /// What it is told.
    pub code: ErrorCode,
    /// What is wrong.
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
