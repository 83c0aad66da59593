//! Records the data that a link receives in the hits.

use std::sync::Arc;

use encarno_grpc::{BadMessage, Reader, Schema, Status};
use encarno_http1::fields;
use encarno_http2::{Head, HeadKind, Prepared};
use encarno_nib::{Keep, Seat, Shot};
use encarno_record::series::Measured;
use encarno_record::{Expected, Hit, Payload, StringId, code};

use super::calls;
use super::texts::Texts;
use crate::multiplexed::{Dialect, Seen};

/// The most bytes of an answer's messages that are kept.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// The times of a stream's messages: from the start of the hit, and from the message
/// before.
const MESSAGE_TIME: &str = "grpc_message_time";
const MESSAGE_GAP: &str = "grpc_message_gap";

/// Calls over HTTP/2.
#[derive(Debug)]
pub struct Answers {
    /// `None` while a server is asked for its descriptors.
    schema: Option<Arc<Schema>>,
    message_bytes_max: u32,
    expected: Expected,
    texts: Texts,
    measured: Measured,
}

/// The state of an answer that arrives.
#[derive(Debug, Default)]
pub struct Answer {
    method: u32,
    reader: Reader,
    /// The number of complete messages.
    messages: u64,
    first_ns: u64,
    last_ns: u64,
    head_ns: u64,
    is_compressed: bool,
    keep: Keep,
    /// Head and trailers, if they are needed.
    head: Vec<u8>,
    /// The messages as they arrived, if they are needed.
    bytes: Vec<u8>,
}

/// The most memory that is used again for the next answer.
const REUSED_BYTES_MAX: usize = 256 << 10;

type Failure = (u16, StringId);

impl Answers {
    pub(super) fn new(
        schema: Option<Arc<Schema>>,
        message_bytes_max: u32,
        seat: &Seat<'_>,
    ) -> Self {
        Self {
            schema,
            message_bytes_max,
            expected: *seat.expected,
            texts: Texts::new(seat.strings),
            measured: Measured::new(seat.clock.started_unix_ns()),
        }
    }

    fn bad(&mut self, text: &str) -> Failure {
        (code::PROTOCOL, self.texts.own(text))
    }

    /// Measures the messages of a stream that are whole at this instant.
    fn measure(&mut self, answer: &Answer, hit: &Hit, count: u64, now_ns: u64) {
        let schema = self.schema.as_deref();
        let method = schema.and_then(|schema| schema.method(answer.method));
        if !method.is_some_and(|method| method.gives_stream) {
            return;
        }
        let mut before_ns = (answer.messages > 0).then_some(answer.last_ns);
        for _ in 0..count {
            let mut record = |metric, since_ns: u64| {
                let time_ns = now_ns.saturating_sub(since_ns) as i64;
                self.measured.record(metric, hit.label, now_ns, time_ns);
            };
            record(MESSAGE_TIME, hit.started_ns);
            if let Some(before_ns) = before_ns.replace(now_ns) {
                record(MESSAGE_GAP, before_ns);
            }
        }
    }

    /// The head that begins the answer.
    fn first_head(
        &mut self,
        answer: &mut Answer,
        head: &Head<'_>,
        shot: &mut Shot,
    ) -> Result<(), Failure> {
        let text = after_line(head.text);
        let field = |name: &str| fields(text).find(|field| field.is(name)).map(|it| it.value);
        let content_type = field("content-type").unwrap_or_default();
        let is_grpc = content_type.starts_with(b"application/grpc");
        if head.status != 200 && field("grpc-status").is_none() {
            let status = Status::of_http(head.status);
            let text = format!(
                "the answer has HTTP status {} and no grpc-status",
                head.status
            );
            shot.hit.protocol_code = status.http();
            return Err(match self.expected.has(status.http()) {
                true => (0, StringId(0)),
                false => (0, self.texts.status(status, text.as_bytes())),
            });
        }
        if !is_grpc && field("grpc-status").is_none() {
            let shown = String::from_utf8_lossy(&content_type[..content_type.len().min(100)]);
            let text = match &*shown {
                "" => {
                    "the answer has no content-type: the server doesn't speak gRPC there".to_owned()
                }
                shown => format!("the answer's content-type is {shown}, not application/grpc"),
            };
            return Err(self.bad(&text));
        }
        match field("grpc-encoding") {
            None | Some(b"identity") => {}
            Some(b"gzip") => answer.is_compressed = true,
            Some(other) => {
                let other = String::from_utf8_lossy(&other[..other.len().min(100)]);
                let text = format!("the answer is compressed by {other}, which nobody asked for");
                return Err(self.bad(&text));
            }
        }
        Ok(())
    }

