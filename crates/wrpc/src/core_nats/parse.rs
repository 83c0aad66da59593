//! Parses what a NATS server sends, operation by operation.
//!
//! A server passes on what others publish, with any bytes in subjects and headers. A
//! malformed message of others is only [`Op::Unreadable`]. An error means that the server
//! itself violated the protocol; then the beginning of the next operation isn't known.

use std::ops::Range;

use super::message::VERSION;

/// The longest line, except for `INFO`.
const LINE_BYTES_MAX: usize = 64 << 10;

/// The longest `INFO`, which may name thousands of servers.
const INFO_BYTES_MAX: usize = 1 << 20;

/// The largest message; a larger one is skipped and never held.
pub const MESSAGE_BYTES_MAX: u64 = 64 << 20;

/// The largest length that counts as valid.
const LENGTH_MAX: u64 = u32::MAX as u64;

/// The result of parsing the beginning of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The beginning of an operation, which has at least this many bytes.
    Beginning(usize),
    /// An operation with its length in bytes. The bytes of an unreadable one may not have
    /// arrived yet.
    Op(Op, u64),
}

/// An operation. Ranges refer to the parsed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The introduction of the server, in JSON.
    Info(Range<usize>),
    /// A message for a subscription.
    Message {
        /// The subscription.
        sid: u64,
        /// In UTF-8.
        subject: Range<usize>,
        /// In UTF-8.
        reply: Option<Range<usize>>,
        /// The headers. They begin with the version; the rest isn't checked.
        headers: Option<Range<usize>>,
        /// The payload.
        payload: Range<usize>,
    },
    /// A malformed message, with the reason.
    Unreadable(&'static str),
    /// The server wants a `PONG`.
    Ping,
    /// The answer to a `PING`.
    Pong,
    /// The confirmation that `verbose` asks for.
    Ok,
    /// A refusal by the server, without the quotes around it.
    Err(Range<usize>),
}

/// Parses the operation at the beginning of `bytes`. The error names the violation.
pub fn parse(bytes: &[u8]) -> Result<Found, &'static str> {
    let line_max = match bytes.first_chunk() {
        Some(b"INFO") => INFO_BYTES_MAX,
        _ => LINE_BYTES_MAX,
    };
    let searched = &bytes[..bytes.len().min(line_max)];
    let Some(end) = memchr::memchr(b'\n', searched) else {
        return match bytes.len() < line_max {
            true => Ok(Found::Beginning(bytes.len() + 1)),
            false => Err("a line without an end"),
        };
    };
    let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
    let after = end + 1;
    let (words, count) = words(line);
    let is = |name: &[u8]| bytes[words[0].clone()].eq_ignore_ascii_case(name);
    let op = |op| Ok(Found::Op(op, after as u64));
    if is(b"MSG") {
        message(bytes, after, &words[1..count.clamp(1, WORDS_MAX)], false)
    } else if is(b"HMSG") {
        message(bytes, after, &words[1..count.clamp(1, WORDS_MAX)], true)
    } else if is(b"PING") {
        op(Op::Ping)
    } else if is(b"PONG") {
        op(Op::Pong)
    } else if is(b"INFO") {
        op(Op::Info(words[0].end..line.len()))
    } else if is(b"+OK") {
        op(Op::Ok)
    } else if is(b"-ERR") {
        let text = &line[words[0].end..];
        let is_outside = |byte: &u8| byte.is_ascii_whitespace() || *byte == b'\'';
        let outside = text.iter().take_while(|&byte| is_outside(byte)).count();
        let begin = words[0].end + outside;
        let behind = text[outside..].iter().rev();
        let end = line.len() - behind.take_while(|&byte| is_outside(byte)).count();
        op(Op::Err(begin..end))
    } else {
        Err("an operation that NATS doesn't have")
    }
}

/// The most words of an operation, plus one to detect that there are too many.
const WORDS_MAX: usize = 7;

