//! The closed list of a call's errors, the same in the client, on the wire, in the C ABI
//! and in k6's metrics.

use std::fmt;

/// Declares [`ErrorCode`] with a number for the C ABI and a name for people.
macro_rules! error_codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// The kind of a failure. The numbers are part of the C ABI, and the names are
        /// part of the wire and of the metrics: neither ever changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum ErrorCode { $($(#[$doc])* $variant = $number,)* }

        impl ErrorCode {
            /// Every code, in the order of the numbers.
            pub const ALL: &[ErrorCode] = &[$(ErrorCode::$variant,)*];

            /// The name in metrics, headers and messages.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorCode::$variant => $name,)* }
            }

            /// The code with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(ErrorCode::$variant),)* _ => None }
            }
        }
    };
}

error_codes! {
    /// Nothing listens at the address, or the connection attempt timed out.
    ConnectionRefused = 1, "connection_refused";
    /// The host name has no address.
    UnresolvedHost = 2, "unresolved_host";
    /// TLS could not be set up: certificate, name or version.
    TlsFailure = 3, "tls_failure";
    /// The server doesn't accept the credentials.
    Authentication = 4, "authentication";
    /// The connection was lost while the call was in flight.
    ConnectionLost = 5, "connection_lost";
    /// No receiver serves the function.
    NoResponders = 6, "no_responders";
    /// The receiver accepted the call and then went away.
    ReceiverGone = 7, "receiver_gone";
    /// The receiver has as many calls as it allows.
    ReceiverBusy = 8, "receiver_busy";
    /// There was no result by the deadline of the call.
    Timeout = 9, "timeout";
    /// The caller gave the call up.
    Cancelled = 10, "cancelled";
    /// Parameters or results are larger than the limit.
    PayloadTooLarge = 11, "payload_too_large";
    /// The bytes violate the protocol or the function's type.
    ProtocolViolation = 12, "protocol_violation";
    /// The component trapped.
    GuestTrap = 13, "guest_trap";
    /// The component reached a limit: memory, CPU or time.
    GuestLimit = 14, "guest_limit";
    /// A bug in this software.
    Internal = 15, "internal";
    /// An HTTP handler returned an error code instead of a response.
    HandlerError = 16, "handler_error";
    /// A response violates the rules of HTTP or of its interface.
    InvalidResponse = 17, "invalid_response";
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A failure, with a message that names what failed and the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What kind of failure it is.
    pub code: ErrorCode,
    /// The message, one sentence.
    pub message: String,
}

impl Error {
    /// A failure of this kind.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn names_lead_back_to_their_codes() {
        for &code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_name(code.name()), Some(code));
        }
        assert_eq!(ErrorCode::from_name("timeouts"), None);
    }
}
