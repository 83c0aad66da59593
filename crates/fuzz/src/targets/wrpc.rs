//! Data from wRPC peers.

use bytes::Bytes;
use encarno_wrpc::blaster::Packet;
use encarno_wrpc::http::{Message, RequestHead, ResponseHead};
use encarno_wrpc::value::Reader;
use encarno_wrpc_caller::Options;

use super::choice;

/// Decodes the wire of a connection for each call.
pub(crate) fn frames(bytes: &[u8]) {
    encarno_wrpc::tcp::fuzz::frames(bytes);
}

/// Decodes the wire of a connection that calls share.
pub(crate) fn messages(bytes: &[u8]) {
    encarno_wrpc::tcp::fuzz::messages(bytes);
}

/// Parses the operations of a NATS server. The seeds are answers to a call, see
/// `crates/wrpc/tests/corpus`.
pub(crate) fn nats_operations(bytes: &[u8]) {
    let bytes = replaced(bytes, b"{reply}", b"_INBOX.x.1");
    encarno_wrpc::core_nats::fuzz::operations(&replaced(&bytes, b"{sid}", b"1"));
}

fn replaced(mut text: &[u8], what: &[u8], by: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(at) = text.windows(what.len()).position(|part| part == what) {
        all.extend_from_slice(&text[..at]);
        all.extend_from_slice(by);
        text = &text[at + what.len()..];
    }
    all.extend_from_slice(text);
    all
}

/// Checks that values are decoded as they were encoded, and that no length is trusted.
pub(crate) fn values(bytes: &[u8]) {
    if let Ok(packet) = Packet::decode(bytes) {
        assert_eq!(Packet::decode(&packet.encode()), Ok(packet));
    }
    let (mut kind, rest) = choice(bytes);
    let mut reader = Reader::new(rest);
    loop {
        let before = reader.position();
        let read = match kind % 8 {
            0 => reader.unsigned(64, "u64").map(drop),
            1 => reader.signed(16, "s16").map(drop),
            2 => reader.string().map(drop),
            3 => reader.bytes().map(drop),
            4 => reader.char().map(drop),
            5 => reader.f64().map(drop),
            6 => reader.bit("bool").map(drop),
            _ => reader.length().map(drop),
        };
        assert!(reader.position() <= rest.len());
        if read.is_err() {
            return;
        }
        assert!(reader.position() > before);
        kind = kind.wrapping_mul(31).wrapping_add(7);
    }
}

/// Decodes heads of HTTP over wRPC; the check and the decoder must agree.
pub(crate) fn http(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let request = Message::<RequestHead>::decode(&bytes);
    if let Ok(request) = request {
        assert_eq!(Message::<RequestHead>::check(&bytes), Ok(()));
        let again = Message::<RequestHead>::decode(&request.encode().into());
        assert_eq!(again, Ok(request));
    }
    if let Ok(Ok(response)) = Message::<ResponseHead>::decode(&bytes) {
        let again = Message::<ResponseHead>::decode(&response.encode().into());
        assert_eq!(again, Ok(Ok(response)));
    }
}

/// Parses the options of a client, as k6 passes them.
pub(crate) fn options(bytes: &[u8]) {
    match Options::parse(bytes) {
        Ok(options) => drop(format!("{options:?}")),
        Err(reason) => assert!(!reason.is_empty()),
    }
}