fn words(line: &[u8]) -> ([Range<usize>; WORDS_MAX], usize) {
    let mut words = [const { 0..0 }; WORDS_MAX];
    let (mut count, mut begin) = (0, None);
    for (at, byte) in line.iter().chain([&b' ']).enumerate() {
        match (byte, begin) {
            (b' ' | b'\t', Some(from)) => {
                // The last word is where a length would be.
                words[count.min(WORDS_MAX - 1)] = from..at;
                count += 1;
                begin = None;
            }
            (b' ' | b'\t', None) | (_, Some(_)) => {}
            (_, None) => begin = Some(at),
        }
    }
    (words, count)
}

/// Parses `subject sid [reply] [length of headers] length`.
fn message(
    bytes: &[u8],
    after: usize,
    words: &[Range<usize>],
    has_headers: bool,
) -> Result<Found, &'static str> {
    let length = words.last().and_then(|word| number(&bytes[word.clone()]));
    let length = length.filter(|&length| length <= LENGTH_MAX);
    let length = length.ok_or("a message without a valid length")?;
    let total = after as u64 + length + 2;
    let unreadable = |reason| Ok(Found::Op(Op::Unreadable(reason), total));
    if length > MESSAGE_BYTES_MAX {
        return unreadable("it is larger than 64 MiB");
    }
    let end = after + length as usize;
    let Some(rest) = bytes.get(end..end + 2) else {
        return Ok(Found::Beginning(end + 2));
    };
    if rest != b"\r\n" {
        return Err("a message longer or shorter than its length says");
    }

    let (subject, sid, between) = match words {
        [subject, sid, between @ .., _] => (subject, sid, between),
        _ => return unreadable("its line has too few words"),
    };
    let (reply, headers) = match (between, has_headers) {
        ([], false) => (None, None),
        ([reply], false) => (Some(reply), None),
        ([headers], true) => (None, Some(headers)),
        ([reply, headers], true) => (Some(reply), Some(headers)),
        _ => return unreadable("its line has too many or too few words"),
    };
    let Some(sid) = number(&bytes[sid.clone()]) else {
        return unreadable("it belongs to no subscription");
    };
    let is_text = |word: &Range<usize>| std::str::from_utf8(&bytes[word.clone()]).is_ok();
    if !is_text(subject) || !reply.is_none_or(is_text) {
        return unreadable("a subject is not UTF-8");
    }
    let mut payload = after;
    let headers = match headers {
        None => None,
        Some(headers) => {
            let headers = number(&bytes[headers.clone()]).filter(|&headers| headers <= length);
            let Some(headers) = headers else {
                return unreadable("its headers are longer than it is");
            };
            payload += headers as usize;
            if !bytes[after..payload].starts_with(VERSION) {
                return unreadable("its headers are of no known version");
            }
            Some(after..payload)
        }
    };
    let message = Op::Message {
        sid,
        subject: subject.clone(),
        reply: reply.cloned(),
        headers,
        payload: payload..end,
    };
    Ok(Found::Op(message, total))
}

