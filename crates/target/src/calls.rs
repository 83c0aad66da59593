//! The gRPC service of `echo.proto`: its calls and their answers.
//!
//! - descriptor: the descriptor of the service, for reflection

mod descriptor;

use encarno_grpc::reflection::{self, Question, Told};
use encarno_grpc::wire::{Value, fields, write_bytes, write_number};
use encarno_grpc::{Message, PREFIX_BYTES, Status, gunzip, gzip, messages, write};

/// The most bytes of a call that are held, and of an answer at once.
const BYTES_MAX: usize = 16 << 20;
/// The most messages of a stream with pauses.
const TIMES_MAX: u32 = 1_000_000;

/// A call that arrives.
#[derive(Debug)]
pub(super) struct Call {
    method: Method,
    /// Messages that haven't been answered yet.
    bytes: Vec<u8>,
    is_too_long: bool,
    is_compressed: bool,
    /// Whether a head has been sent.
    has_begun: bool,
    /// The last message of a chat.
    last: Words,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Say,
    Repeat,
    Collect,
    Chat,
    Reflection,
    /// The service doesn't have the method.
    Unknown,
}

/// The answer to a call.
#[derive(Clone, Debug, Default)]
pub(super) struct CallReply {
    /// The messages in the form in which they are sent.
    pub(super) bytes: Vec<u8>,
    pub(super) is_compressed: bool,
    pub(super) status: Option<Status>,
    pub(super) text: String,
    /// Messages that follow, one after each pause.
    pub(super) rest: Option<Rest>,
    /// Nothing is sent of it but its end, or a message in the middle.
    pub(super) has_begun: bool,
}

/// The rest of a stream.
#[derive(Clone, Debug)]
pub(super) struct Rest {
    next: i64,
    left: u32,
    pub(super) pause_ns: u64,
    words: Words,
}

/// The service's message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Words {
    text: Vec<u8>,
    number: i64,
    times: u32,
    pause_ms: u32,
    status: u32,
    status_text: String,
}

impl Call {
    /// The call of a request to a path; `None` if the path isn't of this service.
    pub(super) fn of_path(path: &[u8]) -> Option<Box<Self>> {
        let is_reflection = reflection::PATHS
            .iter()
            .any(|known| known.as_bytes() == path);
        let method = match path.strip_prefix(b"/encarno.Echo/") {
            Some(b"Say") => Method::Say,
            Some(b"Repeat") => Method::Repeat,
            Some(b"Collect") => Method::Collect,
            Some(b"Chat") => Method::Chat,
            Some(_) => Method::Unknown,
            None if is_reflection => Method::Reflection,
            None if path.starts_with(b"/grpc.") => Method::Unknown,
            None => return None,
        };
        Some(Box::new(Self {
            method,
            bytes: Vec::new(),
            is_too_long: false,
            is_compressed: false,
            has_begun: false,
            last: Words::default(),
        }))
    }

    /// Whether the call asks about the service, and isn't counted.
    pub(super) fn is_reflection(&self) -> bool {
        self.method == Method::Reflection
    }

