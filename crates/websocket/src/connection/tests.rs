#![allow(clippy::unwrap_used)] // a test that fails here says enough

use proptest::prelude::*;

use super::{Connection, Handler, Limits};
use crate::frame::{CONTINUATION, PONG};
use crate::{CloseCode, ConnectionError, Deflate, Kind, Role};

const LIMITS: Limits = Limits {
    message_bytes_max: 1000,
};

/// The received events.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    messages: Vec<(Kind, Vec<u8>, bool)>,
    pongs: Vec<Vec<u8>>,
    closed: Option<(Option<u16>, String)>,
    wire_bytes: usize,
}

impl Handler for Seen {
    fn begin(&mut self, kind: Kind) {
        self.messages.push((kind, Vec::new(), false));
    }

    fn data(&mut self, bytes: &[u8], wire_bytes: usize) {
        self.messages.last_mut().unwrap().1.extend_from_slice(bytes);
        self.wire_bytes += wire_bytes;
    }

    fn end(&mut self) {
        self.messages.last_mut().unwrap().2 = true;
    }

    fn pong(&mut self, payload: &[u8], wire_bytes: usize) {
        self.pongs.push(payload.to_vec());
        self.wire_bytes += wire_bytes;
    }

    fn close(&mut self, code: Option<CloseCode>, reason: &str) {
        self.closed = Some((code.map(|code| code.0), reason.to_owned()));
    }
}

/// The events that a client gets from bytes in pieces, and its answers.
fn read(bytes: &[u8], piece: usize) -> (Seen, Vec<u8>, Result<(), ConnectionError>) {
    read_by(Connection::new(Role::Client, LIMITS, 1), bytes, piece)
}

fn read_by(
    mut client: Connection,
    bytes: &[u8],
    piece: usize,
) -> (Seen, Vec<u8>, Result<(), ConnectionError>) {
    let mut seen = Seen::default();
    let mut result = Ok(());
    for piece in bytes.chunks(piece.max(1)) {
        result = client.receive(&mut piece.to_vec(), &mut seen);
        if result.is_err() {
            break;
        }
    }
    if result.is_err() {
        // How much is received of a message that ends the connection depends on the
        // pieces.
        seen.messages.retain(|&(.., is_whole)| is_whole);
        seen.wire_bytes = 0;
    }
    (seen, client.outbox().to_vec(), result)
}

fn code_of(bytes: &[u8]) -> Option<u16> {
    let whole = read(bytes, bytes.len());
    let single = read(bytes, 1);
    assert_eq!((&whole.0.closed, whole.2), (&single.0.closed, single.2));
    whole.2.err().map(|error| error.code.0)
}

#[test]
fn messages_in_pieces_and_control_frames_between() {
    let bytes = [
        &b"\x01\x03a\xc3\xa4"[..], // a text begins
        b"\x89\x02hi",             // a ping within it
        b"\x00\x01\xe2",           // a character that is cut
        b"\x8a\x01p",              // a pong that nobody asked for
        b"\x80\x02\x82\xac",       // its end
        b"\x82\x00",               // nothing
        b"\x88\x05\x03\xe8bye",
        b"\xff\xff\xff", // behind the end
    ]
    .concat();
    for piece in 1..=bytes.len() {
        let (seen, outbox, result) = read(&bytes, piece);
        assert_eq!(result, Ok(()));
        let messages = [
            (Kind::Text, "aä€".as_bytes().to_vec(), true),
            (Kind::Binary, Vec::new(), true),
        ];
        assert_eq!(seen.messages, messages);
        assert_eq!(seen.pongs, [b"p"]);
        assert_eq!(seen.closed, Some((Some(1000), "bye".to_owned())));
        assert_eq!(seen.wire_bytes, 5 + 3 + 4 + 2 + 3);
        // The pong, and the close frame without its reason.
        let mut server = Connection::new(Role::Server, LIMITS, 0);
        let mut answers = Seen::default();
        server.receive(&mut outbox.clone(), &mut answers).unwrap();
        assert_eq!(answers.pongs, [b"hi"]);
        assert_eq!(answers.closed, Some((Some(1000), String::new())));
    }
}

