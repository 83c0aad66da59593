//! Builds HTTP/1.1 requests for formats that contain only URLs.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use encarno_secret::Secret;
use memchr::memchr;
use url::Url;

use super::RecordError;
use crate::InputSettings;

/// A record's URL in two parts. Path and query stay byte for byte as they were logged or
/// written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordUrl<'a> {
    /// `http://host:port`; empty if the URL starts with its path.
    pub(super) origin: &'a [u8],
    /// Path and query; at least `/`.
    pub(super) target: Cow<'a, [u8]>,
}

impl<'a> RecordUrl<'a> {
    /// Whether the text could be a URL.
    pub(super) fn is_like(text: &[u8]) -> bool {
        text.starts_with(b"/") || scheme(text).is_some()
    }

    pub(super) fn parse(text: &'a [u8]) -> Result<Self, RecordError> {
        if let Some(bad) = text.iter().find(|byte| **byte <= b' ' || **byte == 0x7f) {
            return Err(RecordError::new(format!(
                "byte {bad:#04x} can't be in a URL"
            )));
        }
        // A fragment is never sent.
        let text = &text[..memchr(b'#', text).unwrap_or(text.len())];
        let Some(scheme) = scheme(text) else {
            return match text.first() {
                Some(b'/') => Ok(Self {
                    origin: b"",
                    target: Cow::Borrowed(text),
                }),
                _ => Err(RecordError::new(format!(
                    "a URL starts with /, http:// or https://, and this with {:?}",
                    String::from_utf8_lossy(&text[..text.len().min(10)])
                ))),
            };
        };
        let end = text[scheme..].iter().position(|byte| b"/?".contains(byte));
        let end = end.map_or(text.len(), |end| scheme + end);
        let target = match text.get(end) {
            None => Cow::Borrowed(&b"/"[..]),
            Some(b'/') => Cow::Borrowed(&text[end..]),
            Some(_) => Cow::Owned([b"/", &text[end..]].concat()),
        };
        Ok(Self {
            origin: &text[..end],
            target,
        })
    }
}

/// The part of a URL before its path, parsed.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// `http://host:port`, without the user's name and password.
    pub(super) address: String,
    /// `host:port`, in the form of the Host header.
    pub(super) host: String,
    /// The value of an Authorization header, if the URL names a user.
    authorization: Option<Secret>,
}

impl Origin {
    /// Parses an origin. An empty text is none: its parts are empty.
    pub(super) fn parse(text: &[u8]) -> Result<Self, RecordError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        // The text may contain a password, so the error doesn't repeat it.
        let bad = |reason: String| RecordError::new(format!("the URL can't be used: {reason}"));
        let text = std::str::from_utf8(text).map_err(|_| bad("its host isn't text".to_owned()))?;
        let url = Url::parse(text).map_err(|error| bad(error.to_string()))?;
        let host = url.host_str().unwrap_or_default();
        let host = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        Ok(Self {
            address: format!("{}://{host}", url.scheme()),
            host,
            authorization: basic(&url),
        })
    }
}

/// The value of an Authorization header, `Basic …`, if the URL names a user.
pub fn basic(url: &Url) -> Option<Secret> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair = percent_decoded(url.username());
    pair.push(b':');
    pair.extend(percent_decoded(url.password().unwrap_or_default()));
    Some(Secret::new(format!("Basic {}", STANDARD.encode(pair))))
}

/// The value of an Authorization header for `USER:PASSWORD`.
pub fn basic_of(pair: &Secret) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(pair.expose())))
}

fn percent_decoded(text: &str) -> Vec<u8> {
    percent_encoding::percent_decode_str(text).collect()
}

/// The parts of a request to build.
pub(super) struct RequestHead<'a> {
    pub(super) method: &'a [u8],
    pub(super) origin: &'a Origin,
    pub(super) target: &'a [u8],
    /// Headers from the file, which precede those of the settings.
    pub(super) headers: &'a [(String, String)],
    /// The host that the file names besides its headers; empty means none.
    pub(super) host: &'a [u8],
    /// The length for a Content-Length header.
    pub(super) body_bytes: Option<u64>,
}

impl RequestHead<'_> {
    /// The head of the request. A given header replaces a generated one with the same
    /// name, whatever its case.
    pub(super) fn bytes(&self, settings: &InputSettings) -> Vec<u8> {
        let mut head = Vec::with_capacity(256);
        head.extend_from_slice(self.method);
        head.push(b' ');
        head.extend_from_slice(self.target);
        head.extend_from_slice(b" HTTP/1.1\r\n");
        let in_file = |name: &str| has(self.headers, name);
        let given = |name: &str| in_file(name) || has(&settings.headers, name);
        if !given("host") {
            let host = [self.host, self.origin.host.as_bytes()]
                .into_iter()
                .find(|host| !host.is_empty());
            append_header(&mut head, "Host", host.unwrap_or(settings.host.as_bytes()));
        }
        for (name, value) in self.headers {
            append_header(&mut head, name, value.as_bytes());
        }
        for (name, value) in settings.headers.iter().filter(|(name, _)| !in_file(name)) {
            append_header(&mut head, name, value.expose().as_bytes());
        }
        if let Some(authorization) = &self.origin.authorization
            && !given("authorization")
        {
            append_header(
                &mut head,
                "Authorization",
                authorization.expose().as_bytes(),
            );
        }
        if let Some(bytes) = self.body_bytes
            && !given("content-length")
            && !given("transfer-encoding")
        {
            append_header(&mut head, "Content-Length", bytes.to_string().as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

fn has<T>(headers: &[(String, T)], name: &str) -> bool {
    headers
        .iter()
        .any(|(other, _)| other.eq_ignore_ascii_case(name))
}

/// Parses `Name: value`, the header lines of ammo files.
pub(super) fn parse_header(text: &[u8]) -> Result<(String, String), RecordError> {
    let colon = memchr(b':', text)
        .ok_or_else(|| RecordError::new("a header line needs a colon: [Name: value]"))?;
    let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
    let (name, value) = (text_of(&text[..colon]), text_of(&text[colon + 1..]));
    check_header(&name, &value)?;
    Ok((name, value))
}

/// Refuses line ends, which would make another header of the rest.
pub(super) fn check_header(name: &str, value: &str) -> Result<(), RecordError> {
    if name.is_empty()
        || name
            .bytes()
            .any(|byte| byte <= b' ' || byte == b':' || byte == 0x7f)
    {
        return Err(RecordError::new(format!(
            "{name:?} can't be the name of a header"
        )));
    }
    if value.contains(['\r', '\n', '\0']) {
        return Err(RecordError::new(format!(
            "the value of header {name} has a line end in it"
        )));
    }
    Ok(())
}

/// Whether a request can have this method: a token of RFC 9110.
pub(super) fn is_method(method: &[u8]) -> bool {
    !method.is_empty()
        && method
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

fn append_header(head: &mut Vec<u8>, name: &str, value: &[u8]) {
    head.extend_from_slice(name.as_bytes());
    head.extend_from_slice(b": ");
    head.extend_from_slice(value);
    head.extend_from_slice(b"\r\n");
}

fn scheme(text: &[u8]) -> Option<usize> {
    [&b"http://"[..], b"https://"]
        .into_iter()
        .find(|scheme| {
            text.get(..scheme.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        })
        .map(<[u8]>::len)
}
