//! The lines of a head.

use crate::error::ResponseError;

/// One field. A folded field (obs-fold) has several lines, and line ends in its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The offset of its first line.
    pub start: usize,
    /// Its lines, with their ends.
    pub lines: &'a [u8],
    /// Its name; empty if a line has no colon.
    pub name: &'a [u8],
    /// Its value, without blanks around it.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// Whether it has this name.
    #[inline]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// The iterator of [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    text: &'a [u8],
    at: usize,
}

/// The fields of these lines, up to an empty one. Pass the lines without the first line
/// of the request or response.
#[inline]
pub fn fields(text: &[u8]) -> Fields<'_> {
    Fields { text, at: 0 }
}

/// The value of the first field with this name.
pub fn field<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    fields(text)
        .find(|field| field.is(name))
        .map(|field| field.value)
}

impl<'a> Fields<'a> {
    /// The next field whose name starts with one of these bytes; other fields are skipped
    /// quickly. An error means that a line has no colon.
    #[inline]
    pub(crate) fn next_of(&mut self, firsts: &[u8]) -> Result<Option<Field<'a>>, ResponseError> {
        loop {
            let rest = &self.text[self.at..];
            match rest.first() {
                None => return Ok(None),
                Some(first) if firsts.contains(first) => {
                    let field = self.next();
                    return match &field {
                        Some(field) if field.name.is_empty() => Err(ResponseError::Field),
                        _ => Ok(field),
                    };
                }
                Some(b'\r' | b'\n') if matches!(rest, [b'\n', ..] | [b'\r', b'\n', ..]) => {
                    return Ok(None);
                }
                Some(b' ' | b'\t') => self.at += line_bytes(rest),
                Some(_) => {
                    let bytes = line_bytes(rest);
                    if memchr::memchr(b':', &rest[..bytes]).is_none() {
                        // The field may continue in the next line.
                        return match self.next() {
                            Some(field) if field.lines.contains(&b':') => continue,
                            _ => Err(ResponseError::Field),
                        };
                    }
                    self.at += bytes;
                }
            }
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    #[inline]
    fn next(&mut self) -> Option<Field<'a>> {
        let start = self.at;
        let rest = self.text.get(start..).filter(|rest| !rest.is_empty())?;
        let mut length = line_bytes(rest);
        if matches!(&rest[..length], b"\r\n" | b"\n") {
            return None;
        }
        while matches!(rest.get(length), Some(b' ' | b'\t')) {
            length += line_bytes(&rest[length..]);
        }
        self.at = start + length;
        let lines = &rest[..length];
        let (name, value): (&[u8], &[u8]) = match memchr::memchr(b':', lines) {
            Some(colon) => (
                lines[..colon].trim_ascii_end(),
                lines[colon + 1..].trim_ascii(),
            ),
            None => (b"", lines.trim_ascii()),
        };
        Some(Field {
            start,
            lines,
            name,
            value,
        })
    }
}

/// The length of the first line, with its end.
#[inline]
fn line_bytes(text: &[u8]) -> usize {
    memchr::memchr(b'\n', text).map_or(text.len(), |end| end + 1)
}

/// The end of the head: after its first empty line. Bytes before `from` were searched
/// already.
#[inline]
pub fn head_end(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from.saturating_sub(3);
    while let Some(found) = memchr::memchr(b'\n', &text[at..]) {
        let end = at + found + 1;
        let before = &text[..end - 1];
        if end > from && (before.ends_with(b"\n") || before.ends_with(b"\n\r")) {
            return Some(end);
        }
        at = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{field, fields, head_end};

    #[test]
    fn lines_of_every_kind() {
        let text = b"A: b\r\nX-Foo : 2\r\nB:c\n d\r\n\t e\r\nno colon\r\n@[]\xff:\r\n\r\nC: d";
        let found: Vec<_> = fields(text)
            .map(|field| (field.name, field.value))
            .collect();
        let expected: [(&[u8], &[u8]); 5] = [
            (b"A", b"b"),
            (b"X-Foo", b"2"),
            (b"B", b"c\n d\r\n\t e"),
            (b"", b"no colon"),
            (b"@[]\xff", b""),
        ];
        assert_eq!(found, expected);
        assert_eq!(field(text, "x-foo"), Some(&b"2"[..]));
        assert_eq!(field(text, "C"), None);
        let lines: Vec<u8> = fields(text)
            .flat_map(|field| field.lines.to_vec())
            .collect();
        assert!(text.starts_with(&lines));
    }

    #[test]
    fn heads_end_at_an_empty_line() {
        for (text, from, end) in [
            (&b"a\r\n\r\nb"[..], 0, Some(5)),
            (b"a\n\nb", 0, Some(3)),
            (b"a\n\r\nb", 3, Some(4)),
            (b"a\r\nb\r\n", 0, None),
            (b"", 0, None),
        ] {
            assert_eq!(head_end(text, from), end, "{text:?}");
        }
    }
}
