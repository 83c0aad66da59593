//! Writes Go-encarno's payload files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use encarno_record::files::{self, Contents};
use encarno_record::script::{
    JsonAssert, JsonExtract, OnFail, Script, Step, assert_json, extract_json,
};
use encarno_record::statistics::counted;
use encarno_record::{Payload, Record, Strings};
use serde::Serialize;

/// The size of the buffer into which the Go tool reads metadata.
const METADATA_BYTES_MAX: usize = 4000;

/// A payload file being written.
#[derive(Debug)]
pub(super) struct GoPayloadWriter {
    out: BufWriter<File>,
    strings: Strings,
    timed: u64,
    long: u64,
}

impl GoPayloadWriter {
    pub(super) fn create(path: &Path, strings: &Strings) -> io::Result<Self> {
        Ok(Self {
            out: BufWriter::new(files::create(path, Contents::Requests)?),
            strings: strings.clone(),
            timed: 0,
            long: 0,
        })
    }

    pub(super) fn write(&mut self, record: &Record) -> io::Result<()> {
        self.timed += u64::from(record.scheduled_ns.is_some());
        let none = Script::default();
        let script = record.script.as_deref().unwrap_or(&none);
        let metadata = Metadata {
            plen: record.payload.len(),
            label: &self.strings.get(record.label).unwrap_or_default(),
            address: &self.strings.get(record.address).unwrap_or_default(),
            replaces: &script.replaces,
            extracts: script
                .extracts
                .iter()
                .map(|extract| (&*extract.name, extract_json(extract)))
                .collect(),
            asserts: script.asserts.iter().map(assert_json).collect(),
            think: script.think.as_deref(),
            onfail: script.on_fail,
            scenario: script.scenario,
            follow: script.follow,
            timeout: script.timeout_ns.map(|ns| format!("{ns}ns")),
            keepalive: script.close.then_some(false),
            wholeurl: script.whole_url.then_some(true),
            step: script.step.as_deref(),
        };
        let metadata = serde_json::to_vec(&metadata)?;
        self.long += u64::from(metadata.len() > METADATA_BYTES_MAX);
        self.out.write_all(&metadata)?;
        self.out.write_all(b"\n")?;
        match &record.payload {
            Payload::Memory(bytes) => self.out.write_all(bytes)?,
            Payload::File { file, range } => {
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
        self.out.write_all(b"\n")
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// A warning about what the format can't hold.
    pub(super) fn warning(&self) -> Option<String> {
        match (self.timed, self.long) {
            (0, 0) => None,
            (0, long) => Some(format!(
                "{} with more than {METADATA_BYTES_MAX} bytes of metadata, which Go-encarno can't read",
                counted(long, "record")
            )),
            (timed, _) => Some(format!(
                "Go-encarno's payload format has no instants: those of {} are left out",
                counted(timed, "record")
            )),
        }
    }
}

#[derive(Serialize)]
struct Metadata<'a> {
    plen: u64,
    #[serde(skip_serializing_if = "str::is_empty")]
    label: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    address: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    replaces: &'a [String],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extracts: BTreeMap<&'a str, JsonExtract>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    asserts: Vec<JsonAssert>,
    // The fields from here on are ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<&'a str>,
    #[serde(skip_serializing_if = "is_default")]
    onfail: OnFail,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    scenario: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    follow: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timeout: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keepalive: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wholeurl: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<&'a Step>,
}

fn is_default(onfail: &OnFail) -> bool {
    *onfail == OnFail::default()
}
