//! The texts of errors.

use std::collections::HashMap;

use encarno_grpc::{Status, percent_decoded};
use encarno_record::{StringId, Strings};

/// The most different texts. Peers choose their content, so there must be a limit.
const TEXTS_MAX: usize = 256;
/// The most bytes of a message that are shown.
const MESSAGE_BYTES_MAX: usize = 200;

/// The texts of errors, each interned once.
#[derive(Debug)]
pub(super) struct Texts {
    strings: Strings,
    /// The texts of statuses, by status and received message.
    messages: HashMap<(Status, Box<[u8]>), StringId>,
    own: HashMap<String, StringId>,
}

impl Texts {
    pub(super) fn new(strings: &Strings) -> Self {
        Self {
            strings: strings.clone(),
            messages: HashMap::new(),
            own: HashMap::new(),
        }
    }

    /// Interns another text, unless there are too many different ones.
    pub(super) fn own(&mut self, text: &str) -> StringId {
        if let Some(&known) = self.own.get(text) {
            return known;
        }
        if self.own.len() >= TEXTS_MAX {
            let short = "gRPC: the answer breaks the rules in yet another way";
            return self.strings.intern(short);
        }
        let id = self.strings.intern(&format!("gRPC: {text}"));
        self.own.insert(text.to_owned(), id);
        id
    }

    /// The text of a status, with its message unless there are too many different ones.
    pub(super) fn status(&mut self, status: Status, message: &[u8]) -> StringId {
        // Longer messages don't differ in what is shown.
        let message = &message[..message.len().min(4 * MESSAGE_BYTES_MAX)];
        let known = self.messages.get(&(status, message.into()));
        if let Some(&known) = known {
            return known;
        }
        if message.is_empty() || self.messages.len() >= TEXTS_MAX {
            return self.strings.intern(status.name());
        }
        let text = percent_decoded(message, MESSAGE_BYTES_MAX);
        let id = self.strings.intern(&format!("{status}: {text}"));
        self.messages.insert((status, message.into()), id);
        id
    }
}
