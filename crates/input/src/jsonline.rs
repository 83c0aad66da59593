//! JSON ammo of Tank and pandora: `{tag, uri, method, headers, host, body}`.

use std::borrow::Cow;

use encarno_record::{Payload, Record};
use serde::Deserialize;
use serde_json::Value;

use super::block_reader::BlockReader;
use super::context::RequestParts;
use super::json_values;
use super::request::{check_header, is_method};
use super::{Parse, RecordContext, RecordError};

pub(super) struct JsonLineParser;

/// Further keys belong to other tools, and have no meaning here.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, default)]
    tag: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uri: Cow<'a, str>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(default)]
    headers: Option<Headers>,
    #[serde(borrow, default)]
    host: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    body: Option<Cow<'a, str>>,
}

/// Names with values; a list of values gives one header for each.
#[derive(Deserialize)]
#[serde(untagged)]
enum Headers {
    ByName(serde_json::Map<String, Value>),
    Lines(Vec<String>),
}

impl Parse for JsonLineParser {
    fn next(
        &mut self,
        source: &mut BlockReader,
        context: &mut RecordContext,
    ) -> Result<Option<Record>, RecordError> {
        match json_values::next_object(source)? {
            None => Ok(None),
            Some(object) => {
                let start = source.offset() - object.len() as u64;
                record(&object, context)
                    .map(Some)
                    .map_err(|error| error.at(start))
            }
        }
    }
}

fn record(object: &[u8], context: &mut RecordContext) -> Result<Record, RecordError> {
    let line: Line = serde_json::from_slice(object).map_err(|error| {
        RecordError::new(format!(
            "not an object of {{tag, uri, method, headers, host, body}}: {error}"
        ))
    })?;
    let method = line.method.as_deref().filter(|method| !method.is_empty());
    let method = method.unwrap_or("GET");
    if !is_method(method.as_bytes()) {
        return Err(RecordError::new(format!("{method:?} can't be a method")));
    }
    let headers = line.headers.map_or(Ok(Vec::new()), pairs)?;
    for (name, value) in &headers {
        check_header(name, value)?;
    }
    let host = line.host.as_deref().unwrap_or_default();
    check_header("Host", host)?;
    let body = line.body.as_deref().unwrap_or_default();
    let has_body = !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH");
    context.request(RequestParts {
        method: method.as_bytes(),
        url: line.uri.as_bytes(),
        headers: &headers,
        host: host.as_bytes(),
        label: line.tag.as_deref().unwrap_or_default().as_bytes(),
        body: has_body.then(|| Payload::Memory(body.as_bytes().to_vec().into())),
    })
}

/// Names with values; a list of values is a header for each.
fn pairs(headers: Headers) -> Result<Vec<(String, String)>, RecordError> {
    let mut pairs = Vec::new();
    match headers {
        Headers::Lines(lines) => {
            for line in lines {
                pairs.push(super::request::parse_header(line.as_bytes())?);
            }
        }
        Headers::ByName(headers) => {
            for (name, value) in headers {
                match value {
                    Value::Array(values) => {
                        for value in values {
                            pairs.push((name.clone(), text(&name, value)?));
                        }
                    }
                    value => {
                        let value = text(&name, value)?;
                        pairs.push((name, value));
                    }
                }
            }
        }
    }
    Ok(pairs)
}

fn text(name: &str, value: Value) -> Result<String, RecordError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(value) => Ok(value.to_string()),
        _ => Err(RecordError::new(format!(
            "the value of header {name} isn't text"
        ))),
    }
}
