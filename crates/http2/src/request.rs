//! Converts HTTP/1 text into requests for any connection.

use bytes::Bytes;
use encarno_http1::Request;

use crate::fields::{RequestText, request_fields};
use crate::frame::{END_STREAM, HEAD_BYTES, payload_len, write_block};
use crate::hpack::{Decoder, Encoder, write_field};

/// A request in the form in which it is sent, without the number of its stream. It is one
/// piece of memory: `[length of the frames, 4 bytes][flags][frames of its head][body]`.
#[derive(Clone, Copy, Debug)]
pub struct Prepared<'a> {
    frames: &'a [u8],
    flags: u8,
    /// Its body.
    pub body: &'a [u8],
}

const PREFIX_BYTES: usize = 5;
const HAS_SCHEME: u8 = 1;
const IS_HEAD: u8 = 2;
/// The place of the scheme, which is the first field so that it can be changed.
const SCHEME_AT: usize = HEAD_BYTES;
const SCHEME_HTTP: u8 = 0x86;
const SCHEME_HTTPS: u8 = 0x87;

impl<'a> Prepared<'a> {
    /// Converts a complete HTTP/1 request. The error says what is wrong with it.
    pub fn of_text(text: &[u8]) -> Result<Bytes, String> {
        let request = Request::parse(text).ok_or("it isn't an HTTP request")?;
        let body = request.whole_body()?;
        let mut out = Self::head(&request, body.is_empty())?;
        out.extend_from_slice(&body);
        Ok(out.into())
    }

    /// Converts only the head of a request whose body is elsewhere.
    pub fn head(request: &Request<'_>, ends: bool) -> Result<Vec<u8>, String> {
        let is_connect = request.method == b"CONNECT";
        let mut block = Vec::with_capacity(256);
        request_fields(request, "http", |name, value| {
            write_field(name, value, &mut block);
        })?;
        let mut out = vec![0; PREFIX_BYTES];
        write_block(&mut out, 0, &block, ends);
        let frames_bytes = (out.len() - PREFIX_BYTES) as u32;
        out[..4].copy_from_slice(&frames_bytes.to_le_bytes());
        if !is_connect {
            out[4] |= HAS_SCHEME;
        }
        if request.method == b"HEAD" {
            out[4] |= IS_HEAD;
        }
        Ok(out)
    }

