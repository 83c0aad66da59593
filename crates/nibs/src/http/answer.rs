//! Where an HTTP/1.1 answer ends (RFC 9112), without keeping any of it.

use std::mem::MaybeUninit;

use encarno_nib::HEAD_BYTES_MAX;
use httparse::{Header, ParserConfig, Response, Status};
const HEADERS_MAX: usize = 128;

/// Reads one answer after the other.
#[derive(Debug)]
pub struct Answer {
    phase: Phase,
    /// The part of a head that came without its end.
    partial: Vec<u8>,
    /// The answer to HEAD has no body, whatever it says.
    head_only: bool,
    status: u16,
    keep_alive: bool,
}

/// What can't be an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// The head can't be parsed.
    Head,
    /// The head is longer than accepted.
    HeadTooLong,
    /// Its length is missing, not a number, or given twice.
    Length,
    /// A chunk's length isn't one, or a chunk doesn't end.
    Chunk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    Sized(u64),
    Chunked(Chunk),
    UntilClose,
    Complete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// The digits of the length; how many were there.
    Length(u64, u8),
    /// Extensions, up to the end of the line.
    Extension(u64),
    Data(u64),
    /// The line end after the data.
    DataEnd,
    /// A line of the trailer; whether anything but its end was there.
    Trailer(bool),
}

enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Default for Answer {
    /// Before any answer.
    fn default() -> Self {
        Self {
            phase: Phase::Complete,
            partial: Vec::new(),
            head_only: false,
            status: 0,
            keep_alive: true,
        }
    }
}

impl Answer {
    /// A new answer is expected; `head_only` if the request was HEAD.
    #[inline]
    pub fn expect(&mut self, head_only: bool) {
        self.phase = Phase::Head;
        self.partial.clear();
        self.head_only = head_only;
        self.status = 0;
        self.keep_alive = true;
    }

    /// Whether it is all there.
    #[inline]
    pub fn is_complete(&self) -> bool {
        self.phase == Phase::Complete
    }

    /// The peer has closed: whether that is a proper end.
    pub fn end(&mut self) -> bool {
        if self.phase == Phase::UntilClose {
            self.phase = Phase::Complete;
        }
        self.keep_alive = false;
        self.is_complete()
    }

