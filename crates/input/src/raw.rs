//! phantom's ammo: `raw` is `LEN[ TAG]`, `stpd` is `LEN[ MSEC[ TAG]]`, each followed by a
//! line end and LEN bytes. A LEN of 0 ends the file.

use encarno_record::Record;
use encarno_record::mask::masked_text;

use super::block_reader::BlockReader;
use super::{Parse, RecordContext, RecordError};

/// The longest tag.
const TAG_BYTES_MAX: usize = 256;

pub(super) struct RawParser {
    timed: bool,
}

impl RawParser {
    pub(super) fn raw() -> Self {
        Self { timed: false }
    }

    pub(super) fn stpd() -> Self {
        Self { timed: true }
    }
}

impl Parse for RawParser {
    fn next(
        &mut self,
        source: &mut BlockReader,
        context: &mut RecordContext,
    ) -> Result<Option<Record>, RecordError> {
        source.skip_line_ends()?;
        let start = source.offset();
        let timed = self.timed;
        let Some(line) = source.line()? else {
            return Ok(None);
        };
        let header = match Header::parse(source.bytes(line), timed) {
            Ok(header) => header,
            Err(bad) => {
                source.skip_until(|line| Header::parse(line, timed).is_ok())?;
                return Err(bad.at(start));
            }
        };
        let (length, scheduled_ns) = (header.length, header.scheduled_ns);
        if length == 0 {
            return Ok(None);
        }
        let label = context.label(header.tag);
        let payload = match source.payload(length) {
            Ok(payload) => payload,
            Err(bad) => {
                source.skip_until(|line| Header::parse(line, timed).is_ok())?;
                return Err(bad.at(start));
            }
        };
        Ok(Some(Record {
            label,
            scheduled_ns,
            ..Record::new(payload)
        }))
    }
}

struct Header<'a> {
    length: u64,
    scheduled_ns: Option<u64>,
    tag: &'a [u8],
}

impl<'a> Header<'a> {
    fn parse(line: &'a [u8], timed: bool) -> Result<Self, RecordError> {
        let (length, rest) = word(line);
        let length = number(length).ok_or_else(|| {
            RecordError::new(format!(
                "a record starts with its length, and this with {}",
                shown(line)
            ))
        })?;
        let (scheduled_ns, rest) = if timed && !rest.is_empty() {
            let (ms, rest) = word(rest);
            let ns = number(ms).and_then(|ms| ms.checked_mul(1_000_000));
            let ns = ns.ok_or_else(|| {
                RecordError::new(format!(
                    "after the length comes a time in ms, not {}",
                    shown(ms)
                ))
            })?;
            (Some(ns), rest)
        } else {
            (timed.then_some(0), rest)
        };
        let tag = rest.trim_ascii();
        if tag.len() > TAG_BYTES_MAX {
            return Err(RecordError::new(format!(
                "a tag of {} bytes; at most {TAG_BYTES_MAX}",
                tag.len()
            )));
        }
        if timed && tag.contains(&b'\t') {
            return Err(RecordError::new("a tab in the tag"));
        }
        Ok(Self {
            length,
            scheduled_ns,
            tag,
        })
    }
}

/// The first word, and the text after the blanks that follow it.
pub(super) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    let end = text
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(text.len());
    (&text[..end], text[end..].trim_ascii_start())
}

/// A number that consists of digits only.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// The start of some bytes for a message, as far as it can't be secret.
pub(super) fn shown(bytes: &[u8]) -> String {
    format!("{:?}", masked_text(&bytes[..bytes.len().min(40)]))
}
