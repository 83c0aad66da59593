//! The outcome of a call, for both transports.

use std::time::Instant;

use bytes::Bytes;

use crate::{Error, ErrorCode};

/// The instants of a call. What didn't happen is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timing {
    /// The call was handed to the connection.
    pub sent: Option<Instant>,
    /// The last of a body that followed the call was handed to the connection, or the
    /// body wasn't wanted any more. `None` if no body followed.
    pub uploaded: Option<Instant>,
    /// The receiver said that it accepted the call.
    pub accepted: Option<Instant>,
    /// The end of the result arrived, or the failure was known.
    pub finished: Option<Instant>,
}

/// Counts of bytes, as a caller sees them. Each transport documents which bytes count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
}

/// The outcome of a call. Most calls result in bytes.
#[derive(Debug)]
pub struct Outcome<R = Bytes> {
    /// The results, or the error.
    pub result: Result<R, Error>,
    /// The instants of the call.
    pub timing: Timing,
    /// The bytes that were sent and received for it.
    pub traffic: Traffic,
}

impl<R> Outcome<R> {
    /// A call that failed before anything was sent.
    pub fn unsent(error: Error) -> Self {
        Self {
            result: Err(error),
            timing: Timing {
                finished: Some(Instant::now()),
                ..Timing::default()
            },
            traffic: Traffic::default(),
        }
    }
    /// The same outcome with its results converted.
    pub fn and_then<S>(self, convert: impl FnOnce(R) -> Result<S, Error>) -> Outcome<S> {
        Outcome {
            result: self.result.and_then(convert),
            timing: self.timing,
            traffic: self.traffic,
        }
    }
}

/// The error of a call that didn't end in time.
pub(crate) fn timed_out(reason: &str) -> Error {
    Error::new(ErrorCode::Timeout, format!("the call timed out: {reason}"))
}

/// Headers that are sent with the parameters of one call, such as `traceparent`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

/// The most bytes of a call's headers, which share a message with parameters.
const HEADERS_BYTES_MAX: usize = 8 << 10;

/// The beginnings of names that belong to the protocol.
const RESERVED_NAMES: [&str; 2] = ["encarno-", "nats-"];

impl Headers {
    /// Adds a header.
    ///
    /// # Errors
    ///
    /// The error names the invalid header, but not its value.
    pub fn add(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let invalid = |reason: &str| {
            let text = format!("the header {name:?} of the call {reason}");
            Error::new(ErrorCode::ProtocolViolation, text)
        };
        let is_of_name = |byte: u8| byte.is_ascii_graphic() && byte != b':';
        if name.is_empty() || !name.bytes().all(is_of_name) {
            return Err(invalid("must have a name of visible ASCII without a colon"));
        }
        let lower = name.to_ascii_lowercase();
        if RESERVED_NAMES.iter().any(|begin| lower.starts_with(begin)) {
            return Err(invalid("has a name that is part of the protocol"));
        }
        if value.contains(|char: char| char.is_control() && char != '\t') {
            return Err(invalid(
                "has a value with a line break or another control character",
            ));
        }
        if self.encoded_len() + name.len() + value.len() > HEADERS_BYTES_MAX {
            return Err(invalid(&format!(
                "is one too many: headers may take {HEADERS_BYTES_MAX} bytes"
            )));
        }
        self.0.push((name.to_owned(), value.to_owned()));
        Ok(())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and values, in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The bytes that they take in a message: a colon, a space and a line break for each,
    /// and the first and the last line.
    pub(crate) fn encoded_len(&self) -> usize {
        let lines = self
            .iter()
            .map(|(name, value)| name.len() + value.len() + 4);
        16 + lines.sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::Headers;

    #[test]
    fn headers_that_no_message_can_have() {
        let mut headers = Headers::default();
        headers
            .add("traceparent", "00-4bf9-00f0-01")
            .expect("valid");
        for (name, value, about) in [
            ("", "a", "name"),
            ("a b", "c", "name"),
            ("a:", "b", "name"),
            ("Encarno-Error", "timeout", "part of the protocol"),
            ("nats-msg-id", "1", "part of the protocol"),
            ("a", "b\r\nc: d", "line break"),
            ("a", &"b".repeat(9000), "too many"),
        ] {
            let error = headers.add(name, value).expect_err(about);
            assert!(error.message.contains(about), "{error}");
            assert!(value.len() < 5 || !error.message.contains(value), "{error}");
        }
        assert_eq!(headers.iter().count(), 1);
    }
}
