//! RESP, the protocol of Redis: a record is a command such as `SET key value`.

use std::cell::{Cell, RefCell};

wit_bindgen::generate!({ path: "../../../wit/nib", world: "nib" });
use exports::encarno::nib::protocol::{Guest, GuestConnection, Need, Step, Traits, Turn};

struct Resp;

/// An answer is a tree of values.
#[derive(Default)]
struct Answer {
    /// Values of it that are still to come; 0 between answers.
    values: Cell<u64>,
    /// A text of known length comes next.
    text: Cell<bool>,
    error: RefCell<Option<String>>,
}

impl Guest for Resp {
    type Connection = Answer;

    fn configure(_settings: String) -> Result<Traits, String> {
        Ok(Traits {
            name: "resp".into(),
            streams: 1024,
            starts_itself: true,
            sees_payload: false,
            need: Need::Until(b"\r\n".into()),
        })
    }

    /// The words of a command, as an array of texts.
    fn prepare(entry: Vec<u8>) -> Result<Vec<u8>, String> {
        let words = entry.split(u8::is_ascii_whitespace);
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            return Err("a command has at least one word".into());
        }
        let mut command = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            command.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            command.extend_from_slice(word);
            command.extend_from_slice(b"\r\n");
        }
        Ok(command)
    }
}

impl Answer {
    /// A value of the answer has come whole, and brings others with it.
    fn value(&self, others: u64) -> Turn {
        let left = self.values.get().max(1).saturating_add(others) - 1;
        self.values.set(left);
        match (left, self.error.take()) {
            (0, None) => Turn::Done(0),
            (0, Some(error)) => Turn::Failed(error),
            (_, error) => {
                self.error.replace(error);
                Turn::More
            }
        }
    }
}

impl GuestConnection for Answer {
    fn new(_worker: u32) -> Self {
        Self::default()
    }

    fn data(&self, bytes: Vec<u8>) -> Turn {
        if self.text.take() {
            return self.value(0);
        }
        let line = bytes.strip_suffix(b"\r\n").unwrap_or(&bytes);
        let Some((&kind, line)) = line.split_first() else {
            return close();
        };
        let line = String::from_utf8_lossy(line);
        let count = line.parse::<i64>().unwrap_or(i64::MIN);
        match (kind, count) {
            (b'+' | b':' | b'_' | b'#' | b',' | b'(', _) => self.value(0),
            (b'$' | b'=' | b'*', -1) => self.value(0),
            (b'$' | b'=' | b'!', 0..=0x2000_0000) => {
                self.text.set(true);
                let need = Some(Need::Exactly(count as u32 + 2));
                Turn::Step(Step { need, ..nothing() })
            }
            (b'*' | b'~' | b'>', 0..=0x100_0000) => self.value(count as u64),
            (b'%', 0..=0x100_0000) => self.value(2 * count as u64),
            (b'-', _) => {
                // The first word says what it is; the rest differs from hit to hit.
                let kind = line.split(' ').next().map(str::to_owned);
                self.error.replace(kind);
                self.value(0)
            }
            // That isn't RESP.
            _ => close(),
        }
    }

    fn opened(&self, _now_ns: u64) -> Turn {
        Turn::More
    }

    fn start(&self, _hit: u32, _prepared: Vec<u8>) -> Turn {
        Turn::More
    }

    fn woken(&self, _now_ns: u64) -> Turn {
        Turn::More
    }

    fn closed(&self) -> Turn {
        Turn::More
    }
}

fn close() -> Turn {
    Turn::Step(Step {
        close: true,
        ..nothing()
    })
}

fn nothing() -> Step {
    Step {
        send: vec![],
        payload: None,
        need: None,
        ended: vec![],
        wake_at_ns: 0,
        hold: false,
        close: false,
    }
}

export!(Resp);