#[test]
fn what_is_no_websocket_ends_the_connection_with_its_code() {
    let long = [&b"\x82\x7f"[..], &u64::MAX.to_be_bytes()].concat();
    let longer = [&b"\x82\x7f"[..], &(u64::MAX >> 1).to_be_bytes()].concat();
    for (bytes, code) in [
        (&b"\xc1\x00"[..], 1002),             // compressed
        (b"\x83\x00", 1002),                  // an opcode that there isn't
        (b"\x8b\x00", 1002),                  // …
        (b"\x81\x80abcd", 1002),              // masked
        (b"\x09\x00", 1002),                  // a ping in pieces
        (b"\x89\x7e\x00\x7e", 1002),          // a ping that is too long
        (b"\x80\x00", 1002),                  // goes on with nothing
        (b"\x01\x00\x81\x00", 1002),          // a message within a message
        (b"\x82\x7e\x00\x05", 1002),          // a length that is too wide
        (&long, 1002),                        // … that is negative
        (&longer, 1009),                      // longer than memory
        (b"\x82\x7e\x03\xe9", 1009),          // longer than allowed
        (b"\x02\x01x\x80\x7e\x03\xe8", 1009), // … in pieces
        (b"\x81\x02\xc3\x28", 1007),          // not a text
        (b"\x81\x01\xc3", 1007),              // half a character
        (b"\x01\x03\xf4\x90\x80", 1007),      // … beyond Unicode
        (b"\x88\x01\x03", 1002),              // half a code
        (b"\x88\x02\x03\xed", 1002),          // 1005
        (b"\x88\x02\x03\xe7", 1002),          // 999
        (b"\x88\x03\x03\xe8\xff", 1007),      // a reason that isn't a text
    ] {
        assert_eq!(code_of(bytes), Some(code), "{bytes:?}");
    }
    // No server accepts unmasked frames of a client.
    let mut server = Connection::new(Role::Server, LIMITS, 0);
    let mut seen = Seen::default();
    assert!(
        server
            .receive(&mut b"\x81\x00".to_vec(), &mut seen)
            .is_err()
    );
    assert_eq!(server.outbox()[0], 0x88);
    assert_eq!(server.outbox()[2..4], 1002_u16.to_be_bytes());
}

#[test]
fn pings_without_end_take_no_memory() {
    let mut client = Connection::new(Role::Client, LIMITS, 1);
    let mut seen = Seen::default();
    for number in 0_u32..100_000 {
        let ping = [&b"\x89\x04"[..], &number.to_be_bytes()].concat();
        client.receive(&mut ping.clone(), &mut seen).unwrap();
    }
    assert!(client.outbox().len() < 70 << 10);
    client.sent(client.outbox().len());
    let mut server = Connection::new(Role::Server, LIMITS, 0);
    server
        .receive(&mut client.outbox().to_vec(), &mut seen)
        .unwrap();
    assert_eq!(
        seen.pongs,
        [99_999_u32.to_be_bytes()],
        "the last is answered"
    );
}

/// A client that agreed to compress messages.
fn deflating(agreed: Deflate) -> Connection {
    let mut client = Connection::new(Role::Client, LIMITS, 1);
    client.deflate(&agreed);
    client
}

#[test]
fn the_compressed_messages_of_the_rfc() {
    // RFC 7692, 7.2.3: whole, in two frames with a ping between, again with the window of
    // the first, without compression, with a last block, in two blocks, and empty.
    let frames: [&[u8]; 8] = [
        b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00",
        b"\x41\x03\xf2\x48\xcd\x89\x00\x80\x04\xc9\xc9\x07\x00",
        b"\xc1\x05\xf2\x00\x11\x00\x00",
        b"\xc1\x0b\x00\x05\x00\xfa\xffHello\x00",
        b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        b"\x81\x05Hello",
        b"\xc1\x01\x00",
    ];
    let bytes = frames.concat();
    let mut expected = vec![(Kind::Text, b"Hello".to_vec(), true); 7];
    expected.push((Kind::Text, Vec::new(), true));
    for piece in [1, 2, 3, 5, bytes.len()] {
        let (seen, _, result) = read_by(deflating(Deflate::default()), &bytes, piece);
        assert_eq!(result, Ok(()));
        assert_eq!(seen.messages, expected, "in pieces of {piece}");
        assert_eq!(seen.wire_bytes, bytes.len() - 2, "all but the ping");
    }
    // Without its window, the third refers to something that isn't there.
    let alone = Deflate {
        server_no_context_takeover: true,
        ..Deflate::default()
    };
    let (_, _, result) = read_by(deflating(alone), &frames[..3].concat(), 7);
    assert_eq!(result.unwrap_err().code, CloseCode::PROTOCOL);
}

