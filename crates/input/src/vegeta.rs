//! vegeta's targets. As text: `METHOD URL`, header lines, `@FILE` with the body,
//! and an empty line. As JSON: `{method, url, header, body}`, the body in base64.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use encarno_record::{Payload, Record};
use serde::Deserialize;

use super::block_reader::BlockReader;
use super::context::RequestParts;
use super::json_values;
use super::raw::{shown, word};
use super::request::{RecordUrl, check_header, is_method, parse_header};
use super::{Parse, RecordContext, RecordError};

/// The most bytes of bodies that are kept, because many targets may name the same file.
const BODIES_BYTES_MAX: usize = 64 << 20;

#[derive(Default)]
pub(super) struct VegetaParser {
    bodies: HashMap<Vec<u8>, Bytes>,
    bodies_bytes: usize,
}

#[derive(Deserialize)]
struct Target {
    method: String,
    url: String,
    #[serde(default)]
    header: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    body: Option<String>,
}

impl Parse for VegetaParser {
    fn next(
        &mut self,
        source: &mut BlockReader,
        context: &mut RecordContext,
    ) -> Result<Option<Record>, RecordError> {
        source.skip_line_ends()?;
        let start = source.offset();
        if source.peek(1)? == b"{" {
            let Some(object) = json_values::next_object(source)? else {
                return Ok(None);
            };
            return json(&object, context)
                .map(Some)
                .map_err(|error| error.at(start));
        }
        loop {
            source.skip_line_ends()?;
            let start = source.offset();
            let Some(line) = source.line()? else {
                return Ok(None);
            };
            let line = source.bytes(line).trim_ascii().to_vec();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            return match self.text(&line, source, context) {
                Ok(record) => Ok(Some(record)),
                Err(error) => {
                    source.skip_until(is_target)?;
                    Err(error.at(start))
                }
            };
        }
    }
}

impl VegetaParser {
    fn text(
        &mut self,
        line: &[u8],
        source: &mut BlockReader,
        context: &mut RecordContext,
    ) -> Result<Record, RecordError> {
        if !is_target(line) {
            return Err(RecordError::new(format!(
                "a target starts with METHOD URL, and this with {}",
                shown(line)
            )));
        }
        let (method, url) = word(line);
        let (mut headers, mut body) = (Vec::new(), None);
        loop {
            // The next target may follow without an empty line.
            let ahead = source.peek(4096)?;
            let ahead = ahead.split(|&byte| byte == b'\n').next();
            if ahead.is_none_or(|line| line.trim_ascii().is_empty() || is_target(line.trim_ascii()))
            {
                break;
            }
            let Some(line) = source.line()? else { break };
            match source.bytes(line).trim_ascii() {
                [b'#', ..] => {}
                [b'@', path @ ..] => body = Some(self.body(path)?),
                header => headers.push(parse_header(header)?),
            }
        }
        context.request(RequestParts {
            method,
            url,
            headers: &headers,
            body: body.map(Payload::Memory),
            ..RequestParts::default()
        })
    }

    fn body(&mut self, path: &[u8]) -> Result<Bytes, RecordError> {
        if let Some(body) = self.bodies.get(path) {
            return Ok(body.clone());
        }
        let file = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(path);
        let mut bytes = Vec::new();
        let read = File::open(file).and_then(|file| {
            file.take(BODIES_BYTES_MAX as u64 + 1)
                .read_to_end(&mut bytes)
        });
        let name = String::from_utf8_lossy(path);
        read.map_err(|error| RecordError::new(format!("can't read the body {name}: {error}")))?;
        if bytes.len() > BODIES_BYTES_MAX {
            return Err(RecordError::new(format!(
                "the body {name} has more than {BODIES_BYTES_MAX} bytes"
            )));
        }
        let body = Bytes::from(bytes);
        if self.bodies_bytes + body.len() <= BODIES_BYTES_MAX {
            self.bodies_bytes += body.len();
            self.bodies.insert(path.to_vec(), body.clone());
        }
        Ok(body)
    }
}

fn json(object: &[u8], context: &mut RecordContext) -> Result<Record, RecordError> {
    let target: Target = serde_json::from_slice(object).map_err(|error| {
        RecordError::new(format!(
            "not a target {{method, url, header, body}}: {error}"
        ))
    })?;
    if !is_method(target.method.as_bytes()) {
        return Err(RecordError::new(format!(
            "{:?} can't be a method",
            target.method
        )));
    }
    let headers: Vec<_> = target
        .header
        .into_iter()
        .flat_map(|(name, values)| values.into_iter().map(move |value| (name.clone(), value)))
        .collect();
    for (name, value) in &headers {
        check_header(name, value)?;
    }
    let body = target.body.map(|text| STANDARD.decode(text)).transpose();
    let body = body.map_err(|error| RecordError::new(format!("its body isn't base64: {error}")))?;
    context.request(RequestParts {
        method: target.method.as_bytes(),
        url: target.url.as_bytes(),
        headers: &headers,
        body: body.map(|body| Payload::Memory(body.into())),
        ..RequestParts::default()
    })
}

/// Whether a target starts with this line: vegeta needs whole URLs.
pub(super) fn is_target(line: &[u8]) -> bool {
    let (method, rest) = word(line);
    let is_method = is_method(method) && method.iter().all(u8::is_ascii_uppercase);
    is_method && !rest.starts_with(b"/") && RecordUrl::is_like(rest)
}
