//! The errors and ends of connections.

use std::fmt;

/// Why a connection ends (RFC 6455, 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// A normal end.
    pub const NORMAL: Self = Self(1000);
    /// The sender goes away.
    pub const GOING_AWAY: Self = Self(1001);
    /// A violation of the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// A text that isn't UTF-8.
    pub const NOT_TEXT: Self = Self(1007);
    /// A message that is too long.
    pub const TOO_LONG: Self = Self(1009);
    /// The server can't continue.
    pub const INTERNAL: Self = Self(1011);
    /// The server is overloaded.
    pub const TRY_AGAIN: Self = Self(1013);

    /// Whether a frame may contain it.
    pub(crate) fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            1000 => "normal closure",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "unsupported data",
            1007 => "not a text",
            1008 => "policy violation",
            1009 => "message too long",
            1010 => "extension needed",
            1011 => "internal error",
            1012 => "service restart",
            1013 => "try again later",
            1014 => "bad gateway",
            _ => return write!(f, "{}", self.0),
        };
        write!(f, "{}, {name}", self.0)
    }
}

/// Why a connection can't be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ConnectionError {
    /// The code for the peer.
    pub code: CloseCode,
    /// The violation.
    pub text: &'static str,
}

/// Why the handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The answer isn't HTTP/1.1.
    #[error("the answer to the handshake isn't HTTP/1.1")]
    NotHttp,
    /// The head is too long.
    #[error("the answer to the handshake has an endless head")]
    TooLong,
    /// The status isn't 101.
    #[error("the server answered the handshake with status {0} instead of 101")]
    Status(u16),
    /// The status is 101, but this field is wrong.
    #[error("the server agreed to the handshake, but {0}")]
    Field(&'static str),
}
