//! How a call ended.

use std::fmt;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode, utf8_percent_encode};

/// A gRPC status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(u8);

/// By their numbers: the name, and the HTTP status that stands for it.
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
    /// The call went well.
    pub const OK: Self = Self(0);
    /// Nobody knows why it didn't.
    pub const UNKNOWN: Self = Self(2);
    /// What was asked makes no sense.
    pub const INVALID_ARGUMENT: Self = Self(3);
    /// There is no such thing.
    pub const NOT_FOUND: Self = Self(5);
    /// Something has run out.
    pub const RESOURCE_EXHAUSTED: Self = Self(8);
    /// There is no such method.
    pub const UNIMPLEMENTED: Self = Self(12);
    /// The server is broken.
    pub const INTERNAL: Self = Self(13);
    /// The server is busy, or not there.
    pub const UNAVAILABLE: Self = Self(14);

    /// Of that number; none if there is no such status.
    pub fn of(number: u32) -> Option<Self> {
        let number = u8::try_from(number).ok()?;
        (usize::from(number) < STATUSES.len()).then_some(Self(number))
    }

    /// Of the header's value. A number that isn't known counts as [`Status::UNKNOWN`];
    /// none if it isn't a number.
    pub fn of_text(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?.trim();
        let number: u32 = text.parse().ok()?;
        Some(Self::of(number).unwrap_or(Self::UNKNOWN))
    }

    /// Of an answer that has an HTTP status and none of gRPC.
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

    /// Its number.
    pub fn number(self) -> u8 {
        self.0
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        STATUSES[usize::from(self.0)].0
    }

    /// The HTTP status that stands for it.
    pub fn http(self) -> u16 {
        STATUSES[usize::from(self.0)].1
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A message of a status as text, of so many bytes at most. What isn't percent
/// encoding, or isn't UTF-8, is shown as well as it can be.
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

/// The same the other way round.
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
