//! What RFC 6455 wants of a receiver, as a table: framing, pings, reserved bits and opcodes,
//! fragments, UTF-8, and closing. These are the subjects of the cases that Autobahn's test
//! suite has for clients and servers. Each case is received by both sides, whole and byte by
//! byte.

#[path = "rig/seen.rs"]
mod seen;

use encarno_websocket::{Connection, Kind, Limits, Role};
use seen::Seen;

const LIMITS: Limits = Limits {
    message_bytes_max: 1 << 20,
};
/// The first byte of a frame: the last frame of its message, and its opcode.
const LAST: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// Codes of errors.
const PROTOCOL: u16 = 1002;
const NOT_TEXT: u16 = 1007;

/// A frame: its first byte, and its payload.
type Frame = (u8, Vec<u8>);

/// The bytes of frames, as `role` gets them.
fn bytes_of(frames: &[Frame], role: Role) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (first, payload) in frames {
        let masked = if role == Role::Server { 0x80 } else { 0 };
        bytes.push(*first);
        match payload.len() {
            length @ 0..=125 => bytes.push(masked | length as u8),
            length @ 126..=0xffff => {
                bytes.push(masked | 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(masked | 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        match role {
            Role::Client => bytes.extend(payload),
            Role::Server => {
                let mask = [0x12, 0xff, 0, 0x80];
                bytes.extend(mask);
                bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(a, b)| a ^ b));
            }
        }
    }
    bytes
}

/// What `role` makes of frames that come in pieces, and the code with which it fails.
fn received(frames: &[Frame], role: Role, piece: usize) -> (Seen, Option<u16>) {
    let mut connection = Connection::new(role, LIMITS, 1);
    let mut seen = Seen::default();
    let mut failed = None;
    for piece in bytes_of(frames, role).chunks_mut(piece) {
        if let Err(error) = connection.receive(piece, &mut seen) {
            failed = Some(error.code.0);
            break;
        }
    }
    // What it answered, as the other side sees it.
    let other = match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    };
    let mut answers = Seen::default();
    let mut outbox = connection.outbox().to_vec();
    let answered = Connection::new(other, LIMITS, 1).receive(&mut outbox, &mut answers);
    assert_eq!(answered, Ok(()));
    seen.pings = answers.pongs;
    seen.said_close = answers.closed.map(|(code, _)| code);
    seen.begun = None;
    (seen, failed)
}

/// Checks a case on both sides, in pieces of several sizes.
fn check(name: &str, frames: &[Frame], expected: &Seen, code: Option<u16>) {
    let length = bytes_of(frames, Role::Server).len();
    for role in [Role::Client, Role::Server] {
        for piece in [length, 1, 997] {
            // Long ones byte by byte would take long, and show nothing more.
            if piece > 1 || length < 100_000 {
                let (seen, failed) = received(frames, role, piece.max(1));
                assert_eq!(failed, code, "{name}, {role:?}, pieces of {piece}");
                assert!(
                    seen == *expected,
                    "{name}, {role:?}, pieces of {piece}: {seen:?}"
                );
            }
        }
    }
}

fn goes_on(name: &str, frames: &[Frame], expected: Seen) {
    check(name, frames, &expected, None);
}

/// The frames end the connection with this code. Before that, these messages were whole.
fn fails(name: &str, frames: &[Frame], code: u16, before: &[(Kind, &[u8])]) {
    let expected = Seen {
        messages: before
            .iter()
            .map(|(kind, bytes)| (*kind, bytes.to_vec()))
            .collect(),
        said_close: Some(Some(code)),
        ..Seen::default()
    };
    check(name, frames, &expected, Some(code));
}

fn frame(first: u8, payload: &[u8]) -> Frame {
    (first, payload.to_vec())
}

fn message(kind: Kind, bytes: &[u8]) -> Seen {
    Seen {
        messages: vec![(kind, bytes.to_vec())],
        ..Seen::default()
    }
}

#[test]
fn framing() {
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 200_000] {
        let text = vec![b'*'; length];
        let binary = vec![0xfe; length];
        let name = format!("{length} bytes");
        goes_on(
            &name,
            &[frame(LAST | TEXT, &text)],
            message(Kind::Text, &text),
        );
        let whole = [frame(LAST | BINARY, &binary)];
        goes_on(&name, &whole, message(Kind::Binary, &binary));
        for pieces in [64, 4096] {
            let mut frames: Vec<_> = binary
                .chunks(pieces)
                .map(|it| frame(CONTINUATION, it))
                .collect();
            if let Some(first) = frames.first_mut() {
                first.0 = BINARY;
                frames.push(frame(LAST | CONTINUATION, b""));
                goes_on(&name, &frames, message(Kind::Binary, &binary));
            }
        }
    }
}

