//! What can go wrong, in a bounded number of words.

use std::collections::HashMap;

use encarno_record::{StringId, Strings};

/// Texts of guests and peers that are told apart.
const OWN_MAX: usize = 256;

/// Each is interned once.
#[derive(Debug)]
pub(super) struct Texts {
    strings: Strings,
    own: HashMap<String, StringId>,
    more: StringId,
    pub(super) closed_in_handshake: StringId,
    pub(super) stale: StringId,
    pub(super) unasked: StringId,
    pub(super) too_long: StringId,
    pub(super) given_up: StringId,
    pub(super) closed_by_guest: StringId,
    pub(super) stuck: StringId,
    pub(super) too_large: StringId,
}

impl Texts {
    pub(super) fn new(strings: &Strings, answer_bytes_max: usize) -> Self {
        let too_long = format!(
            "the answer has no end within {answer_bytes_max} bytes: answer-max allows more"
        );
        Self {
            strings: strings.clone(),
            own: HashMap::new(),
            more: strings.intern("another error: the guest has more than 256 texts for them"),
            closed_in_handshake: strings.intern("connection closed during the TLS handshake"),
            stale: strings.intern("kept connection closed by the peer before an answer"),
            unasked: strings.intern("bytes came that aren't of an answer: no hit waits for them"),
            too_long: strings.intern(&too_long),
            given_up: strings.intern("too many answers are missing on this connection"),
            closed_by_guest: strings.intern("the guest closed the connection before the hit ended"),
            stuck: strings.intern("the guest sends, and the peer takes nothing"),
            too_large: strings
                .intern("a payload this long isn't held in memory: a guest can't see it"),
        }
    }

    /// A text that isn't one of ours.
    pub(super) fn own(&mut self, text: &str) -> StringId {
        if let Some(&id) = self.own.get(text) {
            return id;
        }
        if self.own.len() >= OWN_MAX {
            return self.more;
        }
        let id = self.strings.intern(text);
        self.own.insert(text.to_owned(), id);
        id
    }
}
