//! Reads responses as they arrive.

use crate::error::ResponseError;
use crate::fields::head_end;
use crate::head::{Framing, StatusLine, framing};
use crate::{Chunks, Expected};

/// Reads one response after the other. It keeps only a head that arrives in pieces.
#[derive(Debug)]
pub struct ResponseReader {
    phase: Phase,
    /// The beginning of an incomplete head.
    partial: Vec<u8>,
    expected: Expected,
    status: u16,
    keep_alive: bool,
    /// The bytes of all heads of this response: interim heads (1xx) may come first.
    head_bytes: usize,
    head_bytes_max: usize,
    last: LastHead,
}

/// The head of the response before, and what was found in it. A server answers with the
/// same bytes again and again; to compare them takes a tenth of what reading them does.
#[derive(Debug, Default)]
struct LastHead {
    /// Empty: there is none.
    text: Vec<u8>,
    status: u16,
    framing: Option<Framing>,
    keep_alive: bool,
}

/// A longer head isn't kept.
const LAST_BYTES_MAX: usize = 1 << 10;

/// A part of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// The status of the final response, and its complete head.
    Head(u16, &'a [u8]),
    /// A piece of its body, without transfer coding.
    Body(&'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    Sized(u64),
    Chunked(Chunks),
    UntilClose,
    Complete,
}

impl ResponseReader {
    /// A reader without a response. A longer head is refused.
    pub fn new(head_bytes_max: usize) -> Self {
        Self {
            phase: Phase::Complete,
            partial: Vec::new(),
            expected: Expected::default(),
            status: 0,
            keep_alive: true,
            head_bytes: 0,
            head_bytes_max,
            last: LastHead::default(),
        }
    }

    /// Expects a new response.
    #[inline]
    pub fn expect(&mut self, expected: Expected) {
        self.phase = Phase::Head;
        self.partial.clear();
        self.expected = expected;
        self.status = 0;
        self.keep_alive = true;
        self.head_bytes = 0;
    }

    /// Whether the response is complete.
    #[inline]
    pub fn is_complete(&self) -> bool {
        self.phase == Phase::Complete
    }

    /// Notes that the peer has closed. Returns whether that is a valid end.
    pub fn end(&mut self) -> bool {
        if self.phase == Phase::UntilClose {
            self.phase = Phase::Complete;
        }
        self.keep_alive = false;
        self.is_complete()
    }

    /// The status of the final response, as soon as its line has arrived; 0 before.
    #[inline]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Whether the connection can be used again.
    #[inline]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive && !self.expected.last
    }

    /// Takes received bytes. Bytes after the end make the connection unusable, because
    /// one response is expected at a time.
    #[inline]
    pub fn feed(
        &mut self,
        mut bytes: &[u8],
        mut found: impl FnMut(Part<'_>),
    ) -> Result<(), ResponseError> {
        while !bytes.is_empty() {
            match &mut self.phase {
                Phase::Head => bytes = self.feed_head(bytes, &mut found)?,
                Phase::Sized(left) => {
                    let taken = (*left).min(bytes.len() as u64);
                    *left -= taken;
                    if *left == 0 {
                        self.phase = Phase::Complete;
                    }
                    let (body, rest) = bytes.split_at(taken as usize);
                    found(Part::Body(body));
                    bytes = rest;
                }
                Phase::Chunked(chunks) => {
                    let decoded = chunks.next(bytes).ok_or(ResponseError::Chunk)?;
                    if chunks.is_complete() {
                        self.phase = Phase::Complete;
                    }
                    if !decoded.data.is_empty() {
                        found(Part::Body(decoded.data));
                    }
                    bytes = decoded.rest;
                }
                Phase::UntilClose => {
                    found(Part::Body(bytes));
                    return Ok(());
                }
                Phase::Complete => {
                    self.keep_alive = false;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn feed_head<'a>(
        &mut self,
        mut bytes: &'a [u8],
        found: &mut impl FnMut(Part<'_>),
    ) -> Result<&'a [u8], ResponseError> {
        if self.partial.is_empty() {
            // Skip empty lines before a status line: they may come from a body that was
            // longer than announced, or from a tolerant server.
            while let [b'\r' | b'\n', rest @ ..] = bytes {
                bytes = rest;
                self.head_bytes += 1;
            }
            if bytes.is_empty() {
                self.check_length(0)?;
                return Ok(bytes);
            }
        }
        let before = self.partial.len();
        if before == 0
            && let Some(framing) = self.last.framing
            && bytes.starts_with(&self.last.text)
        {
            // It ends where the same bytes ended before.
            let (head, rest) = bytes.split_at(self.last.text.len());
            self.head_bytes += head.len();
            self.status = self.last.status;
            found(Part::Head(self.status, head));
            self.check_length(0)?;
            self.turn_to_body(framing, self.last.keep_alive)?;
            return Ok(rest);
        }
        if before == 0
            && let Some(end) = head_end(bytes, 0)
        {
            self.take_head(&bytes[..end], found)?;
            return Ok(&bytes[end..]);
        }
        // A head in pieces is parsed only when it is complete, so that a peer that sends
        // byte by byte can't make us parse it many times.
        let room = (self.head_bytes_max + 1).saturating_sub(self.head_bytes + before);
        self.partial
            .extend_from_slice(&bytes[..room.min(bytes.len())]);
        let Some(end) = head_end(&self.partial, before) else {
            if !StatusLine::is_possible(&self.partial) {
                return Err(StatusLine::other(&self.partial));
            }
            self.note_status(before)?;
            self.check_length(self.partial.len())?;
            return Ok(&[]);
        };
        let mut head = std::mem::take(&mut self.partial);
        let taken = self.take_head(&head[..end], found);
        head.clear();
        self.partial = head;
        taken?;
        Ok(&bytes[end - before..])
    }

    /// Takes the status from a complete status line before the head is complete; it
    /// stays, even if the rest is wrong. `before` bytes were searched already.
    fn note_status(&mut self, before: usize) -> Result<(), ResponseError> {
        let is_new = |text: &[u8]| memchr::memchr(b'\n', text).is_some();
        if self.status == 0 && is_new(&self.partial[before..]) {
            let line = StatusLine::parse(&self.partial)?;
            if !line.is_interim() {
                self.status = line.status;
            }
        }
        Ok(())
    }

    fn check_length(&self, more: usize) -> Result<(), ResponseError> {
        match self.head_bytes + more <= self.head_bytes_max {
            true => Ok(()),
            false => Err(ResponseError::HeadTooLong),
        }
    }

    #[inline]
    fn take_head(
        &mut self,
        head: &[u8],
        found: &mut impl FnMut(Part<'_>),
    ) -> Result<(), ResponseError> {
        let line = StatusLine::parse(head)?;
        let status = line.status;
        self.head_bytes += head.len();
        if line.is_interim() {
            return self.check_length(0);
        }
        self.status = status;
        found(Part::Head(status, head));
        self.check_length(0)?;
        if status < 100 {
            return Err(ResponseError::Status(status));
        }
        let (framing, keep_alive) = framing(&head[line.bytes..], line.is_11)?;
        if head.len() <= LAST_BYTES_MAX {
            self.last.text.clear();
            // As long as it is: there may be thousands of connections.
            self.last.text.reserve_exact(head.len());
            self.last.text.extend_from_slice(head);
            self.last.status = status;
            self.last.framing = Some(framing);
            self.last.keep_alive = keep_alive;
        }
        self.turn_to_body(framing, keep_alive)
    }

    /// The head of the final response is there.
    #[inline]
    fn turn_to_body(&mut self, framing: Framing, keep_alive: bool) -> Result<(), ResponseError> {
        let status = self.status;
        self.keep_alive = keep_alive;
        self.phase = match framing {
            // The following data aren't HTTP.
            _ if status == 101 || self.expected.tunnel && matches!(status, 200..300) => {
                self.keep_alive = false;
                Phase::Complete
            }
            _ if self.expected.head_only || matches!(status, 204 | 304) => Phase::Complete,
            Framing::Unknown => return Err(ResponseError::Length),
            Framing::Length(0) => Phase::Complete,
            Framing::Length(length) => Phase::Sized(length),
            Framing::Chunked => Phase::Chunked(Chunks::default()),
            Framing::UntilClose => {
                self.keep_alive = false;
                Phase::UntilClose
            }
        };
        Ok(())
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
