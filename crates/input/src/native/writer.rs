//! Writes a native input file.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use encarno_record::files::{self, Contents};
use encarno_record::frame::{INPUT_MAGIC, append_frame};
use encarno_record::script::Script;
use encarno_record::{Payload, Record, StringId, Strings};

use super::{
    FLAG_TIMED, KIND_INPUT, KIND_LARGE, KIND_RECORDS, KIND_SCRIPT, KIND_STRINGS, RECORD_BYTES,
    SCHEMA_VERSION,
};

/// A frame is written when it has this many bytes: few enough for the reader of one
/// worker, and enough to make checksums cheap.
const FRAME_BYTES: usize = 64 << 10;

/// A native input file being written.
#[derive(Debug)]
pub struct NativeInputWriter {
    out: BufWriter<File>,
    strings: Strings,
    texts: HashMap<StringId, u32>,
    new_texts: Vec<u8>,
    scripts: HashMap<Arc<Script>, u32>,
    records: Vec<u8>,
    frame: Vec<u8>,
}

impl NativeInputWriter {
    /// Creates the file; `strings` has the texts of the records to come.
    pub fn create(path: &Path, strings: &Strings) -> io::Result<Self> {
        let mut writer = Self {
            out: BufWriter::new(files::create(path, Contents::Requests)?),
            strings: strings.clone(),
            texts: HashMap::from([(StringId(0), 0)]),
            new_texts: Vec::new(),
            scripts: HashMap::new(),
            records: Vec::new(),
            frame: Vec::new(),
        };
        writer.out.write_all(&INPUT_MAGIC)?;
        writer.frame(KIND_INPUT, &SCHEMA_VERSION.to_le_bytes())?;
        Ok(writer)
    }

    /// Writes a record.
    pub fn write(&mut self, record: &Record) -> io::Result<()> {
        let script = match &record.script {
            None => 0,
            Some(script) => self.script(script)?,
        };
        let narrow = [
            self.text(record.label),
            self.text(record.address),
            script,
            if record.scheduled_ns.is_some() {
                FLAG_TIMED
            } else {
                0
            },
        ];
        let mut head = [0; RECORD_BYTES];
        for (place, value) in head.as_chunks_mut::<4>().0.iter_mut().zip(narrow) {
            *place = value.to_le_bytes();
        }
        head[16..24].copy_from_slice(&record.scheduled_ns.unwrap_or(0).to_le_bytes());
        head[24..].copy_from_slice(&record.payload.len().to_le_bytes());
        match &record.payload {
            Payload::Memory(bytes) => {
                self.records.extend_from_slice(&head);
                self.records.extend_from_slice(bytes);
                if self.records.len() >= FRAME_BYTES {
                    self.flush()?;
                }
            }
            Payload::File { file, range } => {
                self.flush()?;
                self.frame(KIND_LARGE, &head)?;
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(range.start))?;
                let length = range.end - range.start;
                if io::copy(&mut file.take(length), &mut self.out)? < length {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        "the file became shorter",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Writes the rest.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.out.flush()
    }

    fn text(&mut self, id: StringId) -> u32 {
        let next = self.texts.len() as u32;
        *self.texts.entry(id).or_insert_with(|| {
            let text = self.strings.get(id).unwrap_or_default();
            let text = &text[..text.floor_char_boundary(FRAME_BYTES)];
            self.new_texts
                .extend_from_slice(&(text.len() as u32).to_le_bytes());
            self.new_texts.extend_from_slice(text.as_bytes());
            next
        })
    }

    fn script(&mut self, script: &Arc<Script>) -> io::Result<u32> {
        if let Some(&number) = self.scripts.get(script) {
            return Ok(number);
        }
        let number = self.scripts.len() as u32 + 1;
        let json = serde_json::to_vec(&**script)?;
        self.frame(KIND_SCRIPT, &json)?;
        self.scripts.insert(Arc::clone(script), number);
        Ok(number)
    }

    /// Texts must precede the records that use them.
    fn flush(&mut self) -> io::Result<()> {
        for (kind, bytes) in [
            (KIND_STRINGS, std::mem::take(&mut self.new_texts)),
            (KIND_RECORDS, std::mem::take(&mut self.records)),
        ] {
            if !bytes.is_empty() {
                self.frame(kind, &bytes)?;
            }
        }
        Ok(())
    }

    fn frame(&mut self, kind: u16, payload: &[u8]) -> io::Result<()> {
        if payload.len() > encarno_record::frame::PAYLOAD_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                "a script or payload is too large for a frame",
            ));
        }
        self.frame.clear();
        append_frame(&mut self.frame, kind, |out| out.extend_from_slice(payload));
        self.out.write_all(&self.frame)
    }
}
