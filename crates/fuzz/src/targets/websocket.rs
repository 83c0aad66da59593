//! WebSocket frames at a client and at a server, and handshakes.

use encarno_http1::Request;
use encarno_websocket::{
    CloseCode, Connection, ConnectionError, Deflate, Handler, Key, Kind, Limits, Role, accept,
    accept_deflate, read_answer,
};

use super::choice;

const MESSAGE_BYTES_MAX: u64 = 1000;
const HEAD_BYTES_MAX: usize = 1000;

/// The received events, for comparison.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    messages: Vec<(Kind, Vec<u8>, bool)>,
    pongs: Vec<Vec<u8>>,
    closed: Option<(Option<CloseCode>, String)>,
    wire_bytes: usize,
}

impl Handler for Seen {
    fn begin(&mut self, kind: Kind) {
        self.messages.push((kind, Vec::new(), false));
    }

    fn data(&mut self, bytes: &[u8], wire_bytes: usize) {
        if let Some((_, message, ended)) = self.messages.last_mut() {
            assert!(!*ended, "nothing comes behind the end");
            message.extend_from_slice(bytes);
        }
        self.wire_bytes += wire_bytes;
    }

    fn end(&mut self) {
        if let Some((kind, message, ended)) = self.messages.last_mut() {
            assert!(*kind == Kind::Binary || std::str::from_utf8(message).is_ok());
            *ended = true;
        }
    }

    fn pong(&mut self, payload: &[u8], wire_bytes: usize) {
        assert!(payload.len() <= 125);
        self.pongs.push(payload.to_vec());
        self.wire_bytes += wire_bytes;
    }

    fn close(&mut self, code: Option<CloseCode>, reason: &str) {
        assert!(self.closed.is_none(), "once");
        self.closed = Some((code, reason.to_owned()));
    }
}

type Read = (Seen, Vec<u8>, Result<(), ConnectionError>);

/// The result of the bytes: events, answers, and whether the connection went on.
fn read(bytes: &[u8], role: Role, deflate: Option<&Deflate>, piece: usize) -> Read {
    let limits = Limits {
        message_bytes_max: MESSAGE_BYTES_MAX,
    };
    let mut connection = Connection::new(role, limits, 1);
    if let Some(deflate) = deflate {
        connection.deflate(deflate);
    }
    let mut seen = Seen::default();
    let mut result = Ok(());
    for piece in bytes.to_vec().chunks_mut(piece.max(1)) {
        result = connection.receive(piece, &mut seen);
        if result.is_err() {
            break;
        }
    }
    assert!(seen.wire_bytes <= bytes.len());
    for (_, message, _) in &seen.messages {
        assert!(message.len() as u64 <= MESSAGE_BYTES_MAX);
    }
    if result.is_err() {
        // How much is received of a message that ends the connection depends on the
        // pieces.
        seen.messages.retain(|&(.., is_whole)| is_whole);
        seen.wire_bytes = 0;
    }
    (seen, connection.outbox().to_vec(), result)
}

/// Checks that a connection is the same however its bytes arrive, and that its answers
/// can be read.
pub(crate) fn frames(bytes: &[u8]) {
    let (kind, bytes) = choice(bytes);
    alike(bytes, kind, None);
}

/// The same for a connection on which messages are compressed.
pub(crate) fn deflated(bytes: &[u8]) {
    let (kind, bytes) = choice(bytes);
    let deflate = Deflate {
        server_no_context_takeover: kind & 2 != 0,
        client_no_context_takeover: kind & 2 != 0,
        server_max_window_bits: (kind & 4 != 0).then_some(9),
        client_max_window_bits: (kind & 4 != 0).then_some(9),
    };
    alike(bytes, kind, Some(&deflate));
    returns(bytes, &deflate);
}

fn alike(bytes: &[u8], kind: usize, deflate: Option<&Deflate>) {
    let (role, other) = match kind & 1 {
        0 => (Role::Client, Role::Server),
        _ => (Role::Server, Role::Client),
    };
    let whole = read(bytes, role, deflate, bytes.len());
    for piece in [1, 2, 7, 64] {
        let pieces = read(bytes, role, deflate, piece);
        assert_eq!(pieces, whole, "in pieces of {piece}");
    }
    let (seen, _, result) = read(&whole.1, other, None, 1);
    assert_eq!(result, Ok(()), "what is answered is WebSocket");
    assert!(seen.messages.is_empty());
}

/// Checks that messages come back as they were compressed.
fn returns(bytes: &[u8], deflate: &Deflate) {
    let limits = Limits {
        message_bytes_max: MESSAGE_BYTES_MAX,
    };
    let mut connection = Connection::new(Role::Client, limits, 1);
    connection.deflate(deflate);
    let messages: Vec<_> = bytes.chunks(100).collect();
    for message in &messages {
        connection.send(Kind::Binary, message);
    }
    let (seen, _, result) = read(connection.outbox(), Role::Server, Some(deflate), 64);
    assert_eq!(result, Ok(()));
    let received = seen.messages.iter().map(|(_, message, _)| &message[..]);
    assert!(received.eq(messages));
}

/// Checks that handshakes are the same however they are split, from either side.
pub(crate) fn handshake(bytes: &[u8]) {
    if let Some(request) = Request::parse(bytes) {
        let _ = (accept(&request), accept_deflate(&request));
    }
    let key = Key::new(*b"the sample nonce");
    let offered = "Sec-WebSocket-Protocol: chat\r\n";
    let deflate = Deflate::offer("").ok();
    let read = |length: usize| {
        let read = &bytes[..length];
        read_answer(read, &key, offered, deflate.as_ref(), HEAD_BYTES_MAX)
    };
    let whole = read(bytes.len());
    let first = (0..=bytes.len()).map(read).find(|read| *read != Ok(None));
    match whole {
        Ok(None) => assert_eq!(first, None),
        Ok(Some(agreed)) => {
            let end = agreed.head_bytes;
            assert!(end <= bytes.len() && read(end) == Ok(Some(agreed)));
        }
        Err(_) => assert!(matches!(first, Some(Err(_)))),
    }
}