    /// The head that ends the answer: trailers, or the only one.
    fn last_head(
        &mut self,
        answer: &mut Answer,
        seen: &mut Seen<'_>,
        text: &[u8],
    ) -> Result<(), Failure> {
        let text = after_line(text);
        let field = |name: &str| fields(text).find(|field| field.is(name)).map(|it| it.value);
        let hit = &mut seen.shot.hit;
        if hit.first_byte_ns == 0 {
            hit.first_byte_ns = answer.head_ns;
        }
        let Some(status) = field("grpc-status") else {
            return Err(self.bad("the answer's trailers have no grpc-status"));
        };
        let Some(status) = Status::of_text(status) else {
            return Err(self.bad("the answer's grpc-status isn't a number"));
        };
        hit.protocol_code = status.http();
        if status != Status::OK {
            let message = field("grpc-message").unwrap_or_default();
            self.show(answer, seen)?;
            return match self.expected.has(status.http()) {
                true => Ok(()),
                false => Err((0, self.texts.status(status, message))),
            };
        }
        if !answer.reader.is_between() {
            return Err(self.bad("the answer ended in the middle of a message"));
        }
        let schema = self.schema.as_deref();
        let method = schema.and_then(|schema| schema.method(answer.method));
        if method.is_some_and(|method| !method.gives_stream) && answer.messages != 1 {
            let text = match answer.messages {
                0 => "the answer has no message, and its status is OK",
                _ => "the answer has several messages, and the method gives one",
            };
            return Err(self.bad(text));
        }
        self.show(answer, seen)
    }

    /// Makes the wanted parts of the answer.
    fn show(&mut self, answer: &mut Answer, seen: &mut Seen<'_>) -> Result<(), Failure> {
        let keep = answer.keep;
        if !keep.head && keep.body_bytes_max == 0 && keep.wire_bytes_max == 0 {
            return Ok(());
        }
        let mut head = std::mem::take(&mut answer.head);
        if answer.messages > 0 {
            let since_ns = |at_ns: u64| at_ns.saturating_sub(seen.shot.hit.started_ns) / 1000;
            let (first, last) = (since_ns(answer.first_ns), since_ns(answer.last_ns));
            let count = answer.messages;
            let line = format!("encarno-messages: {count}; first={first}us; last={last}us\r\n");
            head.extend_from_slice(line.as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        let mut body = Vec::new();
        let schema = self.schema.as_deref();
        let decoded = match schema.and_then(|schema| schema.method(answer.method)) {
            Some(method) if answer.messages > 0 => {
                let bytes_max = self.message_bytes_max as usize;
                method.decode(&answer.bytes, bytes_max, &mut body)
            }
            Some(_) => Ok(()),
            None => {
                body = std::mem::take(&mut answer.bytes);
                Ok(())
            }
        };
        seen.kept.head(seen.shot.hit.protocol_code, &head);
        seen.kept.body(&body);
        seen.kept.wire(&head);
        seen.kept.wire(&body);
        decoded.map_err(|reason| self.bad(&format!("the answer's message: {reason}")))
    }
}

impl Dialect for Answers {
    type Answer = Answer;

    const NO_HTTP2: &'static str =
        "the server doesn't speak HTTP/2 over TLS (ALPN), which gRPC needs";

    fn prepared<'a>(&self, payload: &'a [u8]) -> Option<Prepared<'a>> {
        calls::read(payload).map(|(_, prepared)| prepared)
    }

