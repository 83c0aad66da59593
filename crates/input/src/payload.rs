//! Go-encarno's payload records: a line of JSON metadata, then `plen` bytes, then any
//! number of line ends.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use encarno_record::script::{Assert, Extract, JsonAssert, JsonExtract, OnFail, Script, Step};
use encarno_record::template::fill_fixed;
use encarno_record::{Payload, Record, StringId, parse_duration};
use memchr::memmem;
use serde::Deserialize;

use super::block_reader::BlockReader;
use super::raw::{number, shown};
use super::{Parse, RecordContext, RecordError};
use crate::Scripts;

const SCRIPTS_MAX: usize = 10_000;

/// Most records have one of few scripts, so equal scripts are kept once.
#[derive(Default)]
pub(super) struct PayloadParser {
    scripts: HashSet<Arc<Script>>,
}

impl Parse for PayloadParser {
    fn start(&mut self, source: &mut BlockReader) -> std::io::Result<u64> {
        source.skip_line_ends()?;
        Ok(source.offset())
    }

    fn next(
        &mut self,
        source: &mut BlockReader,
        context: &mut RecordContext,
    ) -> Result<Option<Record>, RecordError> {
        let start = source.offset();
        let Some(line) = source.line()? else {
            return Ok(None);
        };
        let line = source.bytes(line);
        let (metadata, label, address) = match Metadata::parse(line, context) {
            Ok(metadata) => metadata,
            Err(bad) => {
                // If its length is known, the payload needn't be searched.
                let skipped = length_of(line).is_some_and(|length| source.payload(length).is_ok());
                if !skipped {
                    source.skip_until(starts_record)?;
                }
                return Err(bad.at(start));
            }
        };
        let payload = match source.payload(metadata.length) {
            Ok(payload) => payload,
            Err(bad) => {
                source.skip_until(starts_record)?;
                return Err(bad.at(start));
            }
        };
        let record = Record {
            label,
            address,
            ..Record::new(payload)
        };
        match metadata.script {
            None => Ok(Some(record)),
            Some(script) => apply_script(record, self.kept(script), context)
                .map(Some)
                .map_err(|bad| bad.at(start)),
        }
    }
}

impl PayloadParser {
    /// An earlier equal script, if there was one.
    fn kept(&mut self, script: Script) -> Arc<Script> {
        let script = Arc::new(script);
        self.scripts.get(&script).cloned().unwrap_or_else(|| {
            if self.scripts.len() < SCRIPTS_MAX {
                self.scripts.insert(Arc::clone(&script));
            }
            script
        })
    }
}

/// Keeps the script with the record, or applies as much of it as is possible now.
pub(super) fn apply_script(
    mut record: Record,
    script: Arc<Script>,
    context: &mut RecordContext,
) -> Result<Record, RecordError> {
    match (context.settings.scripts, context.settings.in_order()) {
        (Scripts::Keep, _) | (Scripts::Run, true) => {
            record.script = Some(script);
            return Ok(record);
        }
        (Scripts::Refuse, _) if !script.extracts.is_empty() || !script.asserts.is_empty() => {
            return Err(RecordError::fatal(
                "the record extracts values from its answer or asserts something about it: \
                 only a run can do that",
            ));
        }
        (Scripts::Refuse, _) if script.step.is_some() => {
            return Err(RecordError::fatal(
                "the record is a step: only a run can take it",
            ));
        }
        // The values are then the same for all workers.
        (Scripts::Run, false) | (Scripts::Refuse, _) => {}
    }
    let fill = |text: &[u8]| fill_fixed(text, &script.replaces, &context.settings.values);
    match &record.payload {
        Payload::Memory(bytes) => {
            if let Some(filled) = fill(bytes).map_err(RecordError::new)? {
                record.payload = Payload::Memory(filled);
            }
        }
        Payload::File { .. } if script.replaces.is_empty() => {}
        Payload::File { .. } => {
            return Err(RecordError::new(
                "values can't be substituted in a payload that doesn't fit into memory",
            ));
        }
    }
    let filled = |id| {
        let text = context.strings.get(id).unwrap_or_else(|| "".into());
        fill(text.as_bytes()).map_err(RecordError::new)
    };
    let (label, address) = (filled(record.label)?, filled(record.address)?);
    if let Some(label) = label {
        record.label = context.label(&label);
    }
    if let Some(address) = address {
        record.address = context.address(&address)?;
    }
    if context.settings.scripts == Scripts::Run && script.is_more_than_values() {
        record.script = Some(script);
    }
    Ok(record)
}

