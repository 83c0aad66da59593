//! HTTP/1.1 requests for formats that hold URLs only.

use super::Bad;
use crate::InputSettings;

/// A URL in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// `http://host:port`; empty = the default address.
    pub(super) address: &'a [u8],
    /// `host:port`.
    pub(super) host: &'a [u8],
    /// Path and query; at least `/`.
    pub(super) target: &'a [u8],
}

impl<'a> Url<'a> {
    /// Whether that could be a URL at all.
    pub(super) fn is_like(text: &[u8]) -> bool {
        text.starts_with(b"/") || scheme(text).is_some()
    }

    pub(super) fn parse(text: &'a [u8]) -> Result<Self, Bad> {
        if let Some(bad) = text.iter().find(|byte| **byte <= b' ' || **byte == 0x7f) {
            return Err(Bad::new(format!("byte {bad:#04x} can't be in a URL")));
        }
        let Some(scheme) = scheme(text) else {
            return match text.first() {
                Some(b'/') => Ok(Self {
                    address: b"",
                    host: b"",
                    target: text,
                }),
                _ => Err(Bad::new(format!(
                    "a URL starts with /, http:// or https://, and this with {:?}",
                    String::from_utf8_lossy(&text[..text.len().min(20)])
                ))),
            };
        };
        let end = text[scheme..].iter().position(|byte| b"/?#".contains(byte));
        let end = end.map_or(text.len(), |end| scheme + end);
        let target: &[u8] = if text[end..].starts_with(b"/") {
            &text[end..]
        } else {
            b"/"
        };
        Ok(Self {
            address: &text[..end],
            host: &text[scheme..end],
            target,
        })
    }
}

/// A request to be put together.
pub(super) struct Request<'a> {
    pub(super) method: &'a [u8],
    pub(super) url: Url<'a>,
    /// Headers from the file: they go before those of the settings.
    pub(super) headers: &'a [(String, String)],
    /// Adds a Content-Length.
    pub(super) body_bytes: Option<u64>,
}

impl Request<'_> {
    /// The head of the request.
    pub(super) fn head(&self, settings: &InputSettings) -> Vec<u8> {
        let mut head = Vec::with_capacity(256);
        head.extend_from_slice(self.method);
        head.push(b' ');
        head.extend_from_slice(self.url.target);
        head.extend_from_slice(b" HTTP/1.1\r\n");
        let given = |name: &str| {
            self.headers
                .iter()
                .any(|(other, _)| other.eq_ignore_ascii_case(name))
        };
        if !given("host") {
            let host = if self.url.host.is_empty() {
                settings.host.as_bytes()
            } else {
                self.url.host
            };
            append_header(&mut head, b"Host", host);
        }
        for (name, value) in self.headers {
            append_header(&mut head, name.as_bytes(), value.as_bytes());
        }
        for (name, value) in settings.headers.iter().filter(|(name, _)| !given(name)) {
            append_header(&mut head, name.as_bytes(), value.as_bytes());
        }
        if let Some(bytes) = self.body_bytes
            && !given("content-length")
            && !given("transfer-encoding")
        {
            append_header(&mut head, b"Content-Length", bytes.to_string().as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// `Name: value`, as header lines of ammo files have it.
pub(super) fn parse_header(text: &[u8]) -> Result<(String, String), Bad> {
    let colon = memchr::memchr(b':', text)
        .ok_or_else(|| Bad::new("a header line needs a colon: [Name: value]"))?;
    let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
    let (name, value) = (text_of(&text[..colon]), text_of(&text[colon + 1..]));
    check_header(&name, &value)?;
    Ok((name, value))
}

/// A line end in a header would make another header of the rest.
pub(super) fn check_header(name: &str, value: &str) -> Result<(), Bad> {
    if name.is_empty()
        || name
            .bytes()
            .any(|byte| byte <= b' ' || byte == b':' || byte == 0x7f)
    {
        return Err(Bad::new(format!("{name:?} can't be the name of a header")));
    }
    if value.contains(['\r', '\n', '\0']) {
        return Err(Bad::new(format!(
            "the value of header {name} has a line end in it"
        )));
    }
    Ok(())
}

fn append_header(head: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    head.extend_from_slice(name);
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

fn scheme(text: &[u8]) -> Option<usize> {
    [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| text.starts_with(scheme))
        .map(<[u8]>::len)
}
