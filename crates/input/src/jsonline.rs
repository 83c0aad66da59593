//! `jsonline` ammo: `{tag, uri, method, headers, host, body}` a line.

use std::borrow::Cow;
use std::collections::BTreeMap;

use encarno_record::{Payload, Record};
use serde::Deserialize;

use super::request::{Request, Url, check_header};
use super::source::Source;
use super::{Bad, Context, Parse};

pub(super) struct JsonLineParser;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    #[serde(borrow, default)]
    tag: Cow<'a, str>,
    #[serde(borrow)]
    uri: Cow<'a, str>,
    #[serde(borrow, default = "get")]
    method: Cow<'a, str>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(borrow, default)]
    host: Cow<'a, str>,
    #[serde(borrow, default)]
    body: Cow<'a, str>,
}

fn get() -> Cow<'static, str> {
    Cow::Borrowed("GET")
}

impl Parse for JsonLineParser {
    fn next(&mut self, source: &mut Source, context: &mut Context) -> Result<Option<Record>, Bad> {
        loop {
            source.skip_line_ends()?;
            let start = source.offset();
            let Some(line) = source.line()? else {
                return Ok(None);
            };
            let line = source.bytes(line);
            if !line.trim_ascii().is_empty() {
                return record(line, context).map(Some).map_err(|bad| bad.at(start));
            }
        }
    }
}

fn record(line: &[u8], context: &mut Context) -> Result<Record, Bad> {
    let line: Line = serde_json::from_slice(line).map_err(|error| {
        Bad::new(format!(
            "not a line of {{tag, uri, method, headers, host, body}}: {error}"
        ))
    })?;
    let url = Url::parse(line.uri.as_bytes())?;
    if line.method.is_empty() || !line.method.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(Bad::new(format!("{:?} can't be a method", line.method)));
    }
    let mut headers: Vec<(String, String)> = line.headers.into_iter().collect();
    if !line.host.is_empty()
        && !headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        headers.insert(0, ("Host".into(), line.host.into_owned()));
    }
    for (name, value) in &headers {
        check_header(name, value)?;
    }
    let has_body = !line.body.is_empty() || matches!(&*line.method, "POST" | "PUT" | "PATCH");
    let request = Request {
        method: line.method.as_bytes(),
        url,
        headers: &headers,
        body_bytes: has_body.then_some(line.body.len() as u64),
    };
    let mut bytes = request.head(&context.settings);
    bytes.extend_from_slice(line.body.as_bytes());
    Ok(Record {
        label: context.label(line.tag.as_bytes()),
        address: context.address(url.address)?,
        ..Record::new(Payload::Memory(bytes.into()))
    })
}
