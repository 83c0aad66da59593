//! Error texts, each interned once.

use encarno_record::{StringId, Strings};

/// The texts that don't depend on the peer.
#[derive(Debug)]
pub struct Texts {
    pub(crate) closed_in_handshake: StringId,
    pub(crate) stale: StringId,
    pub(crate) given_up: StringId,
    pub(crate) goes_away: StringId,
    pub(crate) payload: StringId,
    pub(crate) no_protocol: StringId,
    pub(crate) head_too_long: StringId,
}

impl Texts {
    /// The texts for a protocol of this name. `no_protocol` is the text if a server chooses
    /// another one.
    pub(super) fn new(
        strings: &Strings,
        name: &str,
        head_bytes_max: usize,
        no_protocol: &str,
    ) -> Self {
        let too_long = format!(
            "the response's head is longer than {head_bytes_max} bytes: --max-head-bytes allows more"
        );
        let goes_away = format!("{name}: the server closes connections before it takes a request");
        Self {
            closed_in_handshake: strings.intern("connection closed during the TLS handshake"),
            stale: strings.intern("kept connection closed by the peer before a response"),
            given_up: strings.intern("the connection was given up"),
            goes_away: strings.intern(&goes_away),
            payload: strings.intern(&format!("{name}: the record isn't a request")),
            no_protocol: strings.intern(no_protocol),
            head_too_long: strings.intern(&too_long),
        }
    }
}
