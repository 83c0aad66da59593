//! One client's connection: requests out of bytes.

use httparse::{EMPTY_HEADER, Request, Status};

/// Heads longer than that are refused.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// Bytes that came and weren't used yet, and what is skipped of a body.
#[derive(Debug, Default)]
pub(super) struct Requests {
    buffer: Vec<u8>,
    skip_bytes: u64,
    /// The head was read, its body is being skipped.
    pending: Option<Asked>,
}

/// A request, as far as the target cares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// The number at the end of its path.
    pub(super) sequence: Option<u64>,
    /// It was HEAD: an answer has no body.
    pub(super) head_only: bool,
    /// The client wants the connection closed.
    pub(super) close: bool,
}

/// It isn't HTTP/1.1 with a length.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadRequest;

impl Requests {
    /// Takes what came.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        if self.buffer.is_empty() {
            let skipped = self.skip_bytes.min(bytes.len() as u64);
            self.skip_bytes -= skipped;
            bytes = &bytes[skipped as usize..];
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole request, if there is one.
    pub(super) fn next(&mut self) -> Result<Option<Asked>, BadRequest> {
        if self.pending.is_none() && !self.buffer.is_empty() {
            let mut headers = [EMPTY_HEADER; 64];
            let mut request = Request::new(&mut headers);
            let head_bytes = match request.parse(&self.buffer) {
                Ok(Status::Complete(head_bytes)) => head_bytes,
                Ok(Status::Partial) if self.buffer.len() <= HEAD_BYTES_MAX => return Ok(None),
                Ok(Status::Partial) | Err(_) => return Err(BadRequest),
            };
            let header = |name: &str| {
                let found = request
                    .headers
                    .iter()
                    .find(|header| header.name.eq_ignore_ascii_case(name));
                found.map(|header| header.value.trim_ascii())
            };
            let length = match header("content-length") {
                None => 0,
                Some(value) => std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .ok_or(BadRequest)?,
            };
            if header("transfer-encoding").is_some() {
                return Err(BadRequest);
            }
            self.pending = Some(Asked {
                sequence: number_at_end(request.path.unwrap_or_default().as_bytes()),
                head_only: request.method == Some("HEAD"),
                close: header("connection")
                    .is_some_and(|value| value.eq_ignore_ascii_case(b"close")),
            });
            let there = (self.buffer.len() - head_bytes) as u64;
            let taken = length.min(there);
            self.skip_bytes = length - taken;
            self.buffer.drain(..head_bytes + taken as usize);
        }
        Ok(if self.skip_bytes == 0 {
            self.pending.take()
        } else {
            None
        })
    }
}

/// The decimal number that these bytes end with.
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

#[cfg(test)]
mod tests {
    use super::{Asked, BadRequest, Requests, number_at_end};

    #[test]
    fn requests_come_out_whole_however_they_come_in() {
        let text = b"POST /a/12 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhelloHEAD /7 HTTP/1.1\r\nConnection: close\r\n\r\n";
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
            };
            let second = Asked {
                sequence: Some(7),
                head_only: true,
                close: true,
            };
            assert_eq!(found, [first, second], "in pieces of {size}");
        }
        let mut requests = Requests::default();
        requests.feed(b"nonsense\r\n\r\n");
        assert_eq!(requests.next(), Err(BadRequest));
        assert_eq!(number_at_end(b"/"), None);
    }
}
