//! Our own input format: frames of many records, with their texts in other frames.
//! Reading it takes one checksum and no parsing.
//!
//! | kind | payload (little endian) |
//! |---|---|
//! | 17 input | schema version u32 |
//! | 18 strings | for each: length u32, bytes; numbered from 1 in the order of the file |
//! | 19 script | a script as JSON; numbered from 1 |
//! | 20 records | for each: [`RECORD_BYTES`], then the payload |
//! | 21 large record | a record without its payload, whose bytes follow the frame |
//!
//! A record: label u32, address u32, script u32 (0 = none), flags u32 (1 =
//! timed), instant in ns u64, length u64.

use std::sync::Arc;

use bytes::Bytes;
use encarno_record::frame::{self, INPUT_MAGIC};
use encarno_record::script::Script;
use encarno_record::{Payload, Record, StringId};

use super::block_reader::BlockReader;
use super::payload::apply_script;
use super::{Parse, RecordContext, RecordError};

mod writer;

pub use writer::NativeInputWriter;

/// The schema of written files. A reader refuses newer ones.
pub const SCHEMA_VERSION: u32 = 1;
/// The length of a record without its payload.
pub const RECORD_BYTES: usize = 32;

const KIND_INPUT: u16 = 17;
const KIND_STRINGS: u16 = 18;
const KIND_SCRIPT: u16 = 19;
const KIND_RECORDS: u16 = 20;
const KIND_LARGE: u16 = 21;
const FLAG_TIMED: u32 = 1;

#[derive(Default)]
pub(super) struct NativeParser {
    started: bool,
    /// The present block, and the place of its next record.
    records: Bytes,
    at: usize,
    texts: Vec<StringId>,
    scripts: Vec<Arc<Script>>,
}

impl Parse for NativeParser {
    fn next(
        &mut self,
        source: &mut BlockReader,
        context: &mut RecordContext,
    ) -> Result<Option<Record>, RecordError> {
        if !self.started {
            self.start(source)?;
        }
        while self.at >= self.records.len() {
            let Some((kind, payload)) = next_frame(source)? else {
                return Ok(None);
            };
            match kind {
                KIND_STRINGS => self.learn(&payload, context)?,
                KIND_SCRIPT => self.learn_script(&payload)?,
                KIND_RECORDS => (self.records, self.at) = (payload, 0),
                KIND_LARGE => {
                    let head = Head::parse(&payload)
                        .ok_or_else(|| RecordError::new("a large record of no sense"))?;
                    let payload = source.payload(head.length)?;
                    return self.record(&head, payload, context).map(Some);
                }
                // A frame of a later version, which this one doesn't need.
                _ => {}
            }
        }
        let (start, end) = (self.at, self.records.len());
        self.at = end;
        let head = Head::parse(&self.records[start..])
            .ok_or_else(|| RecordError::new("a record is cut off in its block"))?;
        let start = start + RECORD_BYTES;
        if head.length > (end - start) as u64 {
            return Err(RecordError::new("a record is longer than its block"));
        }
        self.at = start + head.length as usize;
        self.record(
            &head,
            Payload::Memory(self.records.slice(start..self.at)),
            context,
        )
        .map(Some)
    }

    fn restart(&mut self) {
        *self = Self::default();
    }
}

impl NativeParser {
    fn start(&mut self, source: &mut BlockReader) -> Result<(), RecordError> {
        if source.peek(INPUT_MAGIC.len())? != INPUT_MAGIC {
            return Err(RecordError::fatal("this isn't a native input file"));
        }
        source.take(INPUT_MAGIC.len())?;
        self.started = true;
        let version = match next_frame(source)? {
            Some((KIND_INPUT, payload)) => payload
                .first_chunk()
                .map(|bytes| u32::from_le_bytes(*bytes)),
            _ => None,
        };
        match version {
            Some(SCHEMA_VERSION) => Ok(()),
            Some(version) => Err(RecordError::fatal(format!(
                "it has schema version {version}; this version reads up to {SCHEMA_VERSION}"
            ))),
            None => Err(RecordError::fatal("its first block is missing")),
        }
    }

