//! The messages of a connection that many calls share.
//!
//! Each side opens with [`PREFACE`], and messages follow:
//!
//! ```text
//! length u32 | kind u8 | call u64 | payload        little-endian; length is that of the payload
//! ```

use bytes::{Buf as _, Bytes, BytesMut};

use super::frames::violation;
use crate::Error;
use crate::outbox::Outbox;
use crate::streams::{Streams, Which};

/// The preface. Its first byte is no version of upstream's protocol, so upstream closes
/// the connection. Its last byte is the version.
pub(super) const PREFACE: &[u8; 9] = b"\xffencarno\x02";

/// The longest payload.
pub(super) const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// The largest piece of parameters or results, so that other messages can go between
/// pieces.
pub(super) const CHUNK_BYTES_MAX: usize = 256 << 10;
/// The bytes before a payload.
pub(super) const HEAD_BYTES: usize = 13;

/// The kind of a message. The caller sends the first four, with a number that it has not
/// used before. Both ends send the last three. The receiver sends the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// Instance, function, and all parameters.
    Call = 1,
    /// Instance, function, and the beginning of the parameters. The rest follows when the
    /// call was accepted.
    CallBegins = 2,
    /// More parameters; an empty payload is the end.
    Params = 3,
    /// The caller doesn't want the result any more.
    Cancel = 4,
    /// The call runs, or waits to run.
    Accepted = 5,
    /// More results.
    Results = 6,
    /// The last results, which may be empty. The call has succeeded.
    End = 7,
    /// A code and a sentence. The call has failed.
    Error = 8,
    /// The receiver takes no more calls. The call number is 0.
    GoAway = 9,
    /// More of the body of a request or response: chunks with their lengths, split
    /// anywhere. The body of a response comes after `End`, and `Error` may end it.
    Body = 10,
    /// More of the trailers, which come after the body.
    Trailers = 11,
    /// The number of further bytes of the body that may be sent, as a u64. The first
    /// window is [`WINDOW_BYTES`](crate::streams::WINDOW_BYTES).
    Window = 12,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Call,
            2 => Self::CallBegins,
            3 => Self::Params,
            4 => Self::Cancel,
            5 => Self::Accepted,
            6 => Self::Results,
            7 => Self::End,
            8 => Self::Error,
            9 => Self::GoAway,
            10 => Self::Body,
            11 => Self::Trailers,
            12 => Self::Window,
            _ => return None,
        })
    }
}

impl From<Which> for Kind {
    fn from(which: Which) -> Self {
        match which {
            Which::Body => Self::Body,
            Which::Trailers => Self::Trailers,
        }
    }
}

/// Hands a message to the streams, if it belongs to them.
pub(super) fn deliver(streams: Option<&mut Streams>, message: Message) -> Result<(), Error> {
    let Some(streams) = streams else {
        let text = format!("{:?} for a call without streams", message.kind);
        return Err(violation(text));
    };
    match message.kind {
        Kind::Body => streams.push(Which::Body, message.payload),
        Kind::Trailers => streams.push(Which::Trailers, message.payload),
        Kind::Window => match <[u8; 8]>::try_from(&message.payload[..]) {
            Ok(more) => streams.grow_window(u64::from_le_bytes(more)),
            Err(_) => return Err(violation("a window that isn't a number")),
        },
        kind => return Err(violation(format!("{kind:?} as a part of a stream"))),
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: Kind,
    pub(super) call: u64,
    pub(super) payload: Bytes,
}

/// Puts a message whose payload is `beginning`, followed by `rest`.
pub(super) fn put(out: &mut Outbox, kind: Kind, call: u64, beginning: &[u8], rest: Bytes) {
    let length = beginning.len() + rest.len();
    out.put(&head(length as u32, kind as u8, call));
    out.put(beginning);
    out.put_bytes(rest);
}

/// The head of a message with a payload of this length.
pub(super) fn head(length: u32, kind: u8, call: u64) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4] = kind;
    head[5..].copy_from_slice(&call.to_le_bytes());
    head
}

/// The message at the beginning of `inbox`: its kind, its call, and its length in bytes;
/// `None` if its head is incomplete.
pub(super) fn begun(inbox: &BytesMut) -> Option<(Kind, u64, usize)> {
    let (head, _) = inbox.split_first_chunk::<HEAD_BYTES>()?;
    let [a, b, c, d, kind, call @ ..] = *head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    Some((
        Kind::of(kind)?,
        u64::from_le_bytes(call),
        HEAD_BYTES + length,
    ))
}

/// Takes the next message; `None` while it is incomplete.
pub(super) fn take(inbox: &mut BytesMut) -> Result<Option<Message>, Error> {
    let Some((head, _)) = inbox.split_first_chunk::<HEAD_BYTES>() else {
        return Ok(None);
    };
    let [a, b, c, d, kind, call @ ..] = *head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let call = u64::from_le_bytes(call);
    if length > PAYLOAD_BYTES_MAX {
        return Err(violation(format!("a message of {length} bytes")));
    }
    let Some(kind) = Kind::of(kind) else {
        return Err(violation(format!("a message of unknown kind {kind}")));
    };
    if inbox.len() < HEAD_BYTES + length {
        inbox.reserve(HEAD_BYTES + length - inbox.len());
        return Ok(None);
    }
    inbox.advance(HEAD_BYTES);
    let payload = inbox.split_to(length).freeze();
    Ok(Some(Message {
        kind,
        call,
        payload,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_known_message() {
        let bytes = [5, 0, 0, 0, 7, 2, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 9];
        let mut inbox = BytesMut::from(&bytes[..]);
        let message = Message {
            kind: Kind::End,
            call: 258,
            payload: Bytes::from_static(&[1, 2, 3, 4, 5]),
        };
        assert_eq!(take(&mut inbox), Ok(Some(message)));
        assert_eq!(take(&mut inbox), Ok(None));
        assert_eq!(&inbox[..], [9]);
    }

    #[test]
    fn messages_that_are_refused() {
        for bytes in [
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 0, 0, 13, 0, 0, 0, 0, 0, 0, 0, 0],
            [1, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            [255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert!(take(&mut BytesMut::from(&bytes[..])).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_messages_or_an_error(bytes in prop::collection::vec(0u8..20, 0..200)) {
            let mut inbox = BytesMut::from(&bytes[..]);
            while let Ok(Some(message)) = take(&mut inbox) {
                prop_assert!(message.payload.len() <= PAYLOAD_BYTES_MAX);
            }
        }
    }
}
