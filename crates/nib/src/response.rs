//! A response in its parts, for all protocols.

use std::io::Read;

use encarno_http1::Fields;
use flate2::read::{MultiGzDecoder, ZlibDecoder};

/// The parts of a response that are kept, for its later readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// Whether the whole head is kept.
    pub head: bool,
    /// The most bytes of the body.
    pub body_bytes_max: usize,
    /// The most bytes of the response as it arrived.
    pub wire_bytes_max: usize,
}

impl Keep {
    /// The parts that either of two needs.
    pub fn or(self, other: Self) -> Self {
        Self {
            head: self.head || other.head,
            body_bytes_max: self.body_bytes_max.max(other.body_bytes_max),
            wire_bytes_max: self.wire_bytes_max.max(other.wire_bytes_max),
        }
    }
}

/// The kept parts of a response. A nib has one for each worker.
#[derive(Debug, Default)]
pub struct Kept {
    keep: Keep,
    status: u16,
    /// The head, followed by the body.
    text: Vec<u8>,
    head_bytes: usize,
    wire: Vec<u8>,
}

impl Kept {
    /// Prepares for the next response, and frees the memory of a long previous one.
    #[inline]
    pub fn expect(&mut self, keep: Keep) {
        self.keep = keep;
        self.status = 0;
        self.head_bytes = 0;
        forget(&mut self.text);
        forget(&mut self.wire);
    }

    /// Takes bytes as they arrived.
    #[inline]
    pub fn wire(&mut self, bytes: &[u8]) {
        append(&mut self.wire, bytes, self.keep.wire_bytes_max);
    }

    /// Takes the head: lines `Name: value`, in HTTP/1 after a status line.
    #[inline]
    pub fn head(&mut self, status: u16, head: &[u8]) {
        self.status = status;
        if self.keep.head {
            self.text.clear();
            self.text.extend_from_slice(head);
            unfold(&mut self.text);
            self.head_bytes = self.text.len();
        }
    }

    /// Takes the next piece of the body, without its transfer coding.
    #[inline]
    pub fn body(&mut self, bytes: &[u8]) {
        if self.keep.body_bytes_max > 0 {
            let bytes_max = self.head_bytes.saturating_add(self.keep.body_bytes_max);
            append(&mut self.text, bytes, bytes_max);
        }
    }

    /// The response, for scripts.
    pub fn response(&self) -> Response<'_> {
        Response::new(self.status, &self.text, self.head_bytes)
    }

    /// The received bytes, for the trace.
    pub fn received(&self) -> &[u8] {
        &self.wire
    }
}

fn append(kept: &mut Vec<u8>, bytes: &[u8], bytes_max: usize) {
    let room = bytes_max.saturating_sub(kept.len());
    kept.extend_from_slice(&bytes[..room.min(bytes.len())]);
}

fn forget(kept: &mut Vec<u8>) {
    const KEPT_BYTES: usize = 256 << 10;
    if kept.capacity() > KEPT_BYTES {
        *kept = Vec::new();
    }
    kept.clear();
}

/// Joins a value on several lines with blanks (RFC 9112, 5.2).
fn unfold(head: &mut [u8]) {
    for at in 1..head.len() {
        if matches!(head[at], b' ' | b'\t') && head[at - 1] == b'\n' {
            head[at - 1] = b' ';
            if at > 1 && head[at - 2] == b'\r' {
                head[at - 2] = b' ';
            }
        }
    }
}

/// A response in its parts, as far as it was kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Response<'a> {
    status: u16,
    text: &'a [u8],
    head_bytes: usize,
}

impl<'a> Response<'a> {
    /// A response from its head and body, one after the other.
    pub fn new(status: u16, text: &'a [u8], head_bytes: usize) -> Self {
        Self {
            status,
            text,
            head_bytes: head_bytes.min(text.len()),
        }
    }

    /// The protocol's status; 0 means none.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Head and body.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// The head, with the empty line at its end.
    pub fn head(&self) -> &'a [u8] {
        &self.text[..self.head_bytes]
    }

    /// The body, without its transfer coding and without anything that follows it.
    pub fn body(&self) -> &'a [u8] {
        &self.text[self.head_bytes..]
    }

    /// The header fields.
    pub fn fields(&self) -> Fields<'a> {
        let head = self.head();
        let first = match head.starts_with(b"HTTP/") {
            true => memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1),
            false => 0,
        };
        encarno_http1::fields(&head[first..])
    }

    /// The value of the first field with this name.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        let mut fields = self.fields();
        fields.find(|field| field.is(name)).map(|field| field.value)
    }

    /// The response with its content coding (gzip, deflate) undone, up to a number of
    /// bytes. The buffer is used if there is anything to undo.
    pub fn decoded(self, buffer: &'a mut Vec<u8>, bytes_max: usize) -> Self {
        let mut codings: Vec<Coding> = Vec::new();
        for field in self.fields().filter(|field| field.is("content-encoding")) {
            for name in field.value.split(|&byte| byte == b',') {
                match Coding::of(name.trim_ascii()) {
                    Some(Coding::Identity) => {}
                    Some(coding) if codings.len() < CODINGS_MAX => codings.push(coding),
                    // An unknown coding stays as it is.
                    _ => return self,
                }
            }
        }
        let Some(last) = codings.pop() else {
            return self;
        };
        buffer.clear();
        buffer.extend_from_slice(self.head());
        last.undo(self.body(), buffer, bytes_max);
        while let Some(coding) = codings.pop() {
            let packed = buffer.split_off(self.head_bytes);
            coding.undo(&packed, buffer, bytes_max);
        }
        Self {
            text: buffer,
            ..self
        }
    }
}

