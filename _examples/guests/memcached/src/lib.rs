//! The text protocol of memcached: a record is a command, and behind it what it stores, as in
//! `get key` and `set key 0 60 some text`. It shows a nib that starts hits itself.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

wit_bindgen::generate!({ path: "../../../wit/nib", world: "nib" });
use exports::encarno::nib::protocol::{Guest, GuestConnection, Need, Outcome, Step, Traits, Turn};

struct Memcached;

#[derive(Default)]
struct Connection {
    /// Hits whose answers are still to come, in the order of their commands.
    hits: RefCell<VecDeque<u32>>,
    /// A value comes next.
    value: Cell<bool>,
    /// A value has come.
    found: Cell<bool>,
}

impl Guest for Memcached {
    type Connection = Connection;

    fn configure(_settings: String) -> Result<Traits, String> {
        Ok(Traits {
            name: "memcached".into(),
            streams: 1024,
            starts_itself: false,
            sees_payload: false,
            need: Need::Until(b"\r\n".into()),
        })
    }

    fn prepare(entry: Vec<u8>) -> Result<Vec<u8>, String> {
        let text = String::from_utf8(entry).map_err(|_| "the record isn't text")?;
        let words: Vec<_> = text.trim_end().splitn(5, ' ').collect();
        match *words.as_slice() {
            [
                command @ ("set" | "add" | "replace" | "append" | "prepend"),
                key,
                flags,
                expires,
                value,
            ] => {
                let length = value.len();
                Ok(
                    format!("{command} {key} {flags} {expires} {length}\r\n{value}\r\n")
                        .into_bytes(),
                )
            }
            ["set" | "add" | "replace" | "append" | "prepend", ..] => {
                Err("write COMMAND KEY FLAGS EXPIRES VALUE".into())
            }
            [
                "get" | "gets" | "delete" | "incr" | "decr" | "touch" | "version",
                ..,
            ] => Ok(format!("{}\r\n", text.trim_end()).into_bytes()),
            _ => Err("that command isn't known here".into()),
        }
    }
}

impl Connection {
    /// The oldest hit ends, with a status as HTTP has them.
    fn end(&self, status: u16, error: Option<&str>) -> Turn {
        self.found.set(false);
        let Some(hit) = self.hits.borrow_mut().pop_front() else {
            return Turn::Step(Step {
                close: true,
                ..nothing()
            });
        };
        let error = error.map(str::to_owned);
        let ended = vec![Outcome { hit, status, error }];
        Turn::Step(Step { ended, ..nothing() })
    }
}

impl GuestConnection for Connection {
    fn new(_worker: u32) -> Self {
        Self::default()
    }

    fn opened(&self, _now_ns: u64) -> Turn {
        Turn::More
    }

    fn start(&self, hit: u32, _prepared: Vec<u8>) -> Turn {
        self.hits.borrow_mut().push_back(hit);
        Turn::Step(Step {
            payload: Some(hit),
            ..nothing()
        })
    }

    fn data(&self, bytes: Vec<u8>) -> Turn {
        if self.value.take() {
            return Turn::More;
        }
        let line = String::from_utf8_lossy(&bytes);
        let words: Vec<_> = line.trim_end().split(' ').collect();
        match *words.as_slice() {
            ["VALUE", _key, _flags, length, ..] => match length.parse::<u32>() {
                Ok(length @ 0..=0x800_0000) => {
                    self.value.set(true);
                    self.found.set(true);
                    let need = Some(Need::Exactly(length + 2));
                    Turn::Step(Step { need, ..nothing() })
                }
                _ => Turn::Step(Step {
                    close: true,
                    ..nothing()
                }),
            },
            ["END"] if self.found.get() => self.end(200, None),
            ["END"] => self.end(404, None),
            ["STORED" | "DELETED" | "TOUCHED" | "OK"] | ["VERSION", ..] => self.end(200, None),
            ["NOT_STORED" | "EXISTS"] => self.end(409, None),
            ["NOT_FOUND"] => self.end(404, None),
            ["ERROR"] | ["CLIENT_ERROR", ..] => {
                self.end(400, Some("the server calls the command wrong"))
            }
            ["SERVER_ERROR", ..] => self.end(500, Some("the server failed")),
            [number] if number.parse::<u64>().is_ok() => self.end(200, None),
            // That isn't memcached.
            _ => Turn::Step(Step {
                close: true,
                ..nothing()
            }),
        }
    }

    fn woken(&self, _now_ns: u64) -> Turn {
        Turn::More
    }

    fn closed(&self) -> Turn {
        Turn::More
    }
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

export!(Memcached);
