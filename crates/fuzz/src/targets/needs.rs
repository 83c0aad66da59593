//! What a nib that is a component gets of what a peer sends.

use encarno_guest::nib::framer::{Bad, Framer, Need, Prefix};

use super::choice;

/// A longer part is an error.
const BYTES_MAX: usize = 100;

/// Any bytes, whole and in pieces: the parts are the same.
pub(crate) fn parts(bytes: &[u8]) {
    let (which, bytes) = choice(bytes);
    let (size, bytes) = choice(bytes);
    let need = match which % 4 {
        0 => Need::Exactly(1 + size % 8),
        1 => Need::Until(vec![b'\n'; 1 + size % 3]),
        2 => Need::Until(b"\r\n".to_vec()),
        _ => Need::Prefixed(Prefix {
            offset: size % 4,
            size: [1, 2, 4, 8][size / 4 % 4],
            little_endian: size & 16 != 0,
            adjust: i64::from(size as i8),
        }),
    };
    let (whole, whole_ended) = cut(&need, &[bytes]);
    let pieces: Vec<_> = bytes.chunks(1 + size % 7).collect();
    let (pieces, pieces_ended) = cut(&need, &pieces);
    assert_eq!(whole, pieces);
    assert_eq!(whole_ended, pieces_ended);
    assert!(whole.iter().all(|part| part.len() <= BYTES_MAX + 16));
}

fn cut(need: &Need, pieces: &[&[u8]]) -> (Vec<Vec<u8>>, bool) {
    let mut framer = Framer::default();
    let mut parts = Vec::new();
    for piece in pieces {
        let fed = framer.feed(piece, BYTES_MAX, need, &mut None, |part, _| {
            parts.push(part.to_vec());
            Ok::<_, Bad>(true)
        });
        if fed.is_err() {
            return (parts, true);
        }
        assert!(framer.held() <= BYTES_MAX);
    }
    (parts, false)
}
