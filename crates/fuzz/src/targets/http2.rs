//! The bytes of either side of an HTTP/2 connection, and certificates.

use encarno_http2::hpack::Decoder;
use encarno_http2::{Connection, ErrorCode, Handler, Head, Limits, Prepared, Reset, Role};

use super::choice;

const LIMITS: Limits = Limits {
    window: 1 << 16,
    head_bytes_max: 4 << 10,
    streams_max: 8,
    indexed: true,
};

/// All events of a connection.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told(Vec<(u32, String, Vec<u8>)>);

impl Told {
    fn add(&mut self, stream: u32, what: String, bytes: &[u8]) {
        self.0.push((stream, what, bytes.to_vec()));
    }
}

impl Handler<u32> for Told {
    fn wants_text(&mut self, user: &u32) -> bool {
        user % 4 == 1
    }

    fn begin(&mut self, stream: u32) -> Option<u32> {
        (stream % 16 != 15).then_some(stream)
    }

    fn head(&mut self, stream: u32, user: &mut u32, head: &Head<'_>, ends: bool) {
        assert_eq!(stream, *user, "each head comes to its stream");
        assert!(head.text.len() <= LIMITS.head_bytes_max * 2);
        super::assert_lines(head.text);
        self.add(
            stream,
            format!("{:?} {} {ends}", head.kind, head.status),
            head.text,
        );
    }

    fn data(&mut self, stream: u32, user: &mut u32, bytes: &[u8], _: usize, ends: bool) {
        assert_eq!(stream, *user, "each body comes to its stream");
        self.add(stream, format!("data {ends}"), bytes);
    }

    fn reset(&mut self, stream: u32, user: u32, why: Reset) {
        assert_eq!(stream, user, "each end comes to its stream");
        self.add(stream, format!("{why:?}"), b"");
    }

    fn go_away(&mut self, code: ErrorCode, text: &[u8]) {
        self.add(0, format!("{code:?}"), text);
    }
}

fn received(role: Role, bytes: &[u8], piece: usize) -> (Told, bool) {
    let mut connection = Connection::new(role, LIMITS);
    if role == Role::Client {
        for text in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"HEAD /b HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
        ] {
            if let Ok(request) = Prepared::of_text(text)
                && let Some(request) = Prepared::read(&request)
            {
                let next = connection.streams() as u32 * 2 + 1;
                let stream = connection.open(&request, false, next);
                assert_eq!(stream, next);
                connection.data(stream, request.body, true);
            }
        }
    }
    connection.sent(connection.outbox().len());
    let mut told = Told::default();
    let mut good = true;
    for piece in bytes.chunks(piece) {
        good &= connection.receive(piece, &mut told).is_ok();
        if !good {
            break;
        }
    }
    // Each frame is answered by one or two short ones.
    assert!(connection.outbox().len() <= 200 + bytes.len() * 4);
    assert!(connection.streams() <= LIMITS.streams_max as usize);
    (told, good)
}

/// Checks that the events are the same however the bytes arrive.
pub(crate) fn connection(bytes: &[u8]) {
    let (kind, bytes) = choice(bytes);
    let role = match kind & 1 {
        0 => Role::Client,
        _ => Role::Server,
    };
    let whole = received(role, bytes, bytes.len().max(1));
    // The first piece must have five bytes, by which HTTP/1 is recognised.
    for piece in [5, 16, 100] {
        assert_eq!(received(role, bytes, piece), whole, "in pieces of {piece}");
    }
    let mut fields = 0;
    let _ = Decoder::default().decode(bytes, |_| fields += 1);
    assert!(fields <= bytes.len());
}

/// Reads the certificates of a chain, each preceded by its length.
pub(crate) fn certificates(bytes: &[u8]) {
    let (mut chain, mut rest) = (Vec::new(), bytes);
    while let Some((&[high, low], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (certificate, after) = after.split_at(length);
        chain.push(certificate);
        rest = after;
    }
    if let Some((own, others)) = chain.split_first() {
        encarno_trust::fuzz::usage(own, others);
    }
}
