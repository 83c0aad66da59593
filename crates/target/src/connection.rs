//! Parses the requests of one client's connection.

use encarno_http1::{Chunks, Request, RequestBody, head_end};
use encarno_http2::PREFACE;
use encarno_websocket::{Deflate, accept, accept_deflate};

/// The longest head.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Unused bytes, and the rest of a body to skip.
#[derive(Debug, Default)]
pub(super) struct Requests {
    buffer: Vec<u8>,
    /// The request whose body is being skipped.
    pending: Option<(Asked, Skip)>,
    /// Whether the first bytes aren't those of HTTP/2.
    is_http1: bool,
}

/// The rest of a body to skip.
#[derive(Debug)]
enum Skip {
    Bytes(u64),
    Chunks(Chunks),
}

/// The parts of a request that the target uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// The number at the end of its path.
    pub(super) sequence: Option<u64>,
    /// Whether it is HEAD, so that the response has no body.
    pub(super) head_only: bool,
    /// Whether the client wants the connection closed.
    pub(super) close: bool,
    /// The answer, if the request asks for a WebSocket.
    pub(super) upgrade: Option<Upgrade>,
}

/// How a request for a WebSocket is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Upgrade {
    /// The value that shows that the request was understood.
    pub(super) accepted: [u8; 28],
    /// How messages are compressed, if the client offers that.
    pub(super) deflate: Option<Deflate>,
}

/// The bytes aren't HTTP/1.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadRequest;

impl Requests {
    /// Whether the client uses HTTP/2; `None` if it isn't known yet.
    pub(super) fn is_http2(&mut self) -> Option<bool> {
        if !self.is_http1 {
            let length = self.buffer.len().min(PREFACE.len());
            self.is_http1 = self.buffer[..length] != PREFACE[..length];
            if !self.is_http1 {
                return (length == PREFACE.len()).then_some(true);
            }
        }
        Some(false)
    }

    /// The unused bytes, for another protocol.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.buffer
    }

    /// Takes received bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete request, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<Asked>, BadRequest> {
        if self.pending.is_none() {
            // Empty lines before a request don't count (RFC 9112, 2.2).
            let is_line_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
            let start = self.buffer.iter().take_while(is_line_end).count();
            let Some(end) = head_end(&self.buffer[start..], 0) else {
                return match self.buffer.len() <= HEAD_BYTES_MAX {
                    true => Ok(None),
                    false => Err(BadRequest),
                };
            };
            let head = &self.buffer[start..start + end];
            let request = Request::parse(head).ok_or(BadRequest)?;
            let asked = Asked {
                sequence: number_at_end(request.target),
                head_only: request.method == b"HEAD",
                close: request.wants_close(),
                upgrade: accept(&request).and_then(|accepted| {
                    Some(Upgrade {
                        accepted: accepted.into_bytes().try_into().ok()?,
                        deflate: accept_deflate(&request),
                    })
                }),
            };
            let skip = match request.framing().ok_or(BadRequest)? {
                RequestBody::Length(length) => Skip::Bytes(length),
                RequestBody::Chunked => Skip::Chunks(Chunks::default()),
            };
            self.pending = Some((asked, skip));
            self.buffer.drain(..start + end);
        }
        let Some((asked, skip)) = &mut self.pending else {
            return Ok(None);
        };
        let skipped = match skip {
            Skip::Bytes(left) => {
                let skipped = (*left).min(self.buffer.len() as u64);
                *left -= skipped;
                self.buffer.drain(..skipped as usize);
                *left == 0
            }
            Skip::Chunks(chunks) => {
                let mut rest = &self.buffer[..];
                while !rest.is_empty() && !chunks.is_complete() {
                    rest = chunks.next(rest).ok_or(BadRequest)?.rest;
                }
                let skipped = self.buffer.len() - rest.len();
                self.buffer.drain(..skipped);
                chunks.is_complete()
            }
        };
        let asked = *asked;
        if skipped {
            self.pending = None;
        }
        Ok(skipped.then_some(asked))
    }
}

/// The decimal number at the end of these bytes.
pub(super) fn number_at_end(bytes: &[u8]) -> Option<u64> {
    let digits = bytes
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    std::str::from_utf8(&bytes[bytes.len() - digits..])
        .ok()?
        .parse()
        .ok()
}

/// The last decimal number in these bytes.
pub(super) fn last_number(bytes: &[u8]) -> Option<u64> {
    let last = bytes.iter().rposition(u8::is_ascii_digit)?;
    number_at_end(&bytes[..=last])
}

#[cfg(test)]
mod tests {
    use super::{Asked, BadRequest, Requests, last_number, number_at_end};

    #[test]
    fn requests_come_out_whole_however_they_come_in() {
        let text = b"POST /a/12 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello\
            POST /13 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n\
            \r\nHEAD /7 HTTP/1.1\r\nConnection: x, close\r\n\r\n";
        for size in [1, 2, 5, 40, 1000] {
            let mut requests = Requests::default();
            let mut found = Vec::new();
            for piece in text.chunks(size) {
                requests.feed(piece);
                while let Some(asked) = requests.next().unwrap() {
                    found.push(asked);
                }
            }
            let first = Asked {
                sequence: Some(12),
                head_only: false,
                close: false,
                upgrade: None,
            };
            let second = Asked {
                sequence: Some(13),
                ..first
            };
            let third = Asked {
                sequence: Some(7),
                head_only: true,
                close: true,
                upgrade: None,
            };
            assert_eq!(found, [first, second, third], "in pieces of {size}");
        }
        let mut requests = Requests::default();
        requests.feed(b"nonsense\r\n\r\n");
        assert_eq!(requests.next(), Err(BadRequest));
        assert_eq!(number_at_end(b"/"), None);
        assert_eq!(last_number(b"{\"a1\": 23 }"), Some(23));
        assert_eq!(last_number(b"none"), None);
    }
}