#[test]
fn compressed_messages_that_are_none_end_the_connection() {
    // 4,000 zeros, the last of them in a frame of its own.
    let mut server = Connection::new(Role::Server, LIMITS, 0);
    server.deflate(&Deflate::default());
    server.send(Kind::Binary, &[0; 4000]);
    let bomb = server.outbox();
    assert!(bomb.len() < 60);
    for (bytes, code, text) in [
        (bomb, 1009, "longer"),
        (b"\x82\x7e\x03\xe9", 1009, "longer"),
        (b"\xc2\x02\xff\xff", 1002, "DEFLATE"),
        (b"\x42\x00\xc0\x00", 1002, "first frame"),
        (b"\xc9\x00", 1002, "first frame"),
        (b"\xc8\x00", 1002, "first frame"),
        (b"\xe1\x00", 1002, "none was agreed"),
        (b"\x91\x00", 1002, "none was agreed"),
        // 0xc3 0x28, which isn't UTF-8, not compressed.
        (b"\xc1\x08\x00\x02\x00\xfd\xff\xc3\x28\x00", 1007, "UTF-8"),
        // Half a character.
        (b"\xc1\x07\x00\x01\x00\xfe\xff\xc3\x00", 1007, "UTF-8"),
    ] {
        for piece in [1, 1000] {
            let (_, _, result) = read_by(deflating(Deflate::default()), bytes, piece);
            let error = result.unwrap_err();
            assert_eq!(error.code.0, code, "{bytes:?}: {error}");
            assert!(error.text.contains(text), "{bytes:?}: {error}");
        }
    }
}

#[test]
fn windows_are_no_larger_than_agreed() {
    // A kilobyte of noise, again and again: it can only be found in a window that is larger.
    let mut word = 1_u32;
    let noise = std::iter::repeat_with(|| {
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (word >> 24) as u8
    });
    let noise: Vec<u8> = noise.take(1000).collect();
    let length = |bits| {
        let mut client = deflating(Deflate {
            client_max_window_bits: bits,
            ..Deflate::default()
        });
        for _ in 0..5 {
            client.send(Kind::Binary, &noise);
        }
        let length = client.outbox().len();
        // A window of that size is enough to read it.
        let mut server = Connection::new(Role::Server, LIMITS, 0);
        server.deflate(&Deflate {
            client_max_window_bits: bits,
            ..Deflate::default()
        });
        let mut seen = Seen::default();
        let result = server.receive(&mut client.outbox().to_vec(), &mut seen);
        assert_eq!(result, Ok(()));
        assert!(seen.messages.iter().all(|(_, bytes, _)| *bytes == noise));
        assert_eq!(seen.messages.len(), 5);
        length
    };
    assert!(length(Some(9)) > 5000);
    assert!(length(Some(11)) < 2000);
    assert!(length(None) < 2000);
}

proptest! {
    #[test]
    fn what_one_side_sends_the_other_sees(
        messages in proptest::collection::vec((any::<bool>(), ".{0,300}"), 0..6), piece in 1_usize..200,
        alone in any::<bool>(), bits in proptest::option::of(9_u8..=15)
    ) {
        let agreed = Deflate {
            server_no_context_takeover: alone,
            client_no_context_takeover: alone,
            server_max_window_bits: bits,
            client_max_window_bits: bits,
        };
        for (role, deflates) in [
            (Role::Client, false), (Role::Server, false), (Role::Client, true), (Role::Server, true)
        ] {
            let other = match role {
                Role::Client => Role::Server,
                Role::Server => Role::Client,
            };
            let limits = Limits { message_bytes_max: 4000 };
            let (mut one, mut two) = (Connection::new(role, limits, 5), Connection::new(other, limits, 6));
            if deflates {
                one.deflate(&agreed);
                two.deflate(&agreed);
            }
            let mut seen = Seen::default();
            for (is_text, text) in &messages {
                let kind = if *is_text { Kind::Text } else { Kind::Binary };
                one.send(kind, text.as_bytes());
                one.ping(b"x");
            }
            one.close(CloseCode::NORMAL, "");
            one.send(Kind::Text, b"behind the end");
            for piece in one.outbox().to_vec().chunks_mut(piece) {
                prop_assert_eq!(two.receive(piece, &mut seen), Ok(()));
            }
            prop_assert_eq!(seen.messages.len(), messages.len());
            for ((kind, bytes, ends), (is_text, text)) in seen.messages.iter().zip(&messages) {
                prop_assert_eq!(*kind == Kind::Text, *is_text);
                prop_assert_eq!(bytes, text.as_bytes());
                prop_assert!(ends);
            }
            prop_assert_eq!(seen.closed, Some((Some(1000), String::new())));
            let mut answers = Seen::default();
            prop_assert_eq!(one.receive(&mut two.outbox().to_vec(), &mut answers), Ok(()));
            prop_assert_eq!(answers.pongs.len(), messages.len());
        }
    }

    #[test]
    fn bytes_mean_the_same_however_they_are_cut(bytes in proptest::collection::vec(
        prop_oneof![any::<u8>(), Just(CONTINUATION), Just(0x81), Just(0x80 | PONG), Just(1), Just(2), Just(0xc1)], 0..60
    )) {
        let whole = read(&bytes, bytes.len());
        let deflating = |piece| read_by(deflating(Deflate::default()), &bytes, piece);
        let deflated = deflating(bytes.len());
        for piece in [1, 2, 3, 7] {
            prop_assert_eq!(&read(&bytes, piece), &whole);
            prop_assert_eq!(&deflating(piece), &deflated);
        }
    }
}