    fn learn(&mut self, payload: &Bytes, context: &RecordContext) -> Result<(), RecordError> {
        let mut rest = &payload[..];
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let (text, after) = after
                .split_at_checked(u32::from_le_bytes(*length) as usize)
                .ok_or_else(|| RecordError::new("a text is longer than its block"))?;
            self.texts
                .push(context.strings.intern(&String::from_utf8_lossy(text)));
            rest = after;
        }
        Ok(())
    }

    fn learn_script(&mut self, payload: &[u8]) -> Result<(), RecordError> {
        let script: Script = serde_json::from_slice(payload)
            .map_err(|error| RecordError::new(format!("a script of no sense: {error}")))?;
        self.scripts.push(Arc::new(script));
        Ok(())
    }

    fn record(
        &self,
        head: &Head,
        payload: Payload,
        context: &mut RecordContext,
    ) -> Result<Record, RecordError> {
        let text = |number: u32| match number {
            0 => Ok(StringId(0)),
            _ => self.texts.get(number as usize - 1).copied().ok_or_else(|| {
                RecordError::new(format!(
                    "text {number} isn't there: the block with it may be damaged"
                ))
            }),
        };
        let scheduled_ns = (head.flags & FLAG_TIMED != 0).then_some(head.scheduled_ns);
        let record = Record {
            label: text(head.label)?,
            address: text(head.address)?,
            scheduled_ns,
            ..Record::new(payload)
        };
        match head.script {
            0 => Ok(record),
            number => {
                let script = self.scripts.get(number as usize - 1);
                let script = script
                    .ok_or_else(|| RecordError::new(format!("script {number} isn't there")))?;
                apply_script(record, Arc::clone(script), context)
            }
        }
    }
}

struct Head {
    label: u32,
    address: u32,
    script: u32,
    flags: u32,
    scheduled_ns: u64,
    length: u64,
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let head = bytes.first_chunk::<RECORD_BYTES>()?;
        let (narrow, _) = head.as_chunks::<4>();
        let (wide, _) = head.as_chunks::<8>();
        Some(Self {
            label: u32::from_le_bytes(narrow[0]),
            address: u32::from_le_bytes(narrow[1]),
            script: u32::from_le_bytes(narrow[2]),
            flags: u32::from_le_bytes(narrow[3]),
            scheduled_ns: u64::from_le_bytes(wide[2]),
            length: u64::from_le_bytes(wide[3]),
        })
    }
}

/// The next frame with valid checksums. A broken one is reported, and the source is then
/// at the next mark.
fn next_frame(source: &mut BlockReader) -> Result<Option<(u16, Bytes)>, RecordError> {
    let start = source.offset();
    let there = source.peek(frame::HEADER_BYTES)?;
    if there.is_empty() {
        return Ok(None);
    }
    let Some(header) = frame::Header::parse(there) else {
        return damaged(source, start);
    };
    let length = frame::HEADER_BYTES + header.length as usize;
    let there = source.peek(length)?;
    if there.len() < length || !header.is_of(&there[frame::HEADER_BYTES..]) {
        return damaged(source, start);
    }
    let payload = source.take(length)?.slice(frame::HEADER_BYTES..);
    Ok(Some((header.kind, payload)))
}

fn damaged(source: &mut BlockReader, start: u64) -> Result<Option<(u16, Bytes)>, RecordError> {
    source.take(1)?;
    loop {
        let there = source.peek(1 << 16)?;
        if there.is_empty() {
            break;
        }
        match memchr::memmem::find(there, &frame::MARK) {
            Some(0) => break,
            Some(at) => drop(source.take(at)?),
            // A mark may be incomplete at the end.
            None => {
                let bytes = there.len().saturating_sub(frame::MARK.len() - 1).max(1);
                source.take(bytes)?;
            }
        }
    }
    let bytes = source.offset() - start;
    Err(RecordError::new(format!("{bytes} bytes are damaged; their records are lost")).at(start))
}
