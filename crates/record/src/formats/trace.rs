//! The trace (answ log): request and answer of hits from a status on.
//!
//! For each: the hit as a line of LDJSON, the request's bytes, `\r\n`, the
//! response's bytes, `\r\n`. Values of headers that hold secrets are
//! overwritten with `*`, byte by byte, so that the lengths in the line hold.

use std::path::PathBuf;

use super::ldjson;
use super::sink::{OutputError, OutputFile, Texts};
use crate::Hit;

/// Which hits are written with request and response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceSettings {
    /// The file.
    pub file: PathBuf,
    /// Hits whose status is at least that: 0 all, 400, 500, 600 or 999 network
    /// errors only, 1000 none. A network error counts as 999.
    pub level: u16,
    /// Leave Authorization, Cookie and the like readable.
    pub secrets: bool,
}

/// A hit with its bytes.
#[derive(Clone, Debug)]
pub struct Trace {
    /// The hit.
    pub hit: Hit,
    /// What was sent.
    pub request: Box<[u8]>,
    /// What came.
    pub response: Box<[u8]>,
}

/// A trace file.
#[derive(Debug)]
pub struct TraceFile {
    file: OutputFile,
    started_unix_ns: u64,
    secrets: bool,
}

impl TraceFile {
    /// Creates the file.
    pub fn create(settings: &TraceSettings, started_unix_ns: u64) -> Result<Self, OutputError> {
        let file = OutputFile::create(&settings.file)?;
        Ok(Self {
            file,
            started_unix_ns,
            secrets: settings.secrets,
        })
    }

    /// Writes a hit.
    pub fn write(&mut self, mut trace: Trace, texts: &mut Texts) -> Result<(), OutputError> {
        if !self.secrets {
            mask_secrets(&mut trace.request);
            mask_secrets(&mut trace.response);
        }
        ldjson::append_line(
            &mut self.file.buffer,
            &trace.hit,
            self.started_unix_ns,
            texts,
        );
        for bytes in [&trace.request, &trace.response] {
            self.file.buffer.extend_from_slice(bytes);
            self.file.buffer.extend_from_slice(b"\r\n");
        }
        self.file.write_out()
    }

    /// Bytes written.
    pub fn bytes(&self) -> u64 {
        self.file.bytes()
    }
}

/// Overwrites the values of headers that hold secrets, in each HTTP head at the
/// start of the bytes (an interim response is followed by another one).
pub(super) fn mask_secrets(bytes: &mut [u8]) {
    let mut at = 0;
    let mut masking = false;
    let mut interim = bytes.starts_with(b"HTTP/1.1 1");
    while at < bytes.len() {
        let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length);
        let line = &mut bytes[at..end];
        at = end + 1;
        if line.trim_ascii().is_empty() {
            if !interim {
                return;
            }
            interim = bytes
                .get(at..)
                .is_some_and(|rest| rest.starts_with(b"HTTP/1.1 1"));
            masking = false;
            continue;
        }
        // A line that starts with a blank continues the value above.
        let value = if line[0] == b' ' || line[0] == b'\t' {
            0
        } else {
            let Some(colon) = memchr::memchr(b':', line) else {
                continue;
            };
            masking = is_secret(&line[..colon]);
            colon + 1
        };
        if masking {
            for byte in line[value..]
                .iter_mut()
                .filter(|byte| !byte.is_ascii_whitespace())
            {
                *byte = b'*';
            }
        }
    }
}

/// The settings of a run with what follows the name of a secret overwritten, up
/// to the end of the line or of the quoted text: result files are passed on.
pub fn mask_settings(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(colon) = rest.find([':', '=']) {
        let (name, value) = rest.split_at(colon + 1);
        masked.push_str(name);
        rest = value;
        let word = name[..colon]
            .rsplit(|c: char| !c.is_ascii_alphanumeric() && !"-_\"'".contains(c))
            .next();
        if is_secret(
            word.unwrap_or_default()
                .trim_matches(['"', '\''])
                .as_bytes(),
        ) {
            let start = rest.len() - rest.trim_start_matches([' ', '"', '\'']).len();
            let end = rest[start..]
                .find(['\n', '"', '\'', '}'])
                .map_or(rest.len(), |length| start + length);
            masked.push_str(&rest[..start]);
            masked.push_str(if start < end { "***" } else { "" });
            rest = &rest[end..];
        }
    }
    masked + rest
}

fn is_secret(name: &[u8]) -> bool {
    let name = name.trim_ascii().to_ascii_lowercase();
    let whole: [&[u8]; 4] = [
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"set-cookie",
    ];
    let parts: [&[u8]; 6] = [
        b"token",
        b"secret",
        b"api-key",
        b"apikey",
        b"api_key",
        b"password",
    ];
    whole.contains(&name.as_slice())
        || parts
            .iter()
            .any(|part| memchr::memmem::find(&name, part).is_some())
}

#[cfg(test)]
mod tests {
    use super::{mask_secrets, mask_settings};

    fn masked(text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        mask_secrets(&mut bytes);
        String::from_utf8(bytes).expect("stars are text")
    }

    #[test]
    fn secrets_in_the_head_are_masked_and_lengths_stay() {
        assert_eq!(
            masked(
                "GET / HTTP/1.1\r\ncookie: a=b\r\nHost: h\r\nX-Auth-Token:t\r\n\r\nCookie: body"
            ),
            "GET / HTTP/1.1\r\ncookie: ***\r\nHost: h\r\nX-Auth-Token:*\r\n\r\nCookie: body"
        );
        assert_eq!(
            masked("HTTP/1.1 103 Early\nA: b\n\nHTTP/1.1 200 OK\nSet-Cookie: x\n y\n\nz"),
            "HTTP/1.1 103 Early\nA: b\n\nHTTP/1.1 200 OK\nSet-Cookie: *\n *\n\nz"
        );
        assert_eq!(masked(""), "");
        assert_eq!(masked("Authorization: Basic"), "Authorization: *****");
    }

    #[test]
    fn secrets_in_settings_are_masked() {
        for (text, expected) in [
            (
                "headers: [\"Authorization: Bearer abc\", \"X: y\"], n: 1",
                "headers: [\"Authorization: ***\", \"X: y\"], n: 1",
            ),
            (
                "values:\n  password: hunter2\n  name: x\n",
                "values:\n  password: ***\n  name: x\n",
            ),
            (
                "{my_token: 'é', keyfile: a.pem}",
                "{my_token: '***', keyfile: a.pem}",
            ),
            ("url: http://h/?a=b", "url: http://h/?a=b"),
            ("token:", "token:"),
            ("token: ", "token: "),
        ] {
            assert_eq!(mask_settings(text), expected);
        }
    }
}