/// A number that consists of digits only.
fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() {
        return None;
    }
    word.iter().try_fold(0u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        (digit < 10).then_some(())?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::{Found, MESSAGE_BYTES_MAX, Op, parse};

    /// Subscription, subject, reply, headers, and payload.
    type Parts<'a> = (u64, &'a [u8], Option<&'a [u8]>, Option<&'a [u8]>, &'a [u8]);

    fn message(bytes: &[u8]) -> Parts<'_> {
        match parse(bytes) {
            Ok(Found::Op(
                Op::Message {
                    sid,
                    subject,
                    reply,
                    headers,
                    payload,
                },
                length,
            )) => {
                assert_eq!(length, bytes.len() as u64, "{bytes:?}");
                let reply = reply.map(|reply| &bytes[reply]);
                let headers = headers.map(|headers| &bytes[headers]);
                (sid, &bytes[subject], reply, headers, &bytes[payload])
            }
            other => panic!("{bytes:?}: {other:?}"),
        }
    }

    #[test]
    fn messages() {
        assert_eq!(
            message(b"MSG a.b 1 0\r\n\r\n"),
            (1, &b"a.b"[..], None, None, &b""[..])
        );
        assert_eq!(
            message(b"MSG  a\t23  r.x  5\r\n12\r\n5\r\n"),
            (23, &b"a"[..], Some(&b"r.x"[..]), None, &b"12\r\n5"[..])
        );
        assert_eq!(
            message(b"hmsg a 1 12 14\nNATS/1.0\r\n\r\nxy\r\n"),
            (
                1,
                &b"a"[..],
                None,
                Some(&b"NATS/1.0\r\n\r\n"[..]),
                &b"xy"[..]
            )
        );
        assert_eq!(
            message(b"HMSG a 1 r 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"),
            (
                1,
                &b"a"[..],
                Some(&b"r"[..]),
                Some(&b"NATS/1.0 503\r\n\r\n"[..]),
                &b""[..]
            )
        );
    }

    #[test]
    fn operations() {
        let op = |bytes: &[u8]| match parse(bytes) {
            Ok(Found::Op(op, length)) if length == bytes.len() as u64 => op,
            other => panic!("{bytes:?}: {other:?}"),
        };
        assert_eq!(op(b"PING\r\n"), Op::Ping);
        assert_eq!(op(b"PONG\n"), Op::Pong);
        assert_eq!(op(b"+OK\r\n"), Op::Ok);
        assert_eq!(op(b"-ERR 'Slow Consumer'\r\n"), Op::Err(6..19));
        assert_eq!(op(b"-ERR\r\n"), Op::Err(4..4));
        assert_eq!(op(b"-ERR ''\r\n"), Op::Err(7..7));
        assert_eq!(op(b"INFO {}\r\n"), Op::Info(4..7));
    }

    /// Every beginning of an operation asks for more bytes, but never for too many.
    #[test]
    fn beginnings() {
        for whole in [
            &b"MSG a.b 1 r 5\r\n12345\r\n"[..],
            b"HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nxy\r\n",
            b"INFO {\"a\":1}\r\n",
            b"-ERR 'x'\r\n",
        ] {
            for length in 0..whole.len() {
                match parse(&whole[..length]) {
                    Ok(Found::Beginning(least)) => {
                        assert!(
                            length < least && least <= whole.len(),
                            "{length} of {whole:?}"
                        );
                    }
                    other => panic!("{length} of {whole:?}: {other:?}"),
                }
            }
        }
    }

    /// What peers can cause costs one message at most, and is never held.
    #[test]
    fn what_a_peer_can_cause() {
        for bytes in [
            &b"MSG a.\xff.b 1 0\r\n\r\n"[..],
            b"MSG a 1 r.\xff 2\r\nxy\r\n",
            b"HMSG a 1 10 10\r\nHTTP/1.0\r\n\r\n",
            b"HMSG a 1 0 0\r\n\r\n",
            b"HMSG a 1 50 10\r\nNATS/1.0\r\n\r\n",
            b"HMSG a 1 x 10\r\nNATS/1.0\r\n\r\n",
            b"HMSG a 1 0\r\n\r\n",
            b"MSG a b c d e f g h 0\r\n\r\n",
            b"MSG a x 0\r\n\r\n",
            b"MSG 3\r\nabc\r\n",
        ] {
            match parse(bytes) {
                Ok(Found::Op(Op::Unreadable(_), length)) => {
                    assert_eq!(length, bytes.len() as u64, "{bytes:?}");
                }
                other => panic!("{bytes:?}: {other:?}"),
            }
        }
        let large = format!("MSG a 1 {}\r\n", MESSAGE_BYTES_MAX + 1);
        let length = large.len() as u64 + MESSAGE_BYTES_MAX + 1 + 2;
        match parse(large.as_bytes()) {
            Ok(Found::Op(Op::Unreadable(_), found)) => assert_eq!(found, length),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_a_server_may_not_say() {
        let long = vec![b'M'; 70 << 10];
        for bytes in [
            &b"\r\n"[..],
            b"\0\r\n",
            b"NONSENSE\r\n",
            b"HTTP/1.1 400 Bad Request\r\n",
            b"MSG\r\n",
            b"MSG a 1 -1\r\n",
            b"MSG a 1 18446744073709551615\r\n",
            b"MSG a 1 18446744073709551616\r\n",
            b"MSG a 1 4294967296\r\n",
            b"MSG a 1 3\r\nabcdef\r\n",
            &long,
        ] {
            assert!(parse(bytes).is_err(), "{:?}", parse(bytes));
        }
    }
}