#[test]
fn pings_and_pongs() {
    for payload in [&b""[..], b"Hello", &[0, 255, 254, 253], &[0xfe; 125]] {
        let expected = Seen {
            pings: vec![payload.to_vec()],
            ..Seen::default()
        };
        goes_on("a ping", &[frame(LAST | PING, payload)], expected);
        let expected = Seen {
            pongs: vec![payload.to_vec()],
            ..Seen::default()
        };
        goes_on(
            "a pong that nobody asked for",
            &[frame(LAST | PONG, payload)],
            expected,
        );
    }
    let numbers: Vec<_> = (0..10).map(|number| vec![b'a' + number]).collect();
    let pings: Vec<_> = numbers.iter().map(|it| frame(LAST | PING, it)).collect();
    let expected = Seen {
        pings: numbers,
        ..Seen::default()
    };
    goes_on("ten pings", &pings, expected);
    for opcode in [PING, PONG, CLOSE] {
        fails(
            "126 bytes",
            &[frame(LAST | opcode, &[0xfe; 126])],
            PROTOCOL,
            &[],
        );
        fails(
            "in pieces",
            &[frame(opcode, b"a"), frame(LAST, b"b")],
            PROTOCOL,
            &[],
        );
    }
}

#[test]
fn reserved_bits_and_opcodes() {
    let hello = (Kind::Text, &b"Hello"[..]);
    for bits in 1..8 {
        for opcode in [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] {
            let first = LAST | bits << 4 | opcode;
            let name = format!("first byte {first:#04x}");
            fails(&name, &[frame(first, b"")], PROTOCOL, &[]);
            let frames = [
                frame(LAST | TEXT, b"Hello"),
                frame(first, &[0xfe; 8]),
                frame(LAST | PING, b""),
            ];
            fails(&name, &frames, PROTOCOL, &[hello]);
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in [&b""[..], b"x"] {
            for last in [0, LAST] {
                let frames = [
                    frame(LAST | TEXT, b"Hello"),
                    frame(last | opcode, payload),
                    frame(LAST | PING, b""),
                ];
                fails(&format!("opcode {opcode}"), &frames, PROTOCOL, &[hello]);
            }
        }
    }
}

#[test]
fn fragments() {
    let (first, more, last) = (TEXT, CONTINUATION, LAST | CONTINUATION);
    let ping = || frame(LAST | PING, b"in between");
    let with_pings = |count| Seen {
        pings: vec![b"in between".to_vec(); count],
        ..message(Kind::Text, b"abc")
    };
    let two = [frame(first, b"ab"), frame(last, b"c")];
    goes_on("two", &two, with_pings(0));
    let three = [
        frame(first, b"a"),
        ping(),
        frame(more, b"bc"),
        ping(),
        frame(last, b""),
    ];
    goes_on("pings between", &three, with_pings(2));
    let pong = [
        frame(first, b""),
        frame(LAST | PONG, b"x"),
        frame(more, b""),
        frame(last, b"abc"),
    ];
    let expected = Seen {
        pongs: vec![b"x".to_vec()],
        ..message(Kind::Text, b"abc")
    };
    goes_on("a pong between, and empty ones", &pong, expected);
    let empty = [frame(first, b""), frame(more, b""), frame(last, b"")];
    goes_on("empty ones only", &empty, message(Kind::Text, b""));
    for continued in [more, last] {
        let nothing = [frame(continued, b"x"), frame(LAST | TEXT, b"Hello")];
        fails("goes on with nothing", &nothing, PROTOCOL, &[]);
        let after = [
            frame(first, b"ab"),
            frame(last, b"c"),
            frame(continued, b"d"),
        ];
        fails(
            "goes on after its end",
            &after,
            PROTOCOL,
            &[(Kind::Text, b"abc")],
        );
    }
    for second in [TEXT, BINARY, LAST | TEXT, LAST | BINARY] {
        let frames = [frame(first, b"a"), frame(second, b"b"), frame(last, b"c")];
        fails("a message within a message", &frames, PROTOCOL, &[]);
    }
    // A close frame between ends it.
    let closed = [
        frame(first, b"a"),
        frame(LAST | CLOSE, &1000_u16.to_be_bytes()),
        frame(last, b"b"),
    ];
    let expected = Seen {
        closed: Some((Some(1000), String::new())),
        said_close: Some(Some(1000)),
        ..Seen::default()
    };
    goes_on("closed between", &closed, expected);
}

#[test]
fn utf_8() {
    // The bounds of each length, around surrogates, and characters that are none.
    for text in [
        "Hello-µ@ßöäüàá-UTF-8!!",
        "κόσμε",
        "\0",
        "\u{7f}",
        "\u{80}",
        "\u{7ff}",
        "\u{800}",
        "\u{fff}",
        "\u{1000}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{fffd}",
        "\u{fffe}",
        "\u{ffff}",
        "\u{10000}",
        "\u{fffff}",
        "\u{100000}",
        "\u{10ffff}",
        "\u{1fffe}",
        "\u{10fffe}",
    ] {
        let bytes = text.as_bytes();
        goes_on(
            text,
            &[frame(LAST | TEXT, bytes)],
            message(Kind::Text, bytes),
        );
        // Cut at each byte, with a ping at the cut.
        for cut in 0..=bytes.len() {
            let frames = [
                frame(TEXT, &bytes[..cut]),
                frame(LAST | PING, b""),
                frame(LAST | CONTINUATION, &bytes[cut..]),
            ];
            let expected = Seen {
                pings: vec![Vec::new()],
                ..message(Kind::Text, bytes)
            };
            goes_on(text, &frames, expected);
        }
        let binary = [
            frame(BINARY, &bytes[..1]),
            frame(LAST | CONTINUATION, b"\xff"),
        ];
        let expected = message(Kind::Binary, &[&bytes[..1], b"\xff"].concat());
        goes_on("binary messages are any bytes", &binary, expected);
    }
    let invalid: [&[u8]; 30] = [
        b"\x80",
        b"\xbf",
        b"\x80\xbf",
        b"\xc0",
        b"\xc1\xbf",
        b"\xc0\x80",
        b"\xc0\xaf",
        b"\xc2 ",
        b"\xe0\x80\xaf",
        b"\xe0\x9f\xbf",
        b"\xe1\x80 ",
        b"\xed\xa0\x80",
        b"\xed\xad\xbf",
        b"\xed\xae\x80",
        b"\xed\xb0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xf0\x80\x80\xaf",
        b"\xf0\x8f\xbf\xbf",
        b"\xf1\x80\x80 ",
        b"\xf4\x90\x80\x80",
        b"\xf5",
        b"\xf7\xbf\xbf\xbf",
        b"\xf8\x88\x80\x80\x80",
        b"\xfb\xbf\xbf\xbf\xbf",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xfd\xbf\xbf\xbf\xbf\xbf",
        b"\xfe",
        b"\xff",
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    ];
    for bytes in invalid {
        let name = format!("{bytes:x?}");
        fails(&name, &[frame(LAST | TEXT, bytes)], NOT_TEXT, &[]);
        // At once, and not with the end of the message.
        fails(
            &name,
            &[frame(TEXT, bytes), frame(LAST | PING, b"")],
            NOT_TEXT,
            &[],
        );
        for cut in 1..bytes.len() {
            let frames = [
                frame(TEXT, &bytes[..cut]),
                frame(LAST | CONTINUATION, &bytes[cut..]),
            ];
            fails(&name, &frames, NOT_TEXT, &[]);
        }
    }
    for half in [&b"\xce"[..], b"\xe1\xbd", b"\xf0\x90\x80", b"a\xf4\x8f\xbf"] {
        fails(
            "half a character",
            &[frame(LAST | TEXT, half)],
            NOT_TEXT,
            &[],
        );
        let frames = [frame(TEXT, half), frame(LAST | CONTINUATION, b"")];
        fails("half a character", &frames, NOT_TEXT, &[]);
    }
}

#[test]
fn closing() {
    let close = |code: u16, reason: &str| {
        let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
        frame(LAST | CLOSE, &payload)
    };
    let closed = |code, reason: &str| Seen {
        closed: Some((Some(code), reason.to_owned())),
        said_close: Some(Some(code)),
        ..Seen::default()
    };
    let none = Seen {
        closed: Some((None, String::new())),
        said_close: Some(None),
        ..Seen::default()
    };
    goes_on("without a code", &[frame(LAST | CLOSE, b"")], none);
    // Nothing counts behind a close frame.
    for behind in [
        frame(LAST | TEXT, b"Hello"),
        frame(LAST | PING, b""),
        frame(0xff, b"what?"),
        close(1001, ""),
        frame(CONTINUATION, &[b'*'; 262_144]),
    ] {
        goes_on("behind it", &[close(1000, ""), behind], closed(1000, ""));
    }
    let long = "*".repeat(123);
    for reason in ["Hello World!", "übung", &long] {
        goes_on(reason, &[close(1000, reason)], closed(1000, reason));
    }
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
        4999,
    ] {
        goes_on(&code.to_string(), &[close(code, "")], closed(code, ""));
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        fails(&code.to_string(), &[close(code, "")], PROTOCOL, &[]);
        fails(&code.to_string(), &[close(code, "reason")], PROTOCOL, &[]);
    }
    fails(
        "half a code",
        &[frame(LAST | CLOSE, b"\x03")],
        PROTOCOL,
        &[],
    );
    for reason in [
        &b"\xff"[..],
        b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80",
        b"half\xce",
    ] {
        let payload = [&1000_u16.to_be_bytes()[..], reason].concat();
        fails("no text", &[frame(LAST | CLOSE, &payload)], NOT_TEXT, &[]);
    }
}
