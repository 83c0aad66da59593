//! The entry point of the fuzz target.

use super::message::Headers;
use super::parse::{Found, MESSAGE_BYTES_MAX, Op, parse};

/// An operation and its parts.
type Parts = (String, Vec<Vec<u8>>);

/// Checks the parser of server operations: operations are the same however the bytes
/// arrive, none asks for more bytes than it has, and headers read are equal to headers
/// written.
pub fn operations(bytes: &[u8]) {
    let whole = found(bytes, bytes.len().max(1));
    for piece in [1, 3, 16] {
        assert_eq!(found(bytes, piece), whole, "in pieces of {piece}");
    }
}

/// Parses as a session does, up to the end or to the first violation.
fn found(bytes: &[u8], piece: usize) -> (Vec<Parts>, Option<&'static str>) {
    let (mut inbox, mut all) = (Vec::new(), Vec::new());
    let (mut least, mut left_out) = (0, 0u64);
    for piece in bytes.chunks(piece) {
        inbox.extend_from_slice(piece);
        loop {
            let here = left_out.min(inbox.len() as u64);
            inbox.drain(..here as usize);
            left_out -= here;
            if inbox.is_empty() || inbox.len() < least {
                break;
            }
            match parse(&inbox) {
                Ok(Found::Beginning(more)) => {
                    assert!(more > inbox.len() && more as u64 <= MESSAGE_BYTES_MAX + (1 << 20));
                    least = more;
                }
                Ok(Found::Op(op, length)) => {
                    least = 0;
                    all.push(parts(&inbox, &op));
                    if !matches!(op, Op::Unreadable(_)) {
                        assert!(length as usize <= inbox.len());
                    }
                    left_out = length;
                }
                Err(reason) => return (all, Some(reason)),
            }
        }
    }
    (all, None)
}

fn parts(inbox: &[u8], op: &Op) -> Parts {
    match op {
        Op::Message {
            sid,
            subject,
            reply,
            headers,
            payload,
        } => {
            let mut parts = vec![
                inbox[subject.clone()].to_vec(),
                inbox[payload.clone()].to_vec(),
            ];
            parts.extend(reply.clone().map(|reply| inbox[reply].to_vec()));
            if let Some(headers) = headers {
                let raw = &inbox[headers.clone()];
                if let Some(headers) = Headers::read(raw) {
                    let again = [headers.raw(), b"\r\n"].concat();
                    assert!(Headers::read(&again).is_some());
                    drop(headers.get("a"));
                }
                parts.push(raw.to_vec());
            }
            (format!("message for {sid}"), parts)
        }
        Op::Info(json) => ("INFO".to_owned(), vec![inbox[json.clone()].to_vec()]),
        Op::Err(text) => ("ERR".to_owned(), vec![inbox[text.clone()].to_vec()]),
        other => (format!("{other:?}"), Vec::new()),
    }
}