    /// The status; 0 until the head is there.
    #[inline]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the connection can be used again.
    #[inline]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Takes what came. Bytes after the end make the connection unusable: we
    /// never ask for two answers at once.
    #[inline]
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), AnswerError> {
        while !bytes.is_empty() {
            match &mut self.phase {
                Phase::Head => bytes = self.feed_head(bytes)?,
                Phase::Sized(left) => {
                    let taken = (*left).min(bytes.len() as u64);
                    *left -= taken;
                    if *left == 0 {
                        self.phase = Phase::Complete;
                    }
                    bytes = &bytes[taken as usize..];
                }
                Phase::Chunked(chunk) => {
                    let (next, rest) = feed_chunk(*chunk, bytes)?;
                    self.phase = next;
                    bytes = rest;
                }
                Phase::UntilClose => return Ok(()),
                Phase::Complete => {
                    self.keep_alive = false;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn feed_head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], AnswerError> {
        if self.partial.is_empty() {
            return match self.parse_head(bytes)? {
                Some(length) => Ok(&bytes[length..]),
                None if bytes.len() > HEAD_BYTES_MAX => Err(AnswerError::HeadTooLong),
                None => {
                    self.partial.extend_from_slice(bytes);
                    Ok(&[])
                }
            };
        }
        // A head in pieces: parsed only once its end is there, so that a peer
        // that sends byte by byte can't make us parse it again and again.
        let before = self.partial.len();
        let room = (HEAD_BYTES_MAX + 1).saturating_sub(before).min(bytes.len());
        self.partial.extend_from_slice(&bytes[..room]);
        let Some(end) = head_end(&self.partial, before) else {
            return if self.partial.len() > HEAD_BYTES_MAX {
                Err(AnswerError::HeadTooLong)
            } else {
                Ok(&[])
            };
        };
        let head = std::mem::take(&mut self.partial);
        let parsed = self.parse_head(&head[..end])?;
        parsed.ok_or(AnswerError::Head)?;
        self.partial = head;
        self.partial.clear();
        Ok(&bytes[end - before..])
    }

    /// The length of the head, if it is all there.
    fn parse_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, AnswerError> {
        let mut headers = [const { MaybeUninit::<Header<'_>>::uninit() }; HEADERS_MAX];
        let mut response = Response::new(&mut []);
        let parsed = ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            bytes,
            &mut headers,
        );
        let length = match parsed {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(AnswerError::HeadTooLong),
            Err(_) => return Err(AnswerError::Head),
        };
        let status = response.code.unwrap_or(0);
        // Interim answers are followed by the real one.
        if (100..200).contains(&status) && status != 101 {
            return Ok(Some(length));
        }
        self.status = status;
        let (framing, keep_alive) = framing(response.headers, response.version == Some(1))?;
        self.keep_alive = keep_alive;
        self.phase = match framing {
            _ if self.head_only || matches!(status, 204 | 304) => Phase::Complete,
            // What follows isn't HTTP.
            _ if status == 101 => {
                self.keep_alive = false;
                Phase::Complete
            }
            Framing::Length(0) => Phase::Complete,
            Framing::Length(length) => Phase::Sized(length),
            Framing::Chunked => Phase::Chunked(Chunk::Length(0, 0)),
            Framing::UntilClose => {
                self.keep_alive = false;
                Phase::UntilClose
            }
        };
        Ok(Some(length))
    }
}

/// How the body ends (RFC 9112, 6.3), and whether the connection stays.
fn framing(headers: &[Header<'_>], version_11: bool) -> Result<(Framing, bool), AnswerError> {
    let mut length: Option<u64> = None;
    let mut encoded = false;
    let mut chunked = false;
    let mut keep_alive = version_11;
    for header in headers {
        match header.name.len() {
            14 if header.name.eq_ignore_ascii_case("content-length") => {
                let value = parse_length(header.value).ok_or(AnswerError::Length)?;
                if length.is_some_and(|other| other != value) {
                    return Err(AnswerError::Length);
                }
                length = Some(value);
            }
            17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                encoded = true;
                let last = header
                    .value
                    .rsplit(|&byte| byte == b',')
                    .next()
                    .unwrap_or_default();
                chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
            }
            10 if header.name.eq_ignore_ascii_case("connection") => {
                for option in header.value.split(|&byte| byte == b',') {
                    match option.trim_ascii() {
                        option if option.eq_ignore_ascii_case(b"close") => {
                            return_close(&mut keep_alive)
                        }
                        option if option.eq_ignore_ascii_case(b"keep-alive") && !version_11 => {
                            keep_alive = true
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let framing = match (encoded, length) {
        (true, _) if chunked => Framing::Chunked,
        (false, Some(length)) => Framing::Length(length),
        _ => Framing::UntilClose,
    };
    Ok((framing, keep_alive))
}

fn return_close(keep_alive: &mut bool) {
    *keep_alive = false;
}

fn parse_length(value: &[u8]) -> Option<u64> {
    let value = value.trim_ascii();
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// The end of the head, if it lies past `from`.
fn head_end(head: &[u8], from: usize) -> Option<usize> {
    let start = from.saturating_sub(3);
    let mut at = start;
    while let Some(found) = memchr::memchr(b'\n', &head[at..]) {
        let end = at + found + 1;
        let before = &head[..end - 1];
        if end > from && (before.ends_with(b"\n") || before.ends_with(b"\n\r")) {
            return Some(end);
        }
        at = end;
    }
    None
}

/// Longer lengths don't fit into 64 bits.
const LENGTH_DIGITS_MAX: u8 = 16;

fn feed_chunk(chunk: Chunk, bytes: &[u8]) -> Result<(Phase, &[u8]), AnswerError> {
    if let Chunk::Data(left) = chunk {
        let taken = left.min(bytes.len() as u64);
        let next = if taken == left {
            Chunk::DataEnd
        } else {
            Chunk::Data(left - taken)
        };
        return Ok((Phase::Chunked(next), &bytes[taken as usize..]));
    }
    let Some((&byte, rest)) = bytes.split_first() else {
        return Ok((Phase::Chunked(chunk), bytes));
    };
    let after_length = |length| {
        if length == 0 {
            Chunk::Trailer(false)
        } else {
            Chunk::Data(length)
        }
    };
    let next = match (chunk, byte) {
        (Chunk::Length(length, 1..), b'\n') => after_length(length),
        (Chunk::Length(length, 1..), b';' | b' ' | b'\t' | b'\r') => Chunk::Extension(length),
        (Chunk::Length(length, digits), _) => {
            let digit = (byte as char)
                .to_digit(16)
                .filter(|_| digits < LENGTH_DIGITS_MAX)
                .ok_or(AnswerError::Chunk)?;
            Chunk::Length(length << 4 | u64::from(digit), digits + 1)
        }
        (Chunk::Extension(length), b'\n') => after_length(length),
        (Chunk::DataEnd, b'\n') => Chunk::Length(0, 0),
        (Chunk::DataEnd, b'\r') => Chunk::DataEnd,
        (Chunk::DataEnd, _) => return Err(AnswerError::Chunk),
        (Chunk::Trailer(false), b'\n') => return Ok((Phase::Complete, rest)),
        (Chunk::Trailer(true), b'\n') => Chunk::Trailer(false),
        (Chunk::Trailer(some), b'\r') => Chunk::Trailer(some),
        (Chunk::Trailer(_), _) => Chunk::Trailer(true),
        (Chunk::Extension(_) | Chunk::Data(_), _) => chunk,
    };
    Ok((Phase::Chunked(next), rest))
}

#[cfg(test)]
mod tests {
    use super::{Answer, AnswerError, HEAD_BYTES_MAX};

    /// Feeds it whole and in pieces of each size; all must agree.
    fn feed(text: &[u8], head_only: bool) -> Result<(bool, u16, bool), AnswerError> {
        let run = |size: usize| {
            let mut answer = Answer::default();
            answer.expect(head_only);
            for piece in text.chunks(size) {
                answer.feed(piece)?;
            }
            Ok((answer.is_complete(), answer.status(), answer.keep_alive()))
        };
        let whole = run(text.len());
        for size in [1, 2, 3, 7, 16] {
            assert_eq!(
                run(size),
                whole,
                "in pieces of {size}: {}",
                String::from_utf8_lossy(text)
            );
        }
        whole
    }

    #[test]
    fn known_answers() {
        let cases: &[(&str, bool, (bool, u16, bool))] = &[
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
                false,
                (true, 200, true),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
                false,
                (false, 200, true),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcd",
                false,
                (true, 200, false),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
                true,
                (true, 200, true),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: foo, Close\r\n\r\n",
                false,
                (true, 200, false),
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
                false,
                (true, 200, false),
            ),
            (
                "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n",
                false,
                (true, 200, true),
            ),
            ("HTTP/1.1 204 No\r\n\r\n", false, (true, 204, true)),
            (
                "HTTP/1.1 304 No\r\nContent-Length: 99\r\n\r\n",
                false,
                (true, 304, true),
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nLink: x\r\n\r\nHTTP/1.1 201 OK\r\nContent-Length: 1\r\n\r\na",
                false,
                (true, 201, true),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: v\r\n\r\n",
                false,
                (true, 200, true),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
                false,
                (true, 200, true),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
                false,
                (false, 200, true),
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\nuntil it closes",
                false,
                (false, 200, false),
            ),
            (
                "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
                false,
                (true, 101, false),
            ),
            (
                "HTTP/1.1 200 OK\nContent-Length: 1\n\na",
                false,
                (true, 200, true),
            ),
        ];
        for (text, head_only, expected) in cases {
            assert_eq!(feed(text.as_bytes(), *head_only), Ok(*expected), "{text}");
        }
    }

    #[test]
    fn bad_answers() {
        let cases: &[(&str, AnswerError)] = &[
            ("SSH-2.0-OpenSSH\r\n\r\n", AnswerError::Head),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
                AnswerError::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
                AnswerError::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                AnswerError::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
                AnswerError::Chunk,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
                AnswerError::Chunk,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11111111111111111\r\n",
                AnswerError::Chunk,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
                AnswerError::Chunk,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(feed(text.as_bytes(), false), Err(*expected), "{text}");
        }
        let endless = [
            b"HTTP/1.1 200 OK\r\nA: ".as_slice(),
            &vec![b'a'; HEAD_BYTES_MAX],
        ]
        .concat();
        assert_eq!(feed(&endless, false), Err(AnswerError::HeadTooLong));
        let many = ["HTTP/1.1 200 OK\r\n", &"a: b\r\n".repeat(200), "\r\n"].concat();
        assert_eq!(feed(many.as_bytes(), false), Err(AnswerError::HeadTooLong));
    }

    #[test]
    fn a_body_until_close_ends_with_it() {
        let mut answer = Answer::default();
        answer.expect(false);
        answer.feed(b"HTTP/1.1 200 OK\r\n\r\nabc").unwrap();
        assert!(answer.end());
        answer.expect(false);
        answer
            .feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
            .unwrap();
        assert!(!answer.end());
    }
}
