//! What parsers share: numbers for texts, and the settings that concern each record.

use std::sync::Arc;

use encarno_record::{Payload, Record, StringId, Strings};

use super::Bad;
use super::strings_file::StringsFile;
use crate::{AutoLabel, InputSettings};

/// Labels that are kept apart; more than that share one.
const LABELS_END: StringId = StringId(1_000_000);
const MORE_LABELS: &str = "(more labels)";
/// Addresses can't share one: there is room for them beyond the labels.
const ADDRESSES_END: StringId = StringId(2_000_000);

/// What parsers share.
pub(super) struct Context {
    pub(super) strings: Strings,
    pub(super) strings_file: Arc<StringsFile>,
    pub(super) settings: Arc<InputSettings>,
    last_label: (Vec<u8>, StringId),
    last_address: (Vec<u8>, StringId),
    pub(super) skipped: u64,
}

impl Context {
    pub(super) fn new(
        strings: &Strings,
        strings_file: Arc<StringsFile>,
        settings: Arc<InputSettings>,
    ) -> Self {
        Self {
            strings: strings.clone(),
            strings_file,
            settings,
            last_label: (Vec::new(), StringId(0)),
            last_address: (Vec::new(), StringId(0)),
            skipped: 0,
        }
    }

    /// The number of a label; records with the same one tend to follow another.
    pub(super) fn label(&mut self, text: &[u8]) -> StringId {
        intern(&self.strings, &mut self.last_label, text, LABELS_END)
            .unwrap_or_else(|| self.strings.intern(MORE_LABELS))
    }

    pub(super) fn address(&mut self, text: &[u8]) -> Result<StringId, Bad> {
        intern(&self.strings, &mut self.last_address, text, ADDRESSES_END)
            .ok_or_else(|| Bad::new("there are too many different addresses before this one"))
    }

    pub(super) fn label_if_needed(&mut self, record: &mut Record, number: u64) {
        if record.label.0 != 0 {
            return;
        }
        let label = match (self.settings.auto_label, &record.payload) {
            (AutoLabel::None, _) => return,
            (AutoLabel::Unique, _) => format!("#{number}"),
            (AutoLabel::Segments(count), Payload::Memory(bytes)) => encarno_http1::path(bytes)
                .split('/')
                .skip(1)
                .take(count.into())
                .fold(String::new(), |label, segment| label + "_" + segment),
            (AutoLabel::Uri, Payload::Memory(bytes)) => encarno_http1::path(bytes),
            (_, Payload::File { .. }) => return,
        };
        record.label = self.label(label.as_bytes());
    }

    /// Without any address the request's Host header says where to.
    pub(super) fn address_if_needed(&mut self, record: &mut Record) -> Result<(), Bad> {
        if record.address.0 == 0
            && self.settings.address_from_host
            && let Payload::Memory(bytes) = &record.payload
            && let Some(host) = encarno_http1::host(bytes)
        {
            record.address = self.address(host)?;
        }
        Ok(())
    }

    pub(super) fn chosen(&self, record: &Record) -> bool {
        let chosen = &self.settings.chosen_labels;
        chosen.is_empty()
            || self
                .strings
                .get(record.label)
                .is_some_and(|label| chosen.iter().any(|one| **one == *label))
    }
}

fn intern(
    strings: &Strings,
    last: &mut (Vec<u8>, StringId),
    text: &[u8],
    end: StringId,
) -> Option<StringId> {
    if last.0 != text {
        let id = strings.intern_below(&String::from_utf8_lossy(text), end)?;
        *last = (text.to_vec(), id);
    }
    Some(last.1)
}
