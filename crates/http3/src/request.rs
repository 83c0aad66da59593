//! Converts HTTP/1 text into requests.

use bytes::Bytes;
use encarno_http1::Request;
use encarno_http2::{RequestText, request_fields};

use crate::frame::{HEADERS, write_frame};
use crate::qpack::{self, Decoder};

/// A request in the form in which it is sent. It is one piece of memory:
/// `[length of the section, 4 bytes][flags][field section][body]`.
#[derive(Clone, Copy, Debug)]
pub struct Prepared<'a> {
    section: &'a [u8],
    is_head: bool,
    /// Its body.
    pub body: &'a [u8],
}

const PREFIX_BYTES: usize = 5;
const IS_HEAD: u8 = 1;

impl<'a> Prepared<'a> {
    /// Converts a complete HTTP/1 request. The error says what is wrong with it.
    pub fn of_text(text: &[u8]) -> Result<Bytes, String> {
        let request = Request::parse(text).ok_or("it isn't an HTTP request")?;
        let body = request.whole_body()?;
        let mut section = Vec::with_capacity(256);
        qpack::begin(&mut section);
        request_fields(&request, "https", |name, value| {
            qpack::write_field(name, value, &mut section);
        })?;
        Ok(joined(&section, request.method == b"HEAD", &body))
    }

    /// Reads the result of [`Prepared::of_text`]; `None` if the bytes are something else.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (&[a, b, c, d, flags], rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
        let length = u32::from_le_bytes([a, b, c, d]);
        let (section, body) = rest.split_at_checked(length as usize)?;
        Some(Self {
            section,
            is_head: flags & IS_HEAD != 0,
            body,
        })
    }

    /// Whether it is a HEAD request.
    pub fn is_head(&self) -> bool {
        self.is_head
    }

    /// Appends the frame of its head.
    pub fn write_head(&self, out: &mut Vec<u8>) {
        write_frame(HEADERS, self.section, out);
    }

    /// The same with one more field; none if it has one of that name.
    pub fn with_field(&self, name: &[u8], value: &[u8]) -> Option<Bytes> {
        let mut is_there = false;
        self.fields(|known, _| is_there |= known == name);
        if is_there {
            return None;
        }
        let mut section = self.section.to_vec();
        qpack::write_field(name, value, &mut section);
        Some(joined(&section, self.is_head, self.body))
    }

    /// The request as HTTP/1 text, for people.
    pub fn text(&self) -> Vec<u8> {
        let mut text = RequestText::default();
        self.fields(|name, value| text.take(name, value));
        text.whole("HTTP/3", self.body)
    }

    fn fields(&self, mut take: impl FnMut(&[u8], &[u8])) {
        // It was written here.
        let _whole = Decoder::default().decode(self.section, |field| take(field.name, field.value));
    }
}

fn joined(section: &[u8], is_head: bool, body: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(PREFIX_BYTES + section.len() + body.len());
    out.extend_from_slice(&(section.len() as u32).to_le_bytes());
    out.push(if is_head { IS_HEAD } else { 0 });
    out.extend_from_slice(section);
    out.extend_from_slice(body);
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
        assert_eq!((prepared.body, prepared.is_head()), (&b"abc"[..], false));
        let shown = String::from_utf8(prepared.text()).unwrap();
        assert_eq!(
            shown,
            "POST /a?b HTTP/3\r\nhost: h:1\r\nte: trailers\r\ncookie: a=b\r\n\r\nabc"
        );
        let added = prepared.with_field(b"traceparent", b"00-1").unwrap();
        let added = Prepared::read(&added).unwrap();
        let expected = shown.replace("\r\n\r\nabc", "\r\ntraceparent: 00-1\r\n\r\nabc");
        assert_eq!(String::from_utf8(added.text()).unwrap(), expected);
        assert!(added.with_field(b"traceparent", b"00-2").is_none());
        let head = Prepared::of_text(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
        assert!(Prepared::read(&head).unwrap().is_head());
        assert!(Prepared::of_text(b"ping").is_err());
        assert!(Prepared::read(b"\xff\xff\xff\xff\0").is_none());
    }
}
