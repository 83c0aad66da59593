//! Parses the keys that the user presses.

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// Pauses the run until the next press of this key.
    Pause,
    /// Stops the run; a second press stops it at once.
    Stop,
    /// Shows labels, or the overview again.
    Labels,
    /// Shows the overview.
    Back,
    /// Scrolls by this many lines, down if positive.
    Scroll(i32),
    /// Redraws everything.
    Redraw,
}

/// The keys in any bytes that a terminal sent.
pub(super) fn keys(bytes: &[u8]) -> Vec<Key> {
    let mut keys = Vec::new();
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = after;
        let key = match first {
            b'p' | b'P' | b' ' => Key::Pause,
            b'q' | b'Q' => Key::Stop,
            b'l' | b'L' | b'\t' => Key::Labels,
            b'j' => Key::Scroll(1),
            b'k' => Key::Scroll(-1),
            0x0c => Key::Redraw,
            0x1b => match sequence(&mut rest) {
                Some(key) => key,
                None => continue,
            },
            _ => continue,
        };
        keys.push(key);
    }
    keys
}

/// Parses what follows an escape; unknown sequences are skipped.
fn sequence(rest: &mut &[u8]) -> Option<Key> {
    let [b'[' | b'O', after @ ..] = *rest else {
        return Some(Key::Back);
    };
    let length = after.iter().position(|byte| (0x40..=0x7e).contains(byte));
    let Some(length) = length else {
        *rest = &[];
        return None;
    };
    *rest = &after[length + 1..];
    match (&after[..length], after[length]) {
        ([], b'A') => Some(Key::Scroll(-1)),
        ([], b'B') => Some(Key::Scroll(1)),
        (b"5", b'~') => Some(Key::Scroll(-10)),
        (b"6", b'~') => Some(Key::Scroll(10)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, keys};

    #[test]
    fn keys_and_sequences_are_understood_and_the_rest_is_gone_over() {
        let pressed = b"p x\x1b[A\x1b[B\x1b[6~\x1bOA\x1b[15;2~q\x1b";
        assert_eq!(
            keys(pressed),
            [
                Key::Pause,
                Key::Pause,
                Key::Scroll(-1),
                Key::Scroll(1),
                Key::Scroll(10),
                Key::Scroll(-1),
                Key::Stop,
                Key::Back
            ]
        );
        assert_eq!(keys(b"\x1b[1;1"), []);
        assert_eq!(keys("ä\u{0}".as_bytes()), []);
    }
}
