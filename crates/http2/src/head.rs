//! Checks a head as its fields arrive (RFC 9113, 8).

use crate::Role;
use crate::hpack::{Class, Field};

/// The kind of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// A response's status is 1xx: another head follows.
    Interim,
    /// The head of the message.
    Final,
    /// Fields after the body.
    Trailers,
}

/// A complete head.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// What it is.
    pub kind: HeadKind,
    /// The status of a response.
    pub status: u16,
    /// Whether a request is HEAD.
    pub is_head: bool,
    /// The path of a request; empty if it has none.
    pub path: &'a [u8],
    /// The head as HTTP/1 text, if it was wanted: a status line, fields, an empty line.
    /// Trailers have no status line.
    pub text: &'a [u8],
    /// Bytes on the wire.
    pub wire_bytes: usize,
}

/// Why a head is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHead {
    /// It breaks this rule.
    Malformed(&'static str),
    /// It is too long.
    TooLong,
}

/// The size of a field in addition to its text, so that empty fields count too.
const FIELD_BYTES: usize = 32;

/// A head that is being read. HTTP/2 and HTTP/3 have the same rules for it.
#[derive(Debug)]
pub struct HeadReader {
    /// The beginning of a response's text.
    version: &'static str,
    /// The status of a response.
    pub status: u16,
    /// Whether a request is HEAD.
    pub is_head: bool,
    /// The path of a request.
    pub path: Vec<u8>,
    /// The head as HTTP/1 text, as far as it was wanted.
    pub text: Vec<u8>,
    /// The length of the body, if the head has it.
    pub body_bytes: Option<u64>,
    bytes: usize,
    seen: u8,
    is_connect: bool,
    /// Whether a field that isn't a pseudo-field has come.
    regular: bool,
    bad: Option<BadHead>,
}

impl HeadReader {
    /// A reader of heads of this version, such as `HTTP/2`.
    pub fn new(version: &'static str) -> Self {
        Self {
            version,
            status: 0,
            is_head: false,
            path: Vec::new(),
            text: Vec::new(),
            body_bytes: None,
            bytes: 0,
            seen: 0,
            is_connect: false,
            regular: false,
            bad: None,
        }
    }

    /// Begins another head.
    pub fn begin(&mut self) {
        self.status = 0;
        self.is_head = false;
        self.path.clear();
        self.text.clear();
        self.body_bytes = None;
        self.bytes = 0;
        self.seen = 0;
        self.is_connect = false;
        self.regular = false;
        self.bad = None;
    }

    /// Takes the next field, with `wants_text` also as text.
    #[inline]
    pub fn take(&mut self, field: Field<'_>, role: Role, bytes_max: usize, wants_text: bool) {
        self.bytes += field.name.len() + field.value.len() + FIELD_BYTES;
        if self.bytes > bytes_max {
            self.bad = self.bad.or(Some(BadHead::TooLong));
        }
        if self.bad.is_some() {
            return;
        }
        match field.class {
            Class::Plain => self.regular = true,
            Class::ContentLength => {
                self.regular = true;
                let length = length(field.value);
                if length.is_none() || self.body_bytes.is_some_and(|other| Some(other) != length) {
                    return self.is_bad("content-length isn't a number, or contradicts itself");
                }
                self.body_bytes = length;
            }
            Class::Te => {
                self.regular = true;
                if field.value != b"trailers" {
                    return self.is_bad("a field `te` that doesn't say `trailers`");
                }
            }
            Class::Connection => return self.is_bad("a field of HTTP/1 connections"),
            Class::Bad => return self.is_bad("a field's name with upper case or no name at all"),
            class => return self.pseudo(class, field.value, role, wants_text),
        }
        if wants_text {
            if field
                .value
                .iter()
                .any(|byte| matches!(byte, b'\r' | b'\n' | 0))
            {
                return self.is_bad("a field's value has a line end or a null in it");
            }
            for part in [field.name, b": ", field.value, &b"\r\n"[..]] {
                self.text.extend_from_slice(part);
            }
        }
    }

    fn pseudo(&mut self, class: Class, value: &[u8], role: Role, wants_text: bool) {
        let bit = match (role, class) {
            (Role::Client, Class::Status) => 1,
            (Role::Server, Class::Method) => 2,
            (Role::Server, Class::Scheme) => 4,
            (Role::Server, Class::Authority) => 8,
            (Role::Server, Class::Path) => 16,
            _ => return self.is_bad("a pseudo-field that doesn't belong there"),
        };
        if self.regular || self.seen & bit != 0 {
            return self.is_bad("a pseudo-field that is repeated, or stands after others");
        }
        self.seen |= bit;
        match class {
            Class::Status => {
                let [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = value else {
                    return self.is_bad("a status that isn't a number of three digits");
                };
                let digit = |byte: &u8| u16::from(byte - b'0');
                self.status = 100 * digit(a) + 10 * digit(b) + digit(c);
                if wants_text {
                    for part in [self.version.as_bytes(), b" ", value, b"\r\n"] {
                        self.text.extend_from_slice(part);
                    }
                }
            }
            Class::Method => {
                self.is_head = value == b"HEAD";
                self.is_connect = value == b"CONNECT";
            }
            Class::Path if value.is_empty() => self.is_bad("an empty path"),
            Class::Path => self.path.extend_from_slice(value),
            _ => {}
        }
    }

    fn is_bad(&mut self, text: &'static str) {
        self.bad = self.bad.or(Some(BadHead::Malformed(text)));
    }

    /// Ends the head. `follows` means that it comes after the head of the message.
    pub fn end(&mut self, role: Role, follows: bool, ends: bool) -> Result<HeadKind, BadHead> {
        if let Some(bad) = self.bad {
            return Err(bad);
        }
        self.text.extend_from_slice(b"\r\n");
        let malformed = |text| Err(BadHead::Malformed(text));
        if follows {
            return match (self.seen, ends) {
                (0, true) => Ok(HeadKind::Trailers),
                (0, false) => malformed("a second head that isn't the end of its message"),
                _ => malformed("a pseudo-field in trailers"),
            };
        }
        match role {
            Role::Client if self.seen == 0 => malformed("a head without a status"),
            Role::Client if (100..200).contains(&self.status) => match ends {
                true => malformed("an interim head at the end of a message"),
                false => Ok(HeadKind::Interim),
            },
            Role::Client => Ok(HeadKind::Final),
            Role::Server if self.is_connect && self.seen == 2 | 8 => Ok(HeadKind::Final),
            Role::Server if !self.is_connect && self.seen & !8 == 2 | 4 | 16 => Ok(HeadKind::Final),
            Role::Server => malformed("a request without method, scheme or path"),
        }
    }
}

fn length(value: &[u8]) -> Option<u64> {
    let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| is_number)?;
    text.parse().ok()
}