    /// Takes bytes of the call. In a stream in both directions, it returns the answer to send at
    /// once.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<CallReply> {
        if self.bytes.len() + bytes.len() > BYTES_MAX {
            self.is_too_long = true;
            self.bytes = Vec::new();
        }
        if self.is_too_long {
            return None;
        }
        self.bytes.extend_from_slice(bytes);
        if !matches!(self.method, Method::Chat | Method::Reflection) {
            return None;
        }
        let mut out = Vec::new();
        let mut used = 0;
        for message in messages(&self.bytes) {
            used += PREFIX_BYTES + message.bytes.len();
            self.is_compressed |= message.is_compressed;
            let Some(bytes) = unpacked(message) else {
                continue;
            };
            if self.method == Method::Reflection {
                let told = told(&bytes).to_bytes(&bytes);
                write(&told, false, &mut out);
                continue;
            }
            self.last = Words::of_bytes(&bytes).unwrap_or_default();
            if self.last.status == 0 {
                self.last
                    .answer(self.last.number)
                    .write(self.is_compressed, &mut out);
            }
        }
        self.bytes.drain(..used);
        (!out.is_empty()).then(|| CallReply {
            bytes: out,
            is_compressed: self.is_compressed,
            has_begun: std::mem::replace(&mut self.has_begun, true),
            ..CallReply::default()
        })
    }

    /// The number of the last message.
    pub(super) fn sequence(&self) -> Option<u64> {
        let last = match self.method {
            Method::Chat => self.last.clone(),
            _ => self.words().pop()?,
        };
        u64::try_from(last.number).ok().filter(|&number| number > 0)
    }

    fn words(&self) -> Vec<Words> {
        let words = messages(&self.bytes).map(|message| {
            let bytes = unpacked(message)?;
            Words::of_bytes(&bytes)
        });
        words.map(Option::unwrap_or_default).collect()
    }

    /// The answer to the complete call.
    pub(super) fn reply(&self) -> CallReply {
        let end = |status: Status, text: &str| CallReply {
            status: Some(status),
            text: text.to_owned(),
            has_begun: self.has_begun,
            ..CallReply::default()
        };
        if self.is_too_long {
            return end(
                Status::RESOURCE_EXHAUSTED,
                "the call's messages are too long",
            );
        }
        let is_compressed = messages(&self.bytes).any(|message| message.is_compressed);
        let is_bad = messages(&self.bytes)
            .any(|message| unpacked(message).is_none_or(|bytes| Words::of_bytes(&bytes).is_none()));
        if is_bad {
            return end(
                Status::INVALID_ARGUMENT,
                "a message that isn't encarno.Words",
            );
        }
        let mut all = self.words();
        let last = match self.method {
            Method::Reflection => return end(Status::OK, ""),
            Method::Unknown => {
                let text =
                    "there is no such method: encarno.Echo has Say, Repeat, Collect and Chat";
                return end(Status::UNIMPLEMENTED, text);
            }
            Method::Chat => self.last.clone(),
            Method::Say | Method::Repeat if all.len() != 1 => {
                return end(Status::INVALID_ARGUMENT, "the method takes one message");
            }
            Method::Collect if all.is_empty() => Words::default(),
            _ => all.last().cloned().unwrap_or_default(),
        };
        if let Some(status) = Some(last.status).filter(|&status| status != 0) {
            let status = Status::of(status).unwrap_or(Status::UNKNOWN);
            return end(status, &last.status_text);
        }
        let mut reply = CallReply {
            is_compressed,
            ..end(Status::OK, "")
        };
        match self.method {
            Method::Say => last
                .answer(last.number)
                .write(is_compressed, &mut reply.bytes),
            Method::Collect => {
                let texts: Vec<_> = all.drain(..).map(|words| words.text).collect();
                let words = Words {
                    text: texts.concat(),
                    ..last.answer(last.number)
                };
                words.write(is_compressed, &mut reply.bytes);
            }
            Method::Repeat => {
                let times = last.times.max(1);
                let all_bytes = (last.text.len() + 32).saturating_mul(times as usize);
                if times > TIMES_MAX || last.pause_ms == 0 && all_bytes > BYTES_MAX {
                    return end(
                        Status::RESOURCE_EXHAUSTED,
                        "too many messages, or too long ones",
                    );
                }
                let mut rest = Rest {
                    next: 1,
                    left: times,
                    pause_ns: u64::from(last.pause_ms) * 1_000_000,
                    words: last,
                };
                let now = if rest.pause_ns == 0 { times } else { 1 };
                rest.take(now, is_compressed, &mut reply.bytes);
                if rest.left > 0 {
                    reply.rest = Some(rest);
                }
            }
            Method::Chat | Method::Reflection | Method::Unknown => {}
        }
        reply
    }
}

impl CallReply {
    /// The length of the next pause, and the message after it.
    pub(super) fn next(&self) -> Option<(u64, Self)> {
        let mut rest = self.rest.clone()?;
        let mut bytes = Vec::new();
        rest.take(1, self.is_compressed, &mut bytes);
        let pause_ns = rest.pause_ns;
        let next = Self {
            bytes,
            rest: (rest.left > 0).then_some(rest),
            has_begun: true,
            is_compressed: self.is_compressed,
            status: self.status,
            text: self.text.clone(),
        };
        Some((pause_ns, next))
    }

