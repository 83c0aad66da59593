//! Head and body of an answer, as far as it was kept.

use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;

use encarno_record::script::Subject;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use serde_json::Value;
use serde_json_path::JsonPath;

use super::ANSWER_BYTES_MAX;
use super::request::{header, is_header, lines};

/// Where the parts of an answer lie. The bytes are those that came, or, if the
/// body was chunked or compressed, the head and the body itself in a buffer.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    bytes: &'a [u8],
    head_bytes: usize,
    code: [u8; 3],
    /// The body as JSON, once it was asked for; none inside = it isn't JSON.
    json: Option<Option<Value>>,
}

impl<'a> Answer<'a> {
    /// `buffer` is used if the body isn't there as it is.
    pub(super) fn new(kept: &'a [u8], status: u16, buffer: &'a mut Vec<u8>) -> Self {
        let head = final_head(kept);
        let (head_bytes, body) = (&kept[head.clone()], &kept[head.end..]);
        let coding = Coding::of(header(head_bytes, "content-encoding").unwrap_or_default());
        let chunked = is_chunked(head_bytes);
        let bytes = if chunked || coding != Coding::None {
            buffer.clear();
            buffer.extend_from_slice(head_bytes);
            if chunked {
                unchunk(body, buffer);
            } else {
                buffer.extend_from_slice(body);
            }
            if coding != Coding::None {
                decompress(coding, buffer, head.len());
            }
            buffer
        } else {
            &kept[head.start..]
        };
        let digit = |unit: u16| b'0' + (status / unit % 10) as u8;
        Self {
            bytes,
            head_bytes: head.len(),
            code: [digit(100), digit(10), digit(1)],
            json: None,
        }
    }

    pub(super) fn part(&self, subject: Subject) -> &[u8] {
        match subject {
            Subject::Response => self.bytes,
            Subject::Body => &self.bytes[self.head_bytes..],
            Subject::Headers => &self.bytes[..self.head_bytes],
            Subject::Code => &self.code,
        }
    }

    /// What the path finds in the body.
    pub(super) fn nodes(&mut self, path: &JsonPath) -> Vec<&Value> {
        let body = &self.bytes[self.head_bytes..];
        let json = self
            .json
            .get_or_insert_with(|| serde_json::from_slice(body).ok());
        json.as_ref()
            .map(|json| path.query(json).all())
            .unwrap_or_default()
    }
}

/// A node as text: strings without their quotes, all else as JSON.
pub(super) fn node_text(node: &Value) -> Cow<'_, str> {
    match node {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// The head of the final answer: interim ones (1xx) may come before it.
/// Nothing if what came isn't HTTP.
pub(super) fn final_head(kept: &[u8]) -> Range<usize> {
    let mut start = 0;
    loop {
        let rest = &kept[start..];
        if !rest.starts_with(b"HTTP/") {
            return start..start;
        }
        let end = start + encarno_record::template::body_start(rest);
        let status = rest.get(9..12).unwrap_or_default();
        if !status.starts_with(b"1") || status == b"101" || end == kept.len() {
            return start..end;
        }
        start = end;
    }
}

/// The values of a header that may come more than once.
pub(super) fn values<'a>(head: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    lines(head)
        .filter(move |(_, line)| is_header(line, name))
        .map(move |(_, line)| line[name.len() + 1..].trim_ascii())
}

fn is_chunked(head: &[u8]) -> bool {
    header(head, "transfer-encoding").is_some_and(|value| {
        let last = value.rsplit(|&byte| byte == b',').next();
        last.is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"))
    })
}

/// Appends the data of the chunks. What is broken or wasn't kept ends it: the
/// nib has checked what came.
fn unchunk(mut chunks: &[u8], out: &mut Vec<u8>) {
    while let Some(line_bytes) = memchr::memchr(b'\n', chunks) {
        let line = &chunks[..line_bytes];
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit());
        let length = digits.take(16).try_fold(0_usize, |sum, &digit| {
            let digit = (digit as char).to_digit(16)? as usize;
            sum.checked_mul(16)?.checked_add(digit)
        });
        let Some(length) = length.filter(|&length| length > 0) else {
            return;
        };
        let data = &chunks[line_bytes + 1..];
        out.extend_from_slice(&data[..length.min(data.len())]);
        let Some(rest) = data.get(length..) else {
            return;
        };
        let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
        chunks = &rest[end..];
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    None,
    Gzip,
    Deflate,
}

impl Coding {
    fn of(value: &[u8]) -> Self {
        match value.to_ascii_lowercase().as_slice() {
            b"gzip" | b"x-gzip" => Self::Gzip,
            b"deflate" => Self::Deflate,
            _ => Self::None,
        }
    }
}

/// Replaces what lies from `start` on by what it says, as far as it can be
/// read and up to [`ANSWER_BYTES_MAX`].
fn decompress(coding: Coding, buffer: &mut Vec<u8>, start: usize) {
    let packed = buffer.split_off(start);
    let bytes_max = ANSWER_BYTES_MAX as u64;
    // What was read before an error stays: an answer may be cut off.
    let _cut_off = match coding {
        Coding::None => Ok(0),
        Coding::Gzip => MultiGzDecoder::new(&packed[..])
            .take(bytes_max)
            .read_to_end(buffer),
        Coding::Deflate => ZlibDecoder::new(&packed[..])
            .take(bytes_max)
            .read_to_end(buffer),
    };
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::{ANSWER_BYTES_MAX, Answer, Subject};

    fn parts(kept: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let mut buffer = Vec::new();
        let answer = Answer::new(kept, 200, &mut buffer);
        let (head, body) = (answer.part(Subject::Headers), answer.part(Subject::Body));
        assert_eq!([head, body].concat(), answer.part(Subject::Response));
        (head.to_vec(), body.to_vec())
    }

    #[test]
    fn head_and_body() {
        let interim = b"HTTP/1.1 100 Continue\r\n\r\n";
        let head = b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n";
        let whole = [&interim[..], head, b"body"].concat();
        assert_eq!(parts(&whole), (head.to_vec(), b"body".to_vec()));
        assert_eq!(parts(b"pong"), (Vec::new(), b"pong".to_vec()));
        assert_eq!(parts(b""), (Vec::new(), Vec::new()));
        let cut = b"HTTP/1.1 200 OK\r\nA";
        assert_eq!(parts(cut), (cut.to_vec(), Vec::new()));
    }

    #[test]
    fn chunks_are_put_together() {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (chunks, body) in [
            (&b"3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n"[..], &b"abcde"[..]),
            (b"3\r\nab", b"ab"),
            (b"x\r\nab", b""),
            (b"ffffffffffffffff\r\nab", b"ab"),
            (b"fffffffffffffffff\r\nab", b"ab"),
            (b"", b""),
        ] {
            assert_eq!(parts(&[head, chunks].concat()).1, body, "{chunks:?}");
        }
    }

    #[test]
    fn compressed_bodies_are_read_up_to_the_bound() {
        let packed = |length| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&vec![b'a'; length]).expect("memory");
            let head = &b"HTTP/1.1 200 OK\r\ncontent-encoding: GZIP\r\n\r\n"[..];
            [head, &encoder.finish().expect("memory")].concat()
        };
        assert_eq!(parts(&packed(5)).1, b"aaaaa");
        assert_eq!(parts(&packed(100 << 20)).1.len(), ANSWER_BYTES_MAX);
        let cut = packed(5);
        assert!(parts(&cut[..cut.len() - 9]).1.len() <= 5);
    }
}
