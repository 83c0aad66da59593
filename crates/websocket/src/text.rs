//! Checks UTF-8 in pieces.

use std::str;

/// A text in pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Text {
    /// The beginning of an incomplete character.
    partial: [u8; 4],
    partial_bytes: usize,
}

impl Text {
    /// Takes the next piece; false as soon as the text can't be UTF-8.
    pub(crate) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        while self.partial_bytes > 0 {
            let Some((&byte, rest)) = bytes.split_first() else {
                return true;
            };
            bytes = rest;
            self.partial[self.partial_bytes] = byte;
            self.partial_bytes += 1;
            match str::from_utf8(&self.partial[..self.partial_bytes]) {
                Ok(_) => self.partial_bytes = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return false,
            }
        }
        match str::from_utf8(bytes) {
            Ok(_) => true,
            Err(error) if error.error_len().is_none() => {
                let rest = &bytes[error.valid_up_to()..];
                self.partial[..rest.len()].copy_from_slice(rest);
                self.partial_bytes = rest.len();
                true
            }
            Err(_) => false,
        }
    }

    /// Whether the text may end here.
    pub(crate) fn is_whole(&self) -> bool {
        self.partial_bytes == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Text;

    fn is_text(pieces: &[&[u8]]) -> bool {
        let mut text = Text::default();
        pieces.iter().all(|piece| text.feed(piece)) && text.is_whole()
    }

    proptest! {
        #[test]
        fn a_text_is_one_however_it_is_cut(
            text in ".{0,8}", other in proptest::collection::vec(any::<u8>(), 0..6), cut in 0_usize..40
        ) {
            let bytes = [text.as_bytes(), &other[..]].concat();
            let expected = std::str::from_utf8(&bytes).is_ok();
            let (first, second) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(is_text(&[first, second]), expected);
            let single: Vec<_> = bytes.chunks(1).collect();
            prop_assert_eq!(is_text(&single), expected);
        }
    }

    #[test]
    fn what_can_become_no_text_is_told_at_once() {
        for bytes in [&b"\xc0"[..], b"\xed\xa0", b"\xf4\x90", b"\xf5", b"a\x80"] {
            let mut text = Text::default();
            let goes_on = bytes.chunks(1).all(|byte| text.feed(byte));
            assert!(!goes_on, "{bytes:?}");
        }
    }
}
