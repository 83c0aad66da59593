//! Responses of targets, and requests.

use encarno_http1::{Chunks, Expected, Part, Request, RequestBody, ResponseReader};
use encarno_nib::{Encoding, Keep, Kept};

use super::{choice, text};

const HEAD_BYTES_MAX: usize = 4 << 10;
/// The most bytes of a body that are checked, however much it decompresses to.
const BODY_BYTES_MAX: usize = 64 << 10;

type Read = (Option<bool>, u16, bool, Vec<u8>, Option<Vec<u8>>);

fn read(bytes: &[u8], expected: Expected, piece: usize) -> Read {
    let mut reader = ResponseReader::new(HEAD_BYTES_MAX);
    reader.expect(expected);
    let (mut body, mut head) = (Vec::new(), None);
    for piece in bytes.chunks(piece.max(1)) {
        let fed = reader.feed(piece, |part| match part {
            Part::Head(_, bytes) => head = Some(bytes.to_vec()),
            Part::Body(bytes) => body.extend_from_slice(bytes),
        });
        if fed.is_err() {
            return (None, reader.status(), false, body, head);
        }
    }
    let complete = reader.is_complete();
    (
        Some(complete),
        reader.status(),
        reader.keep_alive(),
        body,
        head,
    )
}

/// Checks that a response is the same however it arrives, and reads what scripts see of
/// it.
pub(crate) fn response(bytes: &[u8]) {
    let (kind, bytes) = choice(bytes);
    let expected = Expected {
        head_only: kind & 1 != 0,
        tunnel: kind & 2 != 0,
        last: kind & 4 != 0,
    };
    let whole = read(bytes, expected, bytes.len());
    for piece in [1, 2, 7, 64] {
        let (complete, status, keep_alive, body, head) = read(bytes, expected, piece);
        assert_eq!(
            (complete, status),
            (whole.0, whole.1),
            "in pieces of {piece}"
        );
        if complete.is_some() {
            assert_eq!(
                (keep_alive, &body),
                (whole.2, &whole.3),
                "in pieces of {piece}"
            );
            assert_eq!(head, whole.4, "in pieces of {piece}");
        }
    }
    assert!(whole.3.len() <= bytes.len());
    let mut kept = Kept::default();
    kept.expect(Keep {
        head: true,
        body_bytes_max: BODY_BYTES_MAX,
        wire_bytes_max: 100,
    });
    kept.wire(bytes);
    kept.head(whole.1, whole.4.as_deref().unwrap_or_default());
    kept.body(&whole.3);
    let mut buffer = Vec::new();
    let decoded = kept.response().decoded(&mut buffer, BODY_BYTES_MAX);
    assert!(decoded.body().len() <= BODY_BYTES_MAX);
    assert_eq!(
        decoded.head().len() + decoded.body().len(),
        decoded.text().len()
    );
    for field in decoded.fields() {
        assert!(!field.value.contains(&b'\n'), "a value has one line");
    }
}

/// Checks that the parts of a request make up the request.
pub(crate) fn request(bytes: &[u8]) {
    let _ = encarno_http1::path(bytes);
    let _ = encarno_http1::host(bytes);
    let _ = Expected::of(bytes, bytes.len() as u64);
    encarno_record::mask::Shown::default().mask(&mut bytes.to_vec());
    let _ = encarno_record::mask::masked_text(bytes);
    if let Some(text) = text(bytes) {
        let _ = encarno_record::mask::masked_url(text);
    }
    let Some(request) = Request::parse(bytes) else {
        return;
    };
    let lines: usize = request.fields().map(|field| field.lines.len()).sum();
    assert!(lines <= request.fields.len());
    if let Some(body) = request.body() {
        assert!(bytes.ends_with(body));
        if let Some(RequestBody::Chunked) = request.framing() {
            let (mut chunks, mut rest) = (Chunks::default(), body);
            while let Some(decoded) = chunks.next(rest) {
                assert!(decoded.rest.len() <= rest.len());
                if chunks.is_complete() || decoded.rest.len() == rest.len() {
                    break;
                }
                rest = decoded.rest;
            }
        }
    }
    let _ = request.wants_close();
}

/// Decodes bytes in all text encodings.
pub(crate) fn encodings(bytes: &[u8]) {
    for encoding in [
        Encoding::Text,
        Encoding::Escaped,
        Encoding::Hex,
        Encoding::Base64,
    ] {
        if let Ok(decoded) = encoding.decode(bytes) {
            assert!(decoded.len() <= bytes.len());
        }
    }
}

/// Checks that an answer over TCP ends at the same byte however it arrives.
pub(crate) fn tcp_answers(bytes: &[u8]) {
    let mut parts = super::parts(bytes);
    let option = parts.next().and_then(text).unwrap_or_default();
    let answer = parts.next().unwrap_or_default();
    if let Some((name, value)) = option.split_once('=') {
        encarno_nibs::tcp::fuzz::answers(name, value, answer);
    }
}
