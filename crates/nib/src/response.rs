//! A response in its parts, whatever protocol brought it.

use std::io::Read;

use encarno_http1::Fields;
use flate2::read::{MultiGzDecoder, ZlibDecoder};

/// So much of a response is kept, for whoever looks at it afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// The head, whole.
    pub head: bool,
    /// Bytes of the body at most.
    pub body_bytes_max: usize,
    /// Bytes at most of what came, as it came.
    pub wire_bytes_max: usize,
}

impl Keep {
    /// What the one or the other needs.
    pub fn or(self, other: Self) -> Self {
        Self {
            head: self.head || other.head,
            body_bytes_max: self.body_bytes_max.max(other.body_bytes_max),
            wire_bytes_max: self.wire_bytes_max.max(other.wire_bytes_max),
        }
    }
}

/// What was kept of a response. A nib has one for each worker.
#[derive(Debug, Default)]
pub struct Kept {
    keep: Keep,
    status: u16,
    /// The head, and the body after it.
    text: Vec<u8>,
    head_bytes: usize,
    wire: Vec<u8>,
}

impl Kept {
    /// Makes room for the next response; what a long one took is given back.
    #[inline]
    pub fn expect(&mut self, keep: Keep) {
        self.keep = keep;
        self.status = 0;
        self.head_bytes = 0;
        forget(&mut self.text);
        forget(&mut self.wire);
    }

    /// What came, as it came.
    #[inline]
    pub fn wire(&mut self, bytes: &[u8]) {
        append(&mut self.wire, bytes, self.keep.wire_bytes_max);
    }

    /// The head: lines `Name: value`, after a status line in HTTP/1.
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

    /// The next piece of the body, without the coding of its transfer.
    #[inline]
    pub fn body(&mut self, bytes: &[u8]) {
        if self.keep.body_bytes_max > 0 {
            let bytes_max = self.head_bytes.saturating_add(self.keep.body_bytes_max);
            append(&mut self.text, bytes, bytes_max);
        }
    }

    /// What scripts see.
    pub fn response(&self) -> Response<'_> {
        Response::new(self.status, &self.text, self.head_bytes)
    }

    /// What the trace shows.
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

/// A value on more lines than one is the same with blanks (RFC 9112, 5.2).
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
    /// Of head and body, one after the other.
    pub fn new(status: u16, text: &'a [u8], head_bytes: usize) -> Self {
        Self {
            status,
            text,
            head_bytes: head_bytes.min(text.len()),
        }
    }

    /// The protocol's status; 0 = it has none.
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

    /// The body, up to the message's own end and without the coding of its
    /// transfer.
    pub fn body(&self) -> &'a [u8] {
        &self.text[self.head_bytes..]
    }

    /// Its fields.
    pub fn fields(&self) -> Fields<'a> {
        let head = self.head();
        let first = match head.starts_with(b"HTTP/") {
            true => memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1),
            false => 0,
        };
        encarno_http1::fields(&head[first..])
    }

    /// The value of the first field of that name.
    pub fn field(&self, name: &str) -> Option<&'a [u8]> {
        let mut fields = self.fields();
        fields.find(|field| field.is(name)).map(|field| field.value)
    }

    /// The same with the body's own coding (gzip, deflate) undone, up to so
    /// many bytes; in the buffer, if there is anything to undo.
    pub fn decoded(self, buffer: &'a mut Vec<u8>, bytes_max: usize) -> Self {
        let mut codings: Vec<Coding> = Vec::new();
        for field in self.fields().filter(|field| field.is("content-encoding")) {
            for name in field.value.split(|&byte| byte == b',') {
                match Coding::of(name.trim_ascii()) {
                    Some(Coding::Identity) => {}
                    Some(coding) if codings.len() < CODINGS_MAX => codings.push(coding),
                    // What can't be undone stays as it is.
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

/// More codings, one on top of the other, are a peer's mischief.
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

    /// Appends what the bytes say, as far as they can be read.
    fn undo(self, packed: &[u8], out: &mut Vec<u8>, bytes_max: usize) {
        let bytes_max = bytes_max as u64;
        // What was read before an error stays: a response may be cut off.
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