    /// Reads the result of [`Prepared::of_text`] or [`Prepared::head`]; `None` if the
    /// bytes are something else.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (prefix, rest) = bytes.split_first_chunk::<PREFIX_BYTES>()?;
        let frames_bytes = u32::from_le_bytes([prefix[0], prefix[1], prefix[2], prefix[3]]);
        let (frames, body) = rest.split_at_checked(frames_bytes as usize)?;
        payload_len(frames)?;
        Some(Self {
            frames,
            flags: prefix[4],
            body,
        })
    }

    /// The same with one more field; none if it has one of that name.
    pub fn with_field(&self, name: &[u8], value: &[u8]) -> Option<Bytes> {
        let mut is_there = false;
        self.fields(|known, _| is_there |= known == name);
        if is_there {
            return None;
        }
        let mut block = self.block();
        write_field(name, value, &mut block);
        let mut out = vec![0; PREFIX_BYTES];
        write_block(&mut out, 0, &block, self.ends());
        let frames_bytes = (out.len() - PREFIX_BYTES) as u32;
        out[..4].copy_from_slice(&frames_bytes.to_le_bytes());
        out[4] = self.flags;
        out.extend_from_slice(self.body);
        Some(out.into())
    }

    /// Whether the head is all of it.
    pub(crate) fn ends(&self) -> bool {
        self.frames[4] & END_STREAM != 0
    }

    /// Whether it is a HEAD request.
    pub(crate) fn is_head(&self) -> bool {
        self.flags & IS_HEAD != 0
    }

    /// Appends the frames of the head.
    #[inline]
    pub(crate) fn write(&self, stream: u32, https: bool, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.frames);
        let frames = &mut out[start..];
        if self.flags & HAS_SCHEME != 0 {
            frames[SCHEME_AT] = if https { SCHEME_HTTPS } else { SCHEME_HTTP };
        }
        let mut at = 0;
        while let Some(length) = payload_len(&frames[at..]) {
            frames[at + 5..at + HEAD_BYTES].copy_from_slice(&stream.to_be_bytes());
            at += HEAD_BYTES + length;
        }
    }

    /// Appends the frames of the head, compressed with the connection's own table.
    pub(crate) fn write_indexed(
        &self,
        stream: u32,
        https: bool,
        encoder: &mut Encoder,
        out: &mut Vec<u8>,
    ) {
        let mut block = Vec::new();
        encoder.begin(&mut block);
        self.fields(|name, value| {
            let value = match name {
                b":scheme" if https => b"https",
                _ => value,
            };
            encoder.field(name, value, &mut block);
        });
        write_block(out, stream, &block, self.ends());
    }

    fn fields(&self, mut take: impl FnMut(&[u8], &[u8])) {
        let block = self.block();
        // It was written here.
        let _whole = Decoder::default().decode(&block, |field| take(field.name, field.value));
    }

    /// What is in the frames of the head.
    fn block(&self) -> Vec<u8> {
        let (mut block, mut rest) = (Vec::new(), self.frames);
        while let Some(length) = payload_len(rest) {
            block.extend_from_slice(&rest[HEAD_BYTES..HEAD_BYTES + length]);
            rest = &rest[HEAD_BYTES + length..];
        }
        block
    }

    /// The request as HTTP/1 text, for people.
    pub fn text(&self) -> Vec<u8> {
        let mut text = RequestText::default();
        self.fields(|name, value| text.take(name, value));
        text.whole("HTTP/2", self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::Prepared;

    #[test]
    fn a_field_is_added_once() {
        let long = format!("x-long: {}\r\n", "a".repeat(40_000));
        for more in ["", &long] {
            let text = format!("POST / HTTP/1.1\r\nHost: h\r\n{more}Content-Length: 2\r\n\r\nhi");
            let prepared = Prepared::of_text(text.as_bytes()).unwrap();
            let prepared = Prepared::read(&prepared).unwrap();
            let added = prepared.with_field(b"traceparent", b"00-1").unwrap();
            let added = Prepared::read(&added).unwrap();
            let shown = String::from_utf8(added.text()).unwrap();
            let expected = String::from_utf8(prepared.text()).unwrap();
            assert_eq!(
                shown,
                expected.replace("\r\n\r\nhi", "\r\ntraceparent: 00-1\r\n\r\nhi")
            );
            assert_eq!((added.ends(), added.body), (prepared.ends(), &b"hi"[..]));
            assert!(added.with_field(b"traceparent", b"00-2").is_none());
        }
    }

    #[test]
    fn a_request_keeps_what_http2_has_and_loses_the_rest() {
        let text = b"POST /a?b HTTP/1.1\r\nHost: h:1\r\nConnection: x-hop, TE\r\nX-Hop: 1\r\n\
            Upgrade: h2c\r\nTE: gzip, trailers\r\nX-Long: a\r\n b\r\nTransfer-Encoding: chunked\r\n\r\n\
            3\r\nabc\r\n0\r\n\r\n";
        let prepared = Prepared::of_text(text).unwrap();
        let prepared = Prepared::read(&prepared).unwrap();
        let shown = String::from_utf8(prepared.text()).unwrap();
        assert_eq!(
            shown,
            "POST /a?b HTTP/2\r\nhost: h:1\r\nte: trailers\r\nx-long: a   b\r\n\r\nabc"
        );
        for (text, reason) in [
            (&b"ping"[..], "isn't an HTTP request"),
            (b"GET / HTTP/1.1\r\n", "no end"),
            (
                b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc",
                "5, and its body has 3",
            ),
            (
                b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                "one request",
            ),
            (b"GET / HTTP/1.1\r\nno field\r\n\r\n", "head isn't a field"),
            (
                b"P / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na",
                "chunks",
            ),
        ] {
            let error = Prepared::of_text(text).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        for (target, shown) in [
            ("CONNECT h:443", "CONNECT h:443 HTTP/2\r\nhost: h:443"),
            ("GET http://u?x", "GET ?x HTTP/2\r\nhost: u\r\n"),
            ("OPTIONS *", "OPTIONS * HTTP/2\r\n"),
        ] {
            let prepared = Prepared::of_text(format!("{target} HTTP/1.1\r\n\r\n").as_bytes());
            let prepared = prepared.unwrap();
            let text = Prepared::read(&prepared).unwrap().text();
            assert!(text.starts_with(shown.as_bytes()), "{target}");
        }
    }
}
