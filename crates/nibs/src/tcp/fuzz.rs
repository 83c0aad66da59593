//! The entry points of the fuzz targets.

use encarno_nib::Options;

use super::ending::{Ending, Finder};

const ANSWER_BYTES_MAX: u64 = 4 << 10;

/// Checks that answers end at the same bytes however they arrive, and that no byte counts
/// twice.
pub fn answers(name: &str, value: &str, bytes: &[u8]) {
    let mut options = Options::default();
    options.own.insert(name.to_owned(), value.to_owned());
    if let Ok(ending) = Ending::of(&options) {
        let whole = ends(&ending, bytes, bytes.len().max(1));
        for piece in [1, 2, 7] {
            assert_eq!(ends(&ending, bytes, piece), whole, "in pieces of {piece}");
        }
    }
}

/// The ends of answers; a last `None` if the received bytes are wrong.
fn ends(ending: &Ending, bytes: &[u8], piece: usize) -> Vec<Option<usize>> {
    let (mut finder, mut found, mut at) = (Finder::default(), Vec::new(), 0);
    for piece in bytes.chunks(piece) {
        let mut rest = piece;
        while !rest.is_empty() {
            let Ok((used, ended)) = finder.feed(ending, rest, ANSWER_BYTES_MAX) else {
                found.push(None);
                return found;
            };
            assert!(used <= rest.len());
            assert!(used > 0 || ended, "it goes on");
            (at, rest) = (at + used, &rest[used..]);
            if ended {
                found.push(Some(at));
            }
            if found.len() > bytes.len() {
                return found; // answers without bytes: one would be enough
            }
        }
    }
    found
}
