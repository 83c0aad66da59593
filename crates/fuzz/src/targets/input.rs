//! Files of requests, in every format.

use std::num::NonZeroU64;

use encarno_input::{InputFormat, InputSettings, Scripts, Sharing};
use encarno_record::frame::INPUT_MAGIC;
use encarno_record::{Payload, Strings};

use super::{choice, frames, http1};
use crate::memory_file::MemoryFile;

const FORMATS: [InputFormat; 10] = [
    InputFormat::Payload,
    InputFormat::Raw,
    InputFormat::Stpd,
    InputFormat::Uri,
    InputFormat::UriPost,
    InputFormat::Access,
    InputFormat::JsonLine,
    InputFormat::Urls,
    InputFormat::Vegeta,
    InputFormat::Native,
];
const RECORDS_MAX: u64 = 200;

/// The label, scheduled instant and bytes of each record, and the errors of broken ones.
type Read = Result<Vec<Result<(String, Option<u64>, Option<Vec<u8>>), String>>, String>;

fn read(settings: &InputSettings) -> Read {
    let strings = Strings::default();
    let mut input = encarno_input::open(settings, &strings).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for record in input.first_pass() {
        found.push(match record {
            Ok(record) => {
                let label = strings.get(record.label).unwrap_or_default().to_string();
                let bytes = match record.payload {
                    Payload::Memory(bytes) => Some(bytes.to_vec()),
                    Payload::File { .. } => None,
                };
                Ok((label, record.scheduled_ns, bytes))
            }
            Err(bad) => Err(bad.reason),
        });
        assert!(found.len() as u64 <= 10 * RECORDS_MAX, "it ends");
    }
    Ok(found)
}

/// Reads the bytes in the format of the first byte, or in the recognised one. The result
/// must be the same for blocks of any size, and a request must be valid.
pub(crate) fn records(bytes: &[u8]) {
    let (kind, bytes) = choice(bytes);
    let kind = kind % (FORMATS.len() + 2);
    // Numbers above the formats mean: recognise the format, or our own format with valid
    // checksums.
    let framed = (kind > FORMATS.len()).then(|| frames(&INPUT_MAGIC, bytes));
    let Some(file) = MemoryFile::new(framed.as_deref().unwrap_or(bytes)) else {
        return;
    };
    let mut settings = InputSettings::of_file(file.path());
    settings.format = FORMATS.get(kind).copied();
    settings.passes = NonZeroU64::new(1);
    settings.records_max = NonZeroU64::new(RECORDS_MAX);
    settings.host = "target".to_owned();
    settings.scripts = Scripts::Keep;
    settings.bad_limit = encarno_input::BadLimit::Records(RECORDS_MAX);
    // Longer payloads are sent from the file.
    settings.memory_payload_bytes_max = 4 << 10;
    let shared = read(&settings);
    settings.sharing = Sharing::PerWorker;
    let per_worker = read(&settings);
    assert_eq!(shared, per_worker);
    for (_, _, payload) in shared.into_iter().flatten().flatten() {
        http1::request(&payload.unwrap_or_default());
    }
}
