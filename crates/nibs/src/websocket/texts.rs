//! Error texts.

use std::collections::HashMap;

use encarno_record::{StringId, Strings};

/// The most reasons of peers that are recorded, because peers choose them.
const REASONS_MAX: usize = 64;

/// Error texts, each interned once.
#[derive(Debug)]
pub(super) struct Texts {
    pub(super) closed_in_handshake: StringId,
    pub(super) stale: StringId,
    pub(super) given_up: StringId,
    pub(super) payload: StringId,
    pub(super) too_long: StringId,
    strings: Strings,
    /// The reasons in close frames.
    reasons: HashMap<String, StringId>,
}

impl Texts {
    pub(super) fn new(strings: &Strings, message_bytes_max: u64) -> Self {
        let too_long = format!(
            "a message is longer than {message_bytes_max} bytes: -O answer-max=N allows more"
        );
        Self {
            closed_in_handshake: strings.intern("connection closed during the handshake"),
            stale: strings.intern("kept connection closed by the peer before an answer"),
            given_up: strings.intern("too many answers are missing on this connection"),
            payload: strings.intern("the record can't be sent as a message"),
            too_long: strings.intern(&too_long),
            strings: strings.clone(),
            reasons: HashMap::new(),
        }
    }

    /// The text for a close frame; a general one if there are too many different reasons.
    pub(super) fn closed(&mut self, why: &str) -> StringId {
        if let Some(&known) = self.reasons.get(why) {
            return known;
        }
        if self.reasons.len() >= REASONS_MAX {
            let short = "the server closed the WebSocket, for another reason";
            return self.strings.intern(short);
        }
        let text = format!("the server closed the WebSocket: {why}");
        let id = self.strings.intern(&text);
        self.reasons.insert(why.to_owned(), id);
        id
    }
}
