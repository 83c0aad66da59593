//! The status at the end of a call.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

/// A gRPC status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(u8);

/// The name of each status, by its number, and the HTTP status that stands for it.
const STATUSES: [(&str, u16); 17] = [
    ("OK", 200),
    ("CANCELLED", 499),
    ("UNKNOWN", 500),
    ("INVALID_ARGUMENT", 400),
    ("DEADLINE_EXCEEDED", 504),
    ("NOT_FOUND", 404),
    ("ALREADY_EXISTS", 409),
    ("PERMISSION_DENIED", 403),
    ("RESOURCE_EXHAUSTED", 429),
    ("FAILED_PRECONDITION", 400),
    ("ABORTED", 409),
    ("OUT_OF_RANGE", 400),
    ("UNIMPLEMENTED", 501),
    ("INTERNAL", 500),
    ("UNAVAILABLE", 503),
    ("DATA_LOSS", 500),
    ("UNAUTHENTICATED", 401),
];

impl Status {
    /// The call succeeded.
    pub const OK: Self = Self(0);
    /// The reason for the failure is unknown.
    pub const UNKNOWN: Self = Self(2);
    /// The request has an invalid value.
    pub const INVALID_ARGUMENT: Self = Self(3);
    /// The requested thing doesn't exist.
    pub const NOT_FOUND: Self = Self(5);
    /// A resource is exhausted.
    pub const RESOURCE_EXHAUSTED: Self = Self(8);
    /// The server doesn't have the method.
    pub const UNIMPLEMENTED: Self = Self(12);
    /// The server has a bug.
    pub const INTERNAL: Self = Self(13);
    /// The server is busy or can't be reached.
    pub const UNAVAILABLE: Self = Self(14);

    /// The status with a number; `None` if there is none.
    pub fn of(number: u32) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < STATUSES.len()).then_some(Self(number))
    }

    /// The status in a header's value; `None` if it isn't a number. An unknown number counts
    /// as [`Status::UNKNOWN`].
    pub fn of_text(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim();
        let number: u32 = text.parse().ok()?;
        Some(Self::of(number).unwrap_or(Self::UNKNOWN))
    }

    /// The status of an answer that has an HTTP status but no gRPC status.
    pub fn of_http(status: u16) -> Self {
        match status {
            400 => Self::INTERNAL,
            401 => Self(16),
            403 => Self(7),
            404 => Self::UNIMPLEMENTED,
            429 | 502 | 503 | 504 => Self::UNAVAILABLE,
            _ => Self::UNKNOWN,
        }
    }

    /// The status's number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The status's name.
    pub fn name(self) -> &'static str {
        STATUSES[usize::from(self.0)].0
    }

    /// The HTTP status that stands for this status.
    pub fn http(self) -> u16 {
        STATUSES[usize::from(self.0)].1
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Decodes the message of a status, up to `bytes_max` bytes. Bytes that aren't valid percent
/// encoding or UTF-8 don't fail: they are shown as well as possible.
pub fn percent_decoded(text: &[u8], bytes_max: usize) -> String {
    let mut decoded = percent_decode(text);
    let bytes: Vec<u8> = decoded.by_ref().take(bytes_max).collect();
    let is_cut = decoded.next().is_some();
    let text: String = String::from_utf8_lossy(&bytes)
        .chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect();
    match is_cut {
        true => text + "…",
        false => text,
    }
}

/// Encodes the message of a status.
pub fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// Printable ASCII but the sign itself stays as it is.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

#[cfg(test)]
mod tests {
    use super::{Status, percent_decoded, percent_encoded};

    #[test]
    fn statuses_by_number_and_by_http() {
        assert_eq!(Status::of_text(b"5"), Some(Status::NOT_FOUND));
        assert_eq!(Status::of_text(b"99"), Some(Status::UNKNOWN));
        assert_eq!(Status::of_text(b"-1"), None);
        assert_eq!(Status::of_text(b""), None);
        assert_eq!(Status::of(14).map(Status::http), Some(503));
        assert_eq!(Status::of(17), None);
        assert_eq!(Status::of_http(404).name(), "UNIMPLEMENTED");
        assert_eq!(Status::of_http(302), Status::UNKNOWN);
    }

    #[test]
    fn texts_there_and_back() {
        let text = "no: ü % 100\n";
        let encoded = percent_encoded(text);
        assert_eq!(encoded, "no: %C3%BC %25 100%0A");
        assert_eq!(percent_decoded(encoded.as_bytes(), 100), "no: ü % 100 ");
        assert_eq!(percent_decoded(b"50% %zz %", 100), "50% %zz %");
        assert_eq!(percent_decoded(b"%ff", 100), "\u{fffd}");
        assert_eq!(percent_decoded(&[b'x'; 1 << 20], 3), "xxx…");
    }
}
