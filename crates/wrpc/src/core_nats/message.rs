//! Messages and their headers.

use std::borrow::Cow;

use bytes::Bytes;

use super::subject::Subject;

/// The status of an answer if the subject has no subscribers.
pub const NO_RESPONDERS: u16 = 503;

/// The beginning of a block of headers.
pub(super) const VERSION: &[u8] = b"NATS/1.0";

/// A message that has arrived. Its subject is passed separately.
#[derive(Clone, Debug)]
pub struct Message {
    /// The subject for an answer.
    pub reply: Option<Subject>,
    /// Headers, if there are any.
    pub headers: Option<Headers>,
    /// The payload.
    pub payload: Bytes,
    /// The bytes of all of these and of the subject.
    pub length: usize,
}

impl Message {
    /// The status of a message that the server itself made, such as [`NO_RESPONDERS`].
    pub fn status(&self) -> Option<u16> {
        self.headers.as_ref()?.status()
    }
}

/// The headers of a message, in the form of the wire. Names are case-sensitive.
#[derive(Clone, Debug)]
pub struct Headers {
    /// The lines, each with its line break, without the empty line at the end.
    raw: Vec<u8>,
}

impl Default for Headers {
    fn default() -> Self {
        Self::new()
    }
}

impl Headers {
    /// Empty headers.
    pub fn new() -> Self {
        let mut raw = VERSION.to_vec();
        raw.extend_from_slice(b"\r\n");
        Self { raw }
    }

    /// Adds a header. Characters that would end its line early become blanks.
    pub fn append(&mut self, name: &str, value: &str) {
        let in_a_line = |byte: u8| match byte {
            b'\r' | b'\n' => b' ',
            other => other,
        };
        self.raw.extend(name.bytes().map(in_a_line));
        self.raw.extend_from_slice(b": ");
        self.raw.extend(value.bytes().map(in_a_line));
        self.raw.extend_from_slice(b"\r\n");
    }

    /// The value of the first header with this name. Bytes that aren't UTF-8 are
    /// replaced.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let value = lines(&self.raw).skip(1).find_map(|line| {
            let (found, value) = line.split_at(line.iter().position(|&byte| byte == b':')?);
            (found == name.as_bytes()).then(|| value[1..].trim_ascii())
        })?;
        Some(String::from_utf8_lossy(value))
    }

    /// Parses headers that have arrived; `None` if they are malformed.
    pub(super) fn read(raw: &[u8]) -> Option<Self> {
        let rest = raw.strip_prefix(VERSION)?;
        if !rest.first().is_none_or(u8::is_ascii_whitespace) {
            return None;
        }
        let is_known = |line: &[u8]| match line.first() {
            None | Some(b' ' | b'\t') => true, // the end, or more of the line before
            Some(b':') => false,
            Some(_) => line.contains(&b':'),
        };
        lines(raw).skip(1).all(is_known).then(|| {
            // Whatever line breaks end the block, its last line has one.
            let is_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
            let end = raw.iter().rposition(|byte| !is_break(byte)).unwrap_or(0);
            Self {
                raw: [&raw[..=end], b"\r\n"].concat(),
            }
        })
    }

    /// The headers in the form of the wire, without the empty line at the end.
    pub(super) fn raw(&self) -> &[u8] {
        &self.raw
    }

    fn status(&self) -> Option<u16> {
        let line = lines(&self.raw).next()?.get(VERSION.len()..)?;
        let code = line.trim_ascii().get(..3)?;
        std::str::from_utf8(code).ok()?.parse().ok()
    }
}

fn lines(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    let line = |line| <[u8]>::strip_suffix(line, b"\r").unwrap_or(line);
    raw.split(|&byte| byte == b'\n').map(line)
}

#[cfg(test)]
mod tests {
    use super::{Headers, Message};

    fn read(raw: &str) -> Option<Headers> {
        Headers::read(raw.as_bytes())
    }

    #[test]
    fn what_is_written_is_read() {
        let mut headers = Headers::new();
        headers.append("A", "1");
        headers.append("B", "2\r\nC: 3");
        headers.append("A", "4");
        let mut raw = headers.raw().to_vec();
        raw.extend_from_slice(b"\r\n");
        let read = Headers::read(&raw).expect("headers");
        assert_eq!(read.get("A").as_deref(), Some("1"));
        assert_eq!(read.get("B").as_deref(), Some("2  C: 3"));
        assert_eq!(read.get("C"), None);
        assert_eq!(read.get("a"), None);
        assert_eq!(read.status(), None);
    }

    #[test]
    fn what_was_read_can_be_sent_on() {
        for raw in [
            "NATS/1.0 503\r\n\r\n",
            "NATS/1.0 503\r\n\r",
            "NATS/1.0\r\nA: x",
            "NATS/1.0\nA: x\n\n",
            "NATS/1.0",
        ] {
            let once = read(raw).expect(raw);
            let again = [once.raw(), b"\r\n"].concat();
            let again = Headers::read(&again).expect(raw);
            assert_eq!(again.raw(), once.raw(), "{raw:?}");
            assert_eq!(again.get("A"), once.get("A"), "{raw:?}");
            assert_eq!(again.status(), once.status(), "{raw:?}");
        }
    }

    #[test]
    fn what_others_write_is_read_as_far_as_it_goes() {
        let message = |raw| Message {
            reply: None,
            headers: read(raw),
            payload: "".into(),
            length: 0,
        };
        for (raw, status) in [
            ("NATS/1.0 503\r\n\r\n", Some(503)),
            ("NATS/1.0 503 No Responders\r\n\r\n", Some(503)),
            ("NATS/1.0   404  x\r\n\r\n", Some(404)),
            ("NATS/1.0\r\n\r\n", None),
            ("NATS/1.0 x\r\n\r\n", None),
            ("NATS/1.0", None),
        ] {
            assert_eq!(message(raw).status(), status, "{raw:?}");
        }
        let value = |raw: &[u8]| {
            let headers = Headers::read(raw)?;
            headers.get("A").map(|value| value.into_owned())
        };
        for (raw, expected) in [
            (&b"NATS/1.0\r\nA:x\r\n\r\n"[..], Some("x")),
            (b"NATS/1.0\r\nA:   x \t\r\n\r\n", Some("x")),
            (b"NATS/1.0\nA: x\n\n", Some("x")),
            (b"NATS/1.0\r\nA: x", Some("x")),
            (
                b"NATS/1.0\r\nB: \xff\xfe\r\nA: \xff\r\n\r\n",
                Some("\u{fffd}"),
            ),
            (b"NATS/1.0\r\n\xff: b\r\nA: x\r\n\r\n", Some("x")),
            (b"NATS/1.0\r\nA:\r\n\r\n", Some("")),
            (b"NATS/1.0\r\nB: x\r\n A: y\r\n\r\n", None),
        ] {
            assert_eq!(value(raw).as_deref(), expected, "{raw:?}");
        }
    }

    #[test]
    fn what_says_nothing_certain_is_no_headers() {
        for raw in [
            "",
            "HTTP/1.0\r\n\r\n",
            "NATS/1.00\r\n\r\n",
            "NATS/1.0\r\nno colon\r\n\r\n",
            "NATS/1.0\r\n: no name\r\n\r\n",
        ] {
            assert!(read(raw).is_none(), "{raw:?}");
        }
    }
}
