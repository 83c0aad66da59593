//! Finds the format of a file by its first bytes.

use encarno_record::frame::INPUT_MAGIC;

use super::json_values::first_object;
use super::raw::{number, word};
use super::request::RecordUrl;
use super::{access, vegeta};
use crate::InputFormat;

/// The format of a file that starts with these bytes; the error says why it isn't known.
pub(super) fn format(start: &[u8]) -> Result<InputFormat, String> {
    if start.starts_with(&INPUT_MAGIC) {
        return Ok(InputFormat::Native);
    }
    if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
        return Err("it is UTF-16 text: convert it with iconv -f UTF-16 -t UTF-8".into());
    }
    let mut lines = start
        .split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty());
    let Some(first) = lines.next() else {
        return Err("the file is empty".into());
    };
    let headers = std::iter::once(first).chain(lines.clone());
    let request = headers
        .clone()
        .find(|line| !line.starts_with(b"["))
        .unwrap_or_default();
    let format = match first[0] {
        b'{' if memchr::memmem::find(first, b"\"plen\"").is_some() => Some(InputFormat::Payload),
        b'[' if is_uripost(request) => Some(InputFormat::UriPost),
        b'[' if RecordUrl::is_like(request) => Some(InputFormat::Uri),
        b'0'..=b'9' => with_length(first, start),
        _ => None,
    };
    first_object(start)
        .and_then(of_object)
        .or(format)
        .or_else(|| access::is_log(headers.clone().take(1000)).then_some(InputFormat::Access))
        .or_else(|| {
            let mut lines = headers.clone().filter(|line| !line.starts_with(b"#"));
            let is_target = lines.next().is_some_and(vegeta::is_target);
            is_target.then_some(InputFormat::Vegeta)
        })
        .or_else(|| list(headers.take(1000)))
        .ok_or_else(|| {
            format!(
                "its content is of no format that is known; name it with --format: {}",
                InputFormat::names()
            )
        })
}

/// JSON: the keys show for which tool it was written.
fn of_object(object: &[u8]) -> Option<InputFormat> {
    let value: serde_json::Value = serde_json::from_slice(object).ok()?;
    let has = |key: &str| value.get(key).is_some();
    if has("plen") {
        Some(InputFormat::Payload)
    } else if has("uri") && (has("body") || has("headers") || has("tag")) {
        // Other keys, such as an expected status, don't matter.
        Some(InputFormat::JsonLine)
    } else if access::is_log(std::iter::once(object)) {
        Some(InputFormat::Access)
    } else if has("uri") {
        Some(InputFormat::JsonLine)
    } else if has("method") && has("url") {
        Some(InputFormat::Vegeta)
    } else {
        None
    }
}

/// `LEN…`: the text after the length shows the format.
fn with_length(line: &[u8], start: &[u8]) -> Option<InputFormat> {
    let (length, rest) = word(line);
    let length = number(length)?;
    let (second, _) = word(rest);
    if number(second).is_some() {
        return Some(InputFormat::Stpd);
    }
    // A tag may look like a path. The bytes are then a request and not a body.
    let payload_start = memchr::memmem::find(start, line)? + line.len();
    let payload = start[payload_start..].trim_ascii_start();
    let payload = &payload[..payload
        .len()
        .min(usize::try_from(length).unwrap_or(usize::MAX))];
    let first = payload
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let is_request = memchr::memmem::find(first, b" HTTP/1.").is_some();
    if is_uripost(line) && !is_request {
        Some(InputFormat::UriPost)
    } else {
        Some(InputFormat::Raw)
    }
}

fn is_uripost(line: &[u8]) -> bool {
    let (length, rest) = word(line);
    number(length).is_some() && RecordUrl::is_like(rest)
}

/// A list of URLs, alone or with words around them.
fn list<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<InputFormat> {
    let mut format = None;
    for line in lines.filter(|line| !line.starts_with(b"#")) {
        let (first, rest) = word(line);
        // A path with a tag. A sentence that begins with a path is something else.
        if first.starts_with(b"/") && word(rest).1.is_empty() {
            format = format.or(Some(InputFormat::Uri));
        } else if !first.starts_with(b"/")
            && line.split(u8::is_ascii_whitespace).any(RecordUrl::is_like)
        {
            return Some(InputFormat::Urls);
        } else {
            // The last line may be truncated.
            return format;
        }
    }
    format
}