    /// The answer to a call that isn't processed.
    pub(super) fn refused(status: Status, text: &str) -> Self {
        Self {
            status: Some(status),
            text: text.to_owned(),
            ..Self::default()
        }
    }
}

impl Rest {
    fn take(&mut self, count: u32, is_compressed: bool, out: &mut Vec<u8>) {
        for _ in 0..count {
            self.words.answer(self.next).write(is_compressed, out);
            self.next += 1;
            self.left -= 1;
        }
    }
}

impl Words {
    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = Self::default();
        for field in fields(bytes) {
            match field.ok()? {
                (1, Value::Bytes(text)) => words.text = text.to_vec(),
                (2, Value::Number(number)) => words.number = number as i64,
                (3, Value::Number(times)) => words.times = times as u32,
                (4, Value::Number(pause_ms)) => words.pause_ms = pause_ms as u32,
                (5, Value::Number(status)) => words.status = status as u32,
                (6, Value::Bytes(text)) => {
                    words.status_text = String::from_utf8_lossy(text).into_owned();
                }
                _ => {}
            }
        }
        Some(words)
    }

    fn answer(&self, number: i64) -> Self {
        Self {
            text: self.text.clone(),
            number,
            ..Self::default()
        }
    }

    fn write(&self, is_compressed: bool, out: &mut Vec<u8>) {
        let mut bytes = Vec::with_capacity(self.text.len() + 16);
        if !self.text.is_empty() {
            write_bytes(1, &self.text, &mut bytes);
        }
        write_number(2, self.number as u64, &mut bytes);
        match is_compressed {
            true => write(&gzip(&bytes), true, out),
            false => write(&bytes, false, out),
        }
    }
}

fn unpacked(message: Message<'_>) -> Option<std::borrow::Cow<'_, [u8]>> {
    match message.is_compressed {
        false => Some(message.bytes.into()),
        true => gunzip(message.bytes, BYTES_MAX).ok().map(Into::into),
    }
}

/// The answer to a question about the service.
fn told(question: &[u8]) -> Told {
    match Question::of_bytes(question) {
        Ok(Some(Question::Services)) => Told::Services(vec![
            "encarno.Echo".to_owned(),
            "grpc.reflection.v1.ServerReflection".to_owned(),
        ]),
        Ok(Some(Question::FileOf(symbol))) if symbol.starts_with("encarno.") => {
            Told::Files(vec![descriptor::file()])
        }
        Ok(Some(Question::File(name))) if name == descriptor::NAME => {
            Told::Files(vec![descriptor::file()])
        }
        _ => Told::Error("there is encarno.Echo, in echo.proto".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use encarno_grpc::{Status, messages, write};

    use super::{Call, Words};

    fn call(path: &[u8], words: &Words) -> Box<Call> {
        let mut call = Call::of_path(path).expect("a call");
        let mut bytes = Vec::new();
        words.write(false, &mut bytes);
        call.take(&bytes);
        call
    }

    #[test]
    fn a_stream_with_pauses_comes_in_pieces() {
        let words = Words {
            text: b"a".to_vec(),
            number: 7,
            times: 3,
            ..Words::default()
        };
        let mut bytes = Vec::new();
        let mut message = Vec::new();
        super::write_bytes(1, b"a", &mut message);
        super::write_number(3, 3, &mut message);
        super::write_number(4, 5, &mut message);
        write(&message, false, &mut bytes);
        let mut paused = Call::of_path(b"/encarno.Echo/Repeat").expect("a call");
        paused.take(&bytes);
        let mut reply = paused.reply();
        let mut count = messages(&reply.bytes).count();
        while let Some((pause_ns, next)) = reply.next() {
            assert_eq!(pause_ns, 5_000_000);
            count += messages(&next.bytes).count();
            reply = next;
        }
        assert_eq!(count, 3);
        let said = call(b"/encarno.Echo/Say", &words);
        assert_eq!(said.sequence(), Some(7));
        assert_eq!(said.reply().status, Some(Status::OK));
        let unknown = call(b"/encarno.Echo/Sing", &words);
        assert_eq!(unknown.reply().status, Some(Status::UNIMPLEMENTED));
        assert!(Call::of_path(b"/other").is_none());
    }
}
