//! The state that parsers share: numbers of texts, and the settings for records.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use encarno_record::{Payload, Record, StringId, Strings};

use super::request::{Origin, RecordUrl, RequestHead};
use super::strings_file::StringsFile;
use super::{RecordError, block_reader};
use crate::{AutoLabel, InputSettings, LeftOut};

/// The most distinct labels; further ones share one.
const LABELS_END: StringId = StringId(1_000_000);
const MORE_LABELS: &str = "(more labels)";
/// Addresses can't share one number, so their range goes beyond that of labels.
const ADDRESSES_END: StringId = StringId(2_000_000);

/// The state that parsers share.
pub(super) struct RecordContext {
    pub(super) strings: Strings,
    pub(super) strings_file: Arc<StringsFile>,
    pub(super) settings: Arc<InputSettings>,
    pub(super) left_out: LeftOut,
    last_label: (Vec<u8>, StringId),
    last_address: (Vec<u8>, StringId),
    last_origin: (Vec<u8>, Origin),
    /// Two halves of unique ids, random for each reader.
    unique: [RandomState; 2],
    /// The number of records that were enumerated.
    enumerated: u64,
}

/// A request from a file, without the settings' part.
#[derive(Default)]
pub(super) struct RequestParts<'a> {
    pub(super) method: &'a [u8],
    pub(super) url: &'a [u8],
    pub(super) headers: &'a [(String, String)],
    pub(super) host: &'a [u8],
    pub(super) label: &'a [u8],
    /// The body, if the request has one, even an empty one.
    pub(super) body: Option<Payload>,
}

impl RecordContext {
    pub(super) fn new(
        strings: &Strings,
        strings_file: Arc<StringsFile>,
        settings: Arc<InputSettings>,
    ) -> Self {
        Self {
            strings: strings.clone(),
            strings_file,
            settings,
            left_out: LeftOut::default(),
            last_label: (Vec::new(), StringId(0)),
            last_address: (Vec::new(), StringId(0)),
            last_origin: (Vec::new(), Origin::default()),
            unique: Default::default(),
            enumerated: 0,
        }
    }

    /// A record with a request that is built here. The URL's host goes into the Host
    /// header. The run decides where the request is sent, unless records may decide it.
    pub(super) fn request(&mut self, parts: RequestParts<'_>) -> Result<Record, RecordError> {
        let url = RecordUrl::parse(parts.url)?;
        if self.last_origin.0 != url.origin {
            self.last_origin = (url.origin.to_vec(), Origin::parse(url.origin)?);
        }
        let origin = &self.last_origin.1;
        let head = RequestHead {
            method: parts.method,
            origin,
            target: &url.target,
            headers: parts.headers,
            host: parts.host,
            body_bytes: parts.body.as_ref().map(Payload::len),
        };
        let head = head.bytes(&self.settings);
        let address = if self.settings.record_hosts && !origin.address.is_empty() {
            let address = origin.address.clone();
            self.address(address.as_bytes())?
        } else {
            StringId(0)
        };
        let payload = match parts.body {
            None => Payload::Memory(head.into()),
            Some(body) => block_reader::made(head, body, self.settings.memory_payload_bytes_max)?,
        };
        Ok(Record {
            label: self.label(parts.label),
            address,
            ..Record::new(payload)
        })
    }

    /// A record for a format with URLs but no methods: GET, unless the settings give a
    /// method or a body.
    pub(super) fn request_of_url(
        &mut self,
        parts: RequestParts<'_>,
    ) -> Result<Record, RecordError> {
        let settings = Arc::clone(&self.settings);
        let method = settings.method.as_deref().unwrap_or("GET");
        self.request(RequestParts {
            method: method.as_bytes(),
            body: settings.body.clone().map(Payload::Memory),
            ..parts
        })
    }

    /// The number of a label. Successive records often have the same label.
    pub(super) fn label(&mut self, text: &[u8]) -> StringId {
        intern(&self.strings, &mut self.last_label, text, LABELS_END)
            .unwrap_or_else(|| self.strings.intern(MORE_LABELS))
    }

    pub(super) fn address(&mut self, text: &[u8]) -> Result<StringId, RecordError> {
        let text = without_user(text);
        intern(&self.strings, &mut self.last_address, &text, ADDRESSES_END).ok_or_else(|| {
            RecordError::new("there are too many different addresses before this one")
        })
    }

    pub(super) fn label_if_needed(&mut self, record: &mut Record, number: u64) {
        if record.label.0 != 0 {
            return;
        }
        let mut label = match (self.settings.auto_label, &record.payload) {
            (AutoLabel::None, _) if self.settings.enumerate => String::new(),
            (AutoLabel::None, _) => return,
            (AutoLabel::Unique, _) => self.unique_id(number),
            (AutoLabel::Segments(count), Payload::Memory(bytes)) => {
                path_label(&encarno_http1::path(bytes), count.into())
            }
            (AutoLabel::Uri, Payload::Memory(bytes)) => {
                path_label(&encarno_http1::path(bytes), usize::MAX)
            }
            (_, Payload::File { .. }) => return,
        };
        if self.settings.enumerate {
            label += &format!("#{}", self.enumerated);
            self.enumerated += 1;
        }
        record.label = self.label(label.as_bytes());
    }

    /// A unique number of 128 bits in hex, different from those of other readers.
    fn unique_id(&self, number: u64) -> String {
        let [high, low] = self.unique.each_ref().map(|state| state.hash_one(number));
        format!("{high:016x}{low:016x}")
    }

    /// If there is no other address, the request's Host header gives it.
    pub(super) fn address_if_needed(&mut self, record: &mut Record) -> Result<(), RecordError> {
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

/// The path in the form of Yandex.Tank's labels: `_a_b`.
fn path_label(path: &str, segments_max: usize) -> String {
    let segments = path.split('/').skip(1).take(segments_max);
    segments.fold(String::new(), |label, segment| label + "_" + segment)
}

/// An address without `user:password@`, because result files contain addresses.
fn without_user(address: &[u8]) -> std::borrow::Cow<'_, [u8]> {
    let start = memchr::memmem::find(address, b"://").map_or(0, |scheme| scheme + 3);
    let end = address[start..]
        .iter()
        .position(|byte| b"/?#".contains(byte))
        .map_or(address.len(), |end| start + end);
    match memchr::memrchr(b'@', &address[start..end]) {
        None => address.into(),
        Some(at) => [&address[..start], &address[start + at + 1..]]
            .concat()
            .into(),
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
