//! Reads JSON objects one after another: one on each line, spread over lines, or in an
//! array.

use bytes::Bytes;

use super::block_reader::{BlockReader, LINE_BYTES_MAX};
use super::{RecordError, raw::shown};

/// The next complete object; `None` at the end of the file. After a broken one, the
/// source is at the next line.
pub(super) fn next_object(source: &mut BlockReader) -> Result<Option<Bytes>, RecordError> {
    if !skip_separators(source)? {
        return Ok(None);
    }
    let start = source.offset();
    let broken = |source: &mut BlockReader, reason: String| {
        source.skip_line()?;
        Err(RecordError::new(reason).at(start))
    };
    let mut scan = Scan::default();
    let mut wanted = 4096;
    loop {
        let there = source.peek(wanted)?;
        let is_all = there.len() < wanted;
        if there.first() != Some(&b'{') {
            let reason = format!("an object starts with {{, and this with {}", shown(there));
            return broken(source, reason);
        }
        match scan.look(there) {
            Looked::Whole(length) => return source.take(length).map(Some),
            Looked::Broken => {
                return broken(source, "an object that isn't closed".to_owned());
            }
            Looked::Open if is_all => {
                return broken(source, "the last object isn't closed".to_owned());
            }
            Looked::Open if wanted > LINE_BYTES_MAX => {
                let reason = format!("an object of more than {LINE_BYTES_MAX} bytes");
                return broken(source, reason);
            }
            Looked::Open => wanted *= 2,
        }
    }
}

/// The first object of a file that starts with these bytes, if it is complete.
pub(super) fn first_object(start: &[u8]) -> Option<&[u8]> {
    let separators = start.iter().take_while(|byte| is_separator(**byte)).count();
    let rest = &start[separators..];
    match Scan::default().look(rest) {
        Looked::Whole(length) if rest[0] == b'{' => Some(&rest[..length]),
        _ => None,
    }
}

fn is_separator(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"[],".contains(&byte)
}

/// Skips blanks and the marks of an array; false at the end of the file.
fn skip_separators(source: &mut BlockReader) -> Result<bool, RecordError> {
    loop {
        let there = source.peek(256)?;
        let separators = there.iter().take_while(|byte| is_separator(**byte)).count();
        let more = separators == there.len();
        if more && there.is_empty() {
            return Ok(false);
        }
        source.take(separators)?;
        if !more {
            return Ok(true);
        }
    }
}

/// A search for the end of an object.
#[derive(Default)]
struct Scan {
    at: usize,
    depth: usize,
    in_string: bool,
}

enum Looked {
    Whole(usize),
    Open,
    Broken,
}

impl Scan {
    fn look(&mut self, bytes: &[u8]) -> Looked {
        while let Some(&byte) = bytes.get(self.at) {
            self.at += 1;
            match byte {
                // No string contains a line end, and an object at the start of a line is
                // a new one. So this object is broken.
                b'\n' if self.in_string => return Looked::Broken,
                b'\n' => match bytes.get(self.at) {
                    Some(b'{') => return Looked::Broken,
                    Some(_) => {}
                    None => {
                        self.at -= 1;
                        return Looked::Open;
                    }
                },
                b'"' => self.in_string = !self.in_string,
                b'\\' if self.in_string => self.at += 1,
                b'{' | b'[' if !self.in_string => self.depth += 1,
                b'}' | b']' if !self.in_string => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Looked::Whole(self.at);
                    }
                }
                _ => {}
            }
        }
        Looked::Open
    }
}
