//! Converts HTTP/1 text into requests.

use bytes::Bytes;
use encarno_http1::Request;
use encarno_http2::{RequestText, request_fields};

use crate::frame::{DATA, HEADERS, write_frame};
use crate::qpack::{self, Decoder};
use crate::varint;

/// A request in the form in which it is sent. It is one piece of memory:
/// `[length of the first frame, 4 bytes][size of its head, 4 bytes][flags]`, and then what is
/// sent: a frame of the head, and one of the body unless it is empty.
#[derive(Clone, Copy, Debug)]
pub struct Prepared<'a> {
    head: &'a [u8],
    rest: &'a [u8],
    /// The size of its head as a peer's limit counts it: each field with 32 bytes in
    /// addition to its text.
    pub head_bytes: u64,
    is_head: bool,
    is_safe: bool,
}

const PREFIX_BYTES: usize = 9;
/// The longest beginning of a frame.
const FRAME_BYTES: usize = 2 * varint::BYTES_MAX;
/// What each field counts in addition to its text (RFC 9114, 4.2.2).
const FIELD_BYTES: usize = 32;
const IS_HEAD: u8 = 1;
const IS_SAFE: u8 = 2;

impl<'a> Prepared<'a> {
    /// Converts a complete HTTP/1 request. The error says what is wrong with it.
    pub fn of_text(text: &[u8]) -> Result<Bytes, String> {
        let request = Request::parse(text).ok_or("it isn't an HTTP request")?;
        let body = request.whole_body()?;
        let mut section = Vec::with_capacity(256);
        qpack::begin(&mut section);
        let mut head_bytes = 0;
        request_fields(&request, "https", |name, value| {
            head_bytes += name.len() + value.len() + FIELD_BYTES;
            qpack::write_field(name, value, &mut section);
        })?;
        let flags = match request.method {
            b"GET" => IS_SAFE,
            b"HEAD" => IS_HEAD | IS_SAFE,
            _ => 0,
        };
        Ok(joined(&section, head_bytes as u64, flags, &body))
    }

    /// Reads the result of [`Prepared::of_text`]; `None` if the bytes are something else.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[a, b, c, d, e, f, g, h, flags], rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
        let length = u32::from_le_bytes([a, b, c, d]);
        let (head, rest) = rest.split_at_checked(length as usize)?;
        Some(Self {
            head,
            rest,
            head_bytes: u64::from(u32::from_le_bytes([e, f, g, h])),
            is_head: flags & IS_HEAD != 0,
            is_safe: flags & IS_SAFE != 0,
        })
    }

    /// What is sent of bytes that [`Prepared::read`] reads.
    #[inline]
    pub fn frames(bytes: &Bytes) -> Bytes {
        bytes.slice(PREFIX_BYTES.min(bytes.len())..)
    }

    /// Its body.
    pub fn body(&self) -> &'a [u8] {
        payload(self.rest)
    }

    /// Whether it is a HEAD request.
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// Whether it may reach the server more than once: it is GET or HEAD.
    pub fn is_safe(&self) -> bool {
        self.is_safe
    }

    /// The same with one more field; none if it has one of that name.
    pub fn with_field(&self, name: &[u8], value: &[u8]) -> Option<Bytes> {
        let mut is_there = false;
        self.fields(|known, _| is_there |= known == name);
        if is_there {
            return None;
        }
        let mut section = payload(self.head).to_vec();
        qpack::write_field(name, value, &mut section);
        let head_bytes = self.head_bytes + (name.len() + value.len() + FIELD_BYTES) as u64;
        let flags = (u8::from(self.is_head) * IS_HEAD) | (u8::from(self.is_safe) * IS_SAFE);
        Some(joined(&section, head_bytes, flags, self.body()))
    }

    /// The request as HTTP/1 text, for people.
    pub fn text(&self) -> Vec<u8> {
        let mut text = RequestText::default();
        self.fields(|name, value| text.take(name, value));
        text.whole("HTTP/3", self.body())
    }

    fn fields(&self, mut take: impl FnMut(&[u8], &[u8])) {
        // It was written here.
        let section = payload(self.head);
        let _whole = Decoder::default().decode(section, |field| take(field.name, field.value));
    }
}

/// The payload of a frame that was written here; empty if there is none.
fn payload(frame: &[u8]) -> &[u8] {
    let payload = varint::read(frame).and_then(|(_, kind_bytes)| {
        let (_, length_bytes) = varint::read(&frame[kind_bytes..])?;
        Some(&frame[kind_bytes + length_bytes..])
    });
    payload.unwrap_or_default()
}

fn joined(section: &[u8], head_bytes: u64, flags: u8, body: &[u8]) -> Bytes {
    let mut head = Vec::with_capacity(FRAME_BYTES + section.len());
    write_frame(HEADERS, section, &mut head);
    let mut out = Vec::with_capacity(PREFIX_BYTES + head.len() + FRAME_BYTES + body.len());
    out.extend_from_slice(&(head.len() as u32).to_le_bytes());
    // A request of more is longer than a section that can be written here.
    let head_bytes = u32::try_from(head_bytes).unwrap_or(u32::MAX);
    out.extend_from_slice(&head_bytes.to_le_bytes());
    out.push(flags);
    out.extend_from_slice(&head);
    if !body.is_empty() {
        write_frame(DATA, body, &mut out);
    }
    out.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use super::Prepared;

    #[test]
    fn a_request_keeps_what_http3_has_and_loses_the_rest() {
        let text = b"POST /a?b HTTP/1.1\r\nHost: h:1\r\nConnection: x-hop\r\nX-Hop: 1\r\n\
            TE: gzip, trailers\r\nCookie: a=b\r\nTransfer-Encoding: chunked\r\n\r\n\
            3\r\nabc\r\n0\r\n\r\n";
        let prepared = Prepared::of_text(text).unwrap();
        let prepared = Prepared::read(&prepared).unwrap();
        assert_eq!((prepared.body(), prepared.is_head()), (&b"abc"[..], false));
        assert!(!prepared.is_safe());
        let shown = String::from_utf8(prepared.text()).unwrap();
        assert_eq!(
            shown,
            "POST /a?b HTTP/3\r\nhost: h:1\r\nte: trailers\r\ncookie: a=b\r\n\r\nabc"
        );
        // The texts of its six fields, and 32 for each.
        let text = ":schemehttps:methodPOST:path/a?b:authorityh:1tetrailerscookiea=b";
        assert_eq!(prepared.head_bytes, text.len() as u64 + 6 * 32);
        let added = prepared.with_field(b"traceparent", b"00-1").unwrap();
        let added = Prepared::read(&added).unwrap();
        assert_eq!(added.head_bytes, prepared.head_bytes + 15 + 32);
        let expected = shown.replace("\r\n\r\nabc", "\r\ntraceparent: 00-1\r\n\r\nabc");
        assert_eq!(String::from_utf8(added.text()).unwrap(), expected);
        assert!(added.with_field(b"traceparent", b"00-2").is_none());
        let head = Prepared::of_text(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        let head = Prepared::read(&head).unwrap();
        assert!(head.is_head() && head.is_safe());
        let added = head.with_field(b"a", b"b").unwrap();
        let added = Prepared::read(&added).unwrap();
        assert!(added.is_head() && added.is_safe());
        assert!(Prepared::of_text(b"ping").is_err());
        assert!(Prepared::read(b"\xff\xff\xff\xff\0\0\0\0\0").is_none());
    }
}
