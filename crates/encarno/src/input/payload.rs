//! Go-encarno's payload records: a line of JSON metadata, then `plen` bytes,
//! then any number of line ends.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;

use super::raw::{number, shown};
use super::source::Source;
use super::{Bad, Context, Parse};
use crate::hit::{Payload, Record};
use crate::script::{Assert, Extract, Script};
use crate::settings::Scripts;
use crate::strings::StringId;

/// What a variable without a value becomes.
const NO_VALUE: &str = "NO_VALUE";
const SCRIPTS_MAX: usize = 10_000;
const CONTENT_LENGTH: &[u8] = b"${:content-length:}";

/// Most records have one of few scripts: equal ones are kept once.
#[derive(Default)]
pub(super) struct PayloadParser {
    scripts: HashSet<Arc<Script>>,
}

impl Parse for PayloadParser {
    fn next(&mut self, source: &mut Source, context: &mut Context) -> Result<Option<Record>, Bad> {
        source.skip_line_ends()?;
        let start = source.offset();
        let Some(line) = source.line()? else {
            return Ok(None);
        };
        let line = source.bytes(line);
        let (metadata, label, address) = match Metadata::parse(line, context) {
            Ok(metadata) => metadata,
            Err(bad) => {
                // With its length known the payload needn't be searched through.
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
            scheduled_ns: None,
            payload,
            script: None,
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
    /// The same script as one that came before, if there was one.
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

/// Keeps the script with the record, or does what can be done about it now.
pub(super) fn apply_script(
    mut record: Record,
    script: Arc<Script>,
    context: &mut Context,
) -> Result<Record, Bad> {
    if context.settings.scripts == Scripts::Keep {
        record.script = Some(script);
        return Ok(record);
    }
    if !script.extracts.is_empty() || !script.asserts.is_empty() {
        return Err(Bad::fatal(
            "the record extracts values from its answer or asserts something about it, \
             which this version doesn't do yet: it can't run as it is meant",
        ));
    }
    let Payload::Memory(bytes) = &record.payload else {
        return Err(Bad::new(
            "values can't be substituted in a payload that doesn't fit into memory",
        ));
    };
    record.payload = Payload::Memory(substitute(bytes, &script.replaces, context));
    for (text, is_label) in [(record.label, true), (record.address, false)] {
        if let Some(text) = context.strings.get(text).filter(|text| text.contains("${")) {
            let text = replace_values(text.as_bytes().to_vec(), &script.replaces, context);
            if is_label {
                record.label = context.label(&text);
            } else {
                record.address = context.address(&text);
            }
        }
    }
    Ok(record)
}

fn substitute(payload: &Bytes, names: &[String], context: &Context) -> Bytes {
    if memmem::find(payload, b"${").is_none() {
        return payload.clone();
    }
    let payload = replace_values(payload.to_vec(), names, context);
    if memmem::find(&payload, CONTENT_LENGTH).is_none() {
        return payload.into();
    }
    let body_bytes = payload.len() - body_start(&payload);
    replace(&payload, CONTENT_LENGTH, body_bytes.to_string().as_bytes()).into()
}

fn replace_values(mut text: Vec<u8>, names: &[String], context: &Context) -> Vec<u8> {
    for name in names {
        let value = context
            .settings
            .values
            .get(name)
            .map_or(NO_VALUE, String::as_str);
        text = replace(&text, format!("${{{name}}}").as_bytes(), value.as_bytes());
    }
    text
}

fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + to.len());
    let mut rest = text;
    while let Some(at) = memmem::find(rest, from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// Where the body of an HTTP request starts: after the first empty line.
fn body_start(payload: &[u8]) -> usize {
    let mut start = 0;
    for line in payload.split_inclusive(|&byte| byte == b'\n') {
        start += line.len();
        if line == b"\n" || line == b"\r\n" {
            break;
        }
    }
    start
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
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JsonExtract {
    re: String,
    #[serde(default)]
    group_no: u32,
    #[serde(default)]
    match_no: i32,
}

#[derive(Deserialize)]
struct JsonAssert {
    #[serde(alias = "Re")]
    re: String,
    #[serde(default, alias = "Invert")]
    invert: bool,
}

struct Metadata {
    length: u64,
    script: Option<Script>,
}

impl Metadata {
    fn parse(line: &[u8], context: &mut Context) -> Result<(Self, StringId, StringId), Bad> {
        let json: Json = serde_json::from_slice(line)
            .map_err(|error| Bad::new(format!("bad metadata: {error}, in {}", shown(line))))?;
        let label = match &*json.label {
            "" if json.l > 0 => context.indexed(json.l, Context::label)?,
            label => context.label(label.as_bytes()),
        };
        let address = match &*json.address {
            "" if json.a > 0 => context.indexed(json.a, Context::address)?,
            address => context.address(address.as_bytes()),
        };
        let length = json.plen;
        let script = json.script(context)?;
        Ok((Self { length, script }, label, address))
    }
}

impl Json<'_> {
    fn script(self, context: &Context) -> Result<Option<Script>, Bad> {
        let mut script = Script {
            replaces: self.replaces,
            ..Script::default()
        };
        for index in self.r {
            script
                .replaces
                .push(context.strings_file.get(index)?.to_owned());
        }
        for (
            name,
            JsonExtract {
                re,
                group_no,
                match_no,
            },
        ) in self.extracts
        {
            script.extracts.push(Extract {
                name,
                regex: re,
                match_number: match_no,
                group_number: group_no,
            });
        }
        for index in self.e {
            script
                .extracts
                .push(indexed_extract(context.strings_file.get(index)?)?);
        }
        script.asserts = self
            .asserts
            .into_iter()
            .map(|a| Assert {
                regex: a.re,
                invert: a.invert,
            })
            .collect();
        for index in self.c {
            let text = context.strings_file.get(index)?;
            let (invert, regex) = text.split_once(' ').ok_or_else(|| {
                Bad::new(format!(
                    "string {index} isn't an assertion `0|1 regex`: {text:?}"
                ))
            })?;
            script.asserts.push(Assert {
                regex: regex.into(),
                invert: invert != "0",
            });
        }
        Ok((script != Script::default()).then_some(script))
    }
}

/// `name match group regex`.
fn indexed_extract(text: &str) -> Result<Extract, Bad> {
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
        })
    };
    parse().ok_or_else(|| Bad::new(format!("not an extract `name match group regex`: {text:?}")))
}

impl Context {
    fn indexed(
        &mut self,
        index: u32,
        number: fn(&mut Self, &[u8]) -> StringId,
    ) -> Result<StringId, Bad> {
        let text = self.strings_file.get(index)?.to_owned();
        Ok(number(self, text.as_bytes()))
    }
}

fn starts_record(line: &[u8]) -> bool {
    line.starts_with(b"{") && memmem::find(line, b"\"plen\"").is_some()
}

/// The length in metadata that is otherwise broken.
fn length_of(line: &[u8]) -> Option<u64> {
    let after = memmem::find(line, b"\"plen\":")? + b"\"plen\":".len();
    let digits = line[after..].trim_ascii_start();
    let end = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    number(&digits[..end])
}
