//! Answers that are text: the request as text, and an HTML page.

use std::fmt::Write as _;

use crate::bindings::wasi::http::types::IncomingRequest;
use crate::{authority, bodies, method};

/// A page with a link and two forms.
pub(crate) const HTML: &str = include_str!("page.html");

/// The text `unpacked`, compressed.
pub(crate) fn packed(encoding: &str) -> Option<&'static [u8]> {
    Some(match encoding {
        "gzip" => b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x2b\xcd\x2b\x48\x4c\xce\x4e\x4d\x01\x00\x96\x62\x2f\xca\x08\x00\x00\x00",
        "deflate" => b"\x78\x9c\x2b\xcd\x2b\x48\x4c\xce\x4e\x4d\x01\x00\x0f\x32\x03\x4c",
        "br" => b"\x8b\x03\x80unpacked\x03",
        "zstd" => b"\x28\xb5\x2f\xfd\x04\x00\x41\x00\x00unpacked\x12\x61\x5e\xc8",
        _ => return None,
    })
}

/// The cookies of a request, sorted, because a client may send them in any order.
pub(crate) fn cookies(request: &IncomingRequest) -> Vec<String> {
    let mut cookies = Vec::new();
    for (name, value) in request.headers().entries() {
        if name == "cookie" {
            let text = String::from_utf8_lossy(&value);
            cookies.extend(text.split(';').map(|cookie| cookie.trim().to_owned()));
        }
    }
    cookies.sort_unstable();
    cookies
}

/// The request as JSON: names in lower case and sorted; `body` is null if it
/// isn't text.
pub(crate) fn json(request: &IncomingRequest, target: &str) -> String {
    let mut headers: Vec<_> = request
        .headers()
        .entries()
        .into_iter()
        .filter(|(name, _)| name != "cookie" && name != "host")
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(&value);
            format!("[{},{}]", quoted(&name.to_lowercase()), quoted(&value))
        })
        .collect();
    headers.sort_unstable();
    let cookies: Vec<_> = cookies(request).iter().map(|text| quoted(text)).collect();
    let body = bodies::collect(request);
    let text = std::str::from_utf8(&body).map_or_else(|_| "null".to_owned(), quoted);
    format!(
        r#"{{"method":{},"host":{},"target":{},"headers":[{}],"cookies":[{}],"length":{},"body":{text}}}"#,
        quoted(&method(request)),
        quoted(&authority(request)),
        quoted(target),
        headers.join(","),
        cookies.join(","),
        body.len(),
    )
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars() {
        match char {
            '"' | '\\' => quoted.extend(['\\', char]),
            char if char < ' ' => {
                // Writing to a String can't fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(char));
            }
            char => quoted.push(char),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn texts_are_quoted() {
        assert_eq!(quoted("a\"\\\n\u{e9}"), "\"a\\\"\\\\\\u000a\u{e9}\"");
    }
}
