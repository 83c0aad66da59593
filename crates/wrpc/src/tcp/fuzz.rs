//! The entry points of fuzz targets, and of tests and storms that write the protocol by
//! hand.

use bytes::{Bytes, BytesMut};

use super::frames::{Decoder, Event, take_header};
use super::messages::{self, HEAD_BYTES, PAYLOAD_BYTES_MAX};
use crate::Error;

/// The preface of a connection that calls share, for either side.
pub const PREFACE: &[u8] = messages::PREFACE;

/// A message of any kind on such a connection.
pub fn message(kind: u8, call: u64, payload: &[u8]) -> Vec<u8> {
    let head = messages::head(payload.len() as u32, kind, call);
    [&head[..], payload].concat()
}

/// The most bytes that a decoder may hold: heads and errors are both shorter.
const HELD_BYTES_MAX: usize = 4 << 10;

/// Checks the frames of a call on its own connection: their content is the same however
/// the bytes arrive, and few bytes are held.
pub fn frames(bytes: &[u8]) {
    let whole = events(bytes, bytes.len().max(1));
    for piece in [1, 3, 16] {
        assert_eq!(events(bytes, piece).0, whole.0, "in pieces of {piece}");
    }
}

/// The header, the events, and the error that ends them. Adjacent data are joined.
fn events(bytes: &[u8], piece: usize) -> ((Option<Bytes>, Vec<Event>), Option<Error>) {
    let (mut header, mut found) = (None, Vec::<Event>::new());
    let (mut inbox, mut decoder) = (BytesMut::new(), Decoder::default());
    for piece in bytes.chunks(piece) {
        inbox.extend_from_slice(piece);
        if header.is_none() {
            match take_header(&mut inbox) {
                Ok(None) => continue,
                Ok(taken) => header = taken,
                Err(error) => return ((None, found), Some(error)),
            }
        }
        loop {
            match (decoder.next(&mut inbox), found.last_mut()) {
                (Ok(None), _) => break,
                (Ok(Some(Event::Data(data))), Some(Event::Data(before))) => {
                    *before = [&before[..], &data[..]].concat().into();
                }
                (Ok(Some(event)), _) => found.push(event),
                (Err(error), _) => return ((header, found), Some(error)),
            }
        }
        assert!(
            inbox.len() <= HELD_BYTES_MAX,
            "{} bytes are held",
            inbox.len()
        );
    }
    ((header, found), None)
}

/// Checks the messages of a shared connection: they are the same however the bytes
/// arrive, and no more memory is reserved than a message may have.
pub fn messages(bytes: &[u8]) {
    let whole = taken(bytes, bytes.len().max(1));
    for piece in [1, 3, 16] {
        assert_eq!(taken(bytes, piece), whole, "in pieces of {piece}");
    }
}

fn taken(bytes: &[u8], piece: usize) -> (Vec<messages::Message>, Option<Error>) {
    let (mut inbox, mut found) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        inbox.extend_from_slice(piece);
        loop {
            let begun = messages::begun(&inbox).is_some();
            match messages::take(&mut inbox) {
                Ok(Some(message)) => {
                    assert!(begun && message.payload.len() <= PAYLOAD_BYTES_MAX);
                    found.push(message);
                }
                Ok(None) => break,
                Err(error) => return (found, Some(error)),
            }
        }
        assert!(inbox.capacity() <= 2 * (HEAD_BYTES + PAYLOAD_BYTES_MAX) + bytes.len());
    }
    (found, None)
}
