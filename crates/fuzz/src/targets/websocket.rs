//! WebSocket frames at a client and at a server, and handshakes.

use encarno_http1::Request;
use encarno_websocket::{
    CloseCode, Connection, ConnectionError, Handler, Key, Kind, Limits, Role, accept, read_answer,
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
fn read(bytes: &[u8], role: Role, piece: usize) -> Read {
    let limits = Limits {
        message_bytes_max: MESSAGE_BYTES_MAX,
    };
    let mut connection = Connection::new(role, limits, 1);
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
    let (role, other) = match kind & 1 {
        0 => (Role::Client, Role::Server),
        _ => (Role::Server, Role::Client),
    };
    let whole = read(bytes, role, bytes.len());
    for piece in [1, 2, 7, 64] {
        assert_eq!(read(bytes, role, piece), whole, "in pieces of {piece}");
    }
    let (seen, _, result) = read(&whole.1, other, 1);
    assert_eq!(result, Ok(()), "what is answered is WebSocket");
    assert!(seen.messages.is_empty());
}

/// Checks that handshakes are the same however they are split, from either side.
pub(crate) fn handshake(bytes: &[u8]) {
    if let Some(request) = Request::parse(bytes) {
        let _ = accept(&request);
    }
    let key = Key::new(*b"the sample nonce");
    let offered = "Sec-WebSocket-Protocol: chat\r\n";
    let read = |length: usize| read_answer(&bytes[..length], &key, offered, HEAD_BYTES_MAX);
    let whole = read(bytes.len());
    let first = (0..=bytes.len()).map(read).find(|read| *read != Ok(None));
    match whole {
        Ok(None) => assert_eq!(first, None),
        Ok(Some(end)) => assert!(end <= bytes.len() && read(end) == Ok(Some(end))),
        Err(_) => assert!(matches!(first, Some(Err(_)))),
    }
}