#[derive(Deserialize)]
struct Json<'a> {
    plen: u64,
    #[serde(borrow, default)]
    label: Cow<'a, str>,
    #[serde(default)]
    l: u32,
    #[serde(borrow, default)]
    address: Cow<'a, str>,
    #[serde(default)]
    a: u32,
    #[serde(default)]
    replaces: Vec<String>,
    #[serde(default)]
    r: Vec<u32>,
    #[serde(default)]
    extracts: BTreeMap<String, JsonExtract>,
    #[serde(default)]
    e: Vec<u32>,
    #[serde(default)]
    asserts: Vec<JsonAssert>,
    #[serde(default)]
    c: Vec<u32>,
    // The fields from here on are ours.
    #[serde(default)]
    think: Option<String>,
    #[serde(default)]
    onfail: OnFail,
    #[serde(default)]
    scenario: bool,
    #[serde(default)]
    follow: Option<u32>,
    #[serde(default)]
    timeout: Option<String>,
    #[serde(default)]
    keepalive: Option<bool>,
    #[serde(default)]
    wholeurl: bool,
    #[serde(default)]
    step: Option<Box<Step>>,
}

struct Metadata {
    length: u64,
    script: Option<Script>,
}

impl Metadata {
    fn parse(
        line: &[u8],
        context: &mut RecordContext,
    ) -> Result<(Self, StringId, StringId), RecordError> {
        let json: Json = serde_json::from_slice(line).map_err(|error| {
            RecordError::new(format!("bad metadata: {error}, in {}", shown(line)))
        })?;
        let label = match &*json.label {
            "" if json.l > 0 => context.indexed(json.l, |context, text| Ok(context.label(text)))?,
            label => context.label(label.as_bytes()),
        };
        let address = match &*json.address {
            "" if json.a > 0 => context.indexed(json.a, RecordContext::address)?,
            address => context.address(address.as_bytes())?,
        };
        let length = json.plen;
        let script = json.script(context)?;
        Ok((Self { length, script }, label, address))
    }
}

impl Json<'_> {
    fn script(self, context: &RecordContext) -> Result<Option<Script>, RecordError> {
        let mut script = Script {
            replaces: self.replaces,
            think: self.think,
            on_fail: self.onfail,
            scenario: self.scenario,
            follow: self.follow,
            timeout_ns: self.timeout.map(timeout_ns).transpose()?,
            close: self.keepalive == Some(false),
            whole_url: self.wholeurl,
            step: self.step,
            ..Script::default()
        };
        for index in self.r {
            script
                .replaces
                .push(context.strings_file.get(index)?.to_owned());
        }
        for (name, extract) in self.extracts {
            script.extracts.push(extract.named(name));
        }
        for index in self.e {
            script
                .extracts
                .push(indexed_extract(context.strings_file.get(index)?)?);
        }
        script.asserts = self.asserts.into_iter().map(Assert::from).collect();
        for index in self.c {
            let text = context.strings_file.get(index)?;
            let (invert, regex) = text.split_once(' ').ok_or_else(|| {
                RecordError::new(format!(
                    "string {index} isn't an assertion `0|1 regex`: {text:?}"
                ))
            })?;
            script.asserts.push(Assert {
                regex: regex.into(),
                invert: invert != "0",
                ..Assert::default()
            });
        }
        Ok((script != Script::default()).then_some(script))
    }
}

fn timeout_ns(text: String) -> Result<u64, RecordError> {
    let parsed = parse_duration(&text).filter(|&ns| ns > 0);
    parsed
        .ok_or_else(|| RecordError::new(format!("timeout {text:?}: write for example 5s or 200ms")))
}

/// Parses `name match group regex`.
fn indexed_extract(text: &str) -> Result<Extract, RecordError> {
    let mut words = text.splitn(4, ' ');
    let mut parse = || {
        let name = words.next()?.to_owned();
        let match_number = words.next()?.parse().ok()?;
        let group_number = words.next()?.parse().ok()?;
        let regex = words.next()?.to_owned();
        Some(Extract {
            name,
            regex,
            match_number,
            group_number,
            ..Extract::default()
        })
    };
    parse().ok_or_else(|| {
        RecordError::new(format!("not an extract `name match group regex`: {text:?}"))
    })
}

impl RecordContext {
    fn indexed(
        &mut self,
        index: u32,
        number: fn(&mut Self, &[u8]) -> Result<StringId, RecordError>,
    ) -> Result<StringId, RecordError> {
        let text = self.strings_file.get(index)?.to_owned();
        number(self, text.as_bytes())
    }
}

fn starts_record(line: &[u8]) -> bool {
    line.starts_with(b"{") && memmem::find(line, b"\"plen\"").is_some()
}

/// The length in metadata that are otherwise broken.
fn length_of(line: &[u8]) -> Option<u64> {
    let after = memmem::find(line, b"\"plen\":")? + b"\"plen\":".len();
    let digits = line[after..].trim_ascii_start();
    let end = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    number(&digits[..end])
}