    fn shown(&self, payload: &[u8]) -> Option<Vec<u8>> {
        let (number, prepared) = calls::read(payload)?;
        let method = self.schema.as_deref()?.method(number)?;
        let mut text = prepared.text();
        text.truncate(text.len() - prepared.body.len());
        method.decode_sent(prepared.body, &mut text).ok()?;
        Some(text)
    }

    fn begin(&mut self, answer: &mut Answer, shot: &Shot) {
        let (head, bytes) = (&mut answer.head, &mut answer.bytes);
        for kept in [&mut *head, &mut *bytes] {
            // The memory of a long answer is freed.
            if kept.capacity() > REUSED_BYTES_MAX {
                *kept = Vec::new();
            }
            kept.clear();
        }
        *answer = Answer {
            keep: shot.keep,
            head: std::mem::take(head),
            bytes: std::mem::take(bytes),
            ..Answer::default()
        };
        if let Payload::Memory(payload) = &shot.payload
            && let Some((number, _)) = calls::read(payload)
        {
            answer.method = number;
        }
    }

    fn take_measured(&mut self) -> Measured {
        self.measured.take()
    }

    fn wants_text(&mut self, _: Keep) -> bool {
        true
    }

    fn head(
        &mut self,
        answer: &mut Answer,
        seen: &mut Seen<'_>,
        head: &Head<'_>,
        ends: bool,
    ) -> Result<(), Failure> {
        if head.kind == HeadKind::Interim {
            return Ok(());
        }
        if answer.head_ns == 0 {
            answer.head_ns = seen.now_ns;
        }
        let keep = answer.keep;
        if keep.head || keep.body_bytes_max > 0 || keep.wire_bytes_max > 0 {
            // Without the empty line at its end: more fields follow.
            let lines = head.text.strip_suffix(b"\r\n").unwrap_or(head.text);
            answer.head.extend_from_slice(lines);
        }
        if head.kind == HeadKind::Final {
            let first = self.first_head(answer, head, seen.shot);
            if first.is_err() {
                seen.shot.hit.first_byte_ns = answer.head_ns;
                first?;
            }
        }
        match ends {
            true => self.last_head(answer, seen, head.text),
            false => Ok(()),
        }
    }

    fn data(
        &mut self,
        answer: &mut Answer,
        seen: &mut Seen<'_>,
        bytes: &[u8],
        ends: bool,
    ) -> Result<(), Failure> {
        let taken = answer
            .reader
            .take(bytes, self.message_bytes_max, answer.is_compressed);
        let taken = taken.map_err(|bad| match bad {
            BadMessage::TooLong(_) => self.bad(&format!(
                "{bad}, and {} are accepted: -O answer-max=N allows more",
                self.message_bytes_max
            )),
            bad => self.bad(&bad.to_string()),
        })?;
        if taken.begun > 0 && seen.shot.hit.first_byte_ns == 0 {
            seen.shot.hit.first_byte_ns = seen.now_ns;
        }
        if taken.whole > 0 {
            self.measure(answer, &seen.shot.hit, taken.whole, seen.now_ns);
            if answer.messages == 0 {
                answer.first_ns = seen.now_ns;
            }
            answer.messages += taken.whole;
            answer.last_ns = seen.now_ns;
        }
        let keep = answer.keep.body_bytes_max.max(answer.keep.wire_bytes_max);
        if keep > 0 {
            let room = keep.min(KEPT_BYTES_MAX).saturating_sub(answer.bytes.len());
            answer
                .bytes
                .extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        match ends {
            true => {
                Err(self.bad("the answer ended without trailers, and so without a grpc-status"))
            }
            false => Ok(()),
        }
    }
}

/// The text without the status line.
fn after_line(text: &[u8]) -> &[u8] {
    match text.starts_with(b"HTTP/") {
        true => memchr::memchr(b'\n', text).map_or(&[][..], |end| &text[end + 1..]),
        false => text,
    }
}