/// The most codings on top of each other; only a hostile peer uses more.
const CODINGS_MAX: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Deflate,
}

impl Coding {
    fn of(name: &[u8]) -> Option<Self> {
        match name.to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Some(Self::Identity),
            b"gzip" | b"x-gzip" => Some(Self::Gzip),
            b"deflate" => Some(Self::Deflate),
            _ => None,
        }
    }

    /// Appends the decoded bytes, as far as they can be decoded.
    fn undo(self, packed: &[u8], out: &mut Vec<u8>, bytes_max: usize) {
        let bytes_max = bytes_max as u64;
        // Keep what was decoded before an error, because a response may be truncated.
        let _cut_off = match self {
            Self::Identity => Ok(0),
            Self::Gzip => MultiGzDecoder::new(packed).take(bytes_max).read_to_end(out),
            Self::Deflate => ZlibDecoder::new(packed).take(bytes_max).read_to_end(out),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::{Keep, Kept};

    const BYTES_MAX: usize = 1 << 20;

    fn kept(keep: Keep, head: &[u8], body: &[u8]) -> Kept {
        let mut kept = Kept::default();
        kept.expect(keep);
        kept.head(200, head);
        body.chunks(3).for_each(|piece| kept.body(piece));
        kept
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn parts() {
        let keep = Keep {
            head: true,
            body_bytes_max: 4,
            wire_bytes_max: 0,
        };
        let folded = b"HTTP/1.1 200 OK\r\nA: b\r\n\tc\r\nSet-Cookie : x\r\nset-cookie:y\r\n\r\n";
        let kept = kept(keep, folded, b"body and more");
        let response = kept.response();
        assert_eq!(response.status(), 200);
        assert_eq!(response.body(), b"body");
        assert_eq!(response.field("a"), Some(&b"b  \tc"[..]));
        let cookies = response.fields().filter(|field| field.is("set-cookie"));
        let cookies: Vec<_> = cookies.map(|field| field.value).collect();
        assert_eq!(cookies, [b"x", b"y"]);
        assert_eq!(response.text(), [response.head(), b"body"].concat());
    }

    #[test]
    fn nothing_is_kept_that_is_not_asked_for() {
        let none = kept(Keep::default(), b"HTTP/1.1 200 OK\r\n\r\n", b"body");
        assert_eq!(none.response().text(), b"");
        let body = Keep {
            body_bytes_max: 9,
            ..Keep::default()
        };
        let body = kept(body, b"HTTP/1.1 200 OK\r\n\r\n", b"body");
        assert_eq!(
            (body.response().head(), body.response().body()),
            (&b""[..], &b"body"[..])
        );
    }

    #[test]
    fn codings_are_undone_up_to_the_bound() {
        let keep = Keep {
            head: true,
            body_bytes_max: BYTES_MAX,
            wire_bytes_max: 0,
        };
        let decoded = |coding: &str, body: &[u8]| {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\n\r\n");
            let kept = kept(keep, head.as_bytes(), body);
            let mut buffer = Vec::new();
            let response = kept.response().decoded(&mut buffer, BYTES_MAX);
            assert_eq!(response.head(), head.as_bytes());
            response.body().to_vec()
        };
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(b"abc").expect("memory");
        assert_eq!(decoded("GZIP", &gzip(b"abc")), b"abc");
        assert_eq!(decoded("deflate", &zlib.finish().expect("memory")), b"abc");
        assert_eq!(decoded("gzip, x-gzip", &gzip(&gzip(b"abc"))), b"abc");
        assert_eq!(decoded("br", b"abc"), b"abc");
        assert_eq!(
            decoded("gzip", &gzip(&vec![b'a'; 50 << 20])).len(),
            BYTES_MAX
        );
        let whole = gzip(b"abcde");
        assert!(decoded("gzip", &whole[..whole.len() - 9]).len() <= 5);
        assert_eq!(decoded("gzip", b"no gzip"), b"");
    }
}
