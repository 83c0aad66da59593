//! The bytes on the streams of an HTTP/3 connection, from either side.

use std::collections::{BTreeMap, BTreeSet};

use encarno_http2::{Head, Role};
use encarno_http3::{Connection, Handler, Limits, Reset};

const LIMITS: Limits = Limits {
    head_bytes_max: 4 << 10,
};
/// The streams of requests.
const STREAMS: u32 = 4;

/// All events of a connection, by stream. Data that come one after the other are one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    events: BTreeMap<u32, Vec<(String, Vec<u8>)>>,
    /// The error that ends the connection.
    error: Option<String>,
    streams: usize,
}

impl Told {
    fn add(&mut self, stream: u32, what: String, bytes: &[u8]) {
        let events = self.events.entry(stream).or_default();
        match events.last_mut() {
            Some((last, data)) if what == "data" && last == "data" => data.extend(bytes),
            _ => events.push((what, bytes.to_vec())),
        }
    }
}

impl Handler<u32> for Told {
    fn wants_text(&mut self, user: &u32) -> bool {
        user.is_multiple_of(2)
    }

    fn head(&mut self, stream: u32, user: &mut u32, head: &Head<'_>) {
        assert_eq!(stream, *user, "each head comes to its stream");
        assert!(head.text.len() <= LIMITS.head_bytes_max * 2);
        super::assert_lines(head.text);
        self.add(
            stream,
            format!("{:?} {}", head.kind, head.status),
            head.text,
        );
    }

    fn data(&mut self, stream: u32, user: &mut u32, bytes: &[u8], _: usize) {
        assert_eq!(stream, *user, "each body comes to its stream");
        if !bytes.is_empty() {
            self.add(stream, "data".to_owned(), bytes);
        }
    }

    fn end(&mut self, stream: u32, user: u32) {
        assert_eq!(stream, user, "each end comes to its stream");
        self.add(stream, "end".to_owned(), b"");
    }

    fn reset(&mut self, stream: u32, user: u32, why: Reset) {
        assert_eq!(stream, user, "each reset comes to its stream");
        self.add(stream, format!("{why:?}"), b"");
    }
}

/// Each piece of the input is for a stream: a byte that chooses the stream and whether it
/// ends, a length, and that many bytes.
fn received(role: Role, input: &[u8], piece_bytes: usize) -> Told {
    let mut connection = Connection::new(role, LIMITS);
    let mut told = Told::default();
    let mut unwanted = BTreeSet::new();
    for stream in 0..STREAMS {
        connection.open(stream, stream, stream == 1);
    }
    let mut rest = input;
    while let Some((&[choice, length], after)) = rest.split_first_chunk() {
        let (bytes, after) = after.split_at(usize::from(length).min(after.len()));
        rest = after;
        let number = u32::from(choice) % STREAMS;
        let (ends, is_control) = (choice & 0x40 != 0, choice & 0x80 != 0);
        // Those of a server have the number 3, those of a client 2, in steps of four.
        let id = u64::from(number) * 4 + if role == Role::Client { 3 } else { 2 };
        if is_control && unwanted.contains(&id) {
            continue;
        }
        let mut result = Ok(());
        for piece in bytes.chunks(piece_bytes) {
            result = match is_control {
                true => connection
                    .receive_control(id, piece, &mut told)
                    .map(|wanted| {
                        if !wanted {
                            unwanted.insert(id);
                        }
                    }),
                false => connection.receive(number, piece, &mut told).map(drop),
            };
            // The rest of such a stream isn't read.
            if result.is_err() || is_control && unwanted.contains(&id) {
                break;
            }
        }
        if result.is_ok() && ends && !(is_control && unwanted.contains(&id)) {
            result = match is_control {
                true => connection.end_control(id),
                false => connection.end(number, &mut told).map(drop),
            };
        }
        if let Err(error) = result {
            told.error = Some(error.to_string());
            break;
        }
    }
    told.streams = connection.streams();
    told
}

/// Reads streams in whole pieces and byte by byte.
pub(crate) fn streams(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else {
        return;
    };
    let role = if first.is_multiple_of(2) {
        Role::Client
    } else {
        Role::Server
    };
    let whole = received(role, rest, usize::MAX);
    let cut = received(role, rest, 1 + usize::from(first / 2) % 7);
    assert_eq!(whole.error, cut.error, "it doesn't matter how bytes arrive");
    // Of what came with an error, a part may have been handled before.
    if whole.error.is_none() {
        assert_eq!(whole, cut, "it doesn't matter how bytes arrive");
    }
}
