//! QPACK (RFC 9204): the compression of heads. Neither side keeps a dynamic table here: our
//! settings allow the peer none, and what we write needs none.
//!
//! - table: the static table of fields

mod table;

use std::sync::LazyLock;

use encarno_http2::hpack::coding::{read_number, read_text, write_number, write_text};
use encarno_http2::hpack::{Class, Field, HpackError, is_secret};
use table::FIELDS;

/// The classes of the names in the static table.
static CLASSES: LazyLock<Vec<Class>> = LazyLock::new(|| {
    FIELDS
        .iter()
        .map(|(name, _)| Class::of(name.as_bytes()))
        .collect()
});

/// Begins a field section that needs no dynamic table.
pub fn begin(out: &mut Vec<u8>) {
    // The required insert count, and the base.
    out.extend_from_slice(&[0, 0]);
}

/// Appends a field.
pub fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    // No intermediary may put it into a table, either.
    let never = u8::from(is_secret(name));
    match table::find(name, value) {
        Some((index, true)) => return write_number(index, 6, 0xc0, out),
        Some((index, false)) => write_number(index, 4, 0x50 | never << 5, out),
        None => write_text(name, 3, 0x20 | never << 4, out),
    }
    write_text(value, 7, 0, out);
}

/// Reads field sections.
#[derive(Debug, Default)]
pub struct Decoder {
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Decoder {
    /// Calls `take` with each field of a section. Texts are as long as the section allows,
    /// so the caller must bound what it keeps.
    pub fn decode(
        &mut self,
        section: &[u8],
        mut take: impl FnMut(Field<'_>),
    ) -> Result<(), HpackError> {
        let mut rest = section;
        // Fields of the dynamic table would be counted here.
        if read_number(&mut rest, 8)? != 0 {
            return Err(HpackError::Index);
        }
        read_number(&mut rest, 7)?;
        let classes = &*CLASSES;
        while let Some(&first) = rest.first() {
            let (name, class);
            match first {
                0xc0.. => {
                    let index = read_number(&mut rest, 6)?;
                    let (name, value) = FIELDS.get(index).ok_or(HpackError::Index)?;
                    take(Field {
                        name: name.as_bytes(),
                        value: value.as_bytes(),
                        class: classes[index],
                    });
                    continue;
                }
                0x50..=0x5f | 0x70..=0x7f => {
                    let index = read_number(&mut rest, 4)?;
                    name = FIELDS.get(index).ok_or(HpackError::Index)?.0.as_bytes();
                    class = classes[index];
                }
                0x20..=0x3f => {
                    name = read_text(&mut rest, 3, &mut self.name)?;
                    class = Class::of(name);
                }
                // The others name fields of the dynamic table.
                _ => return Err(HpackError::Index),
            }
            let value = read_text(&mut rest, 7, &mut self.value)?;
            take(Field { name, value, class });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use encarno_http2::hpack::HpackError;

    use super::table::FIELDS;
    use super::{Decoder, begin, write_field};

    fn fields(section: &[u8]) -> Result<Vec<(String, String)>, HpackError> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Decoder::default().decode(section, |field| {
            fields.push((text(field.name), text(field.value)));
        })?;
        Ok(fields)
    }

    /// RFC 9204, B.1: a literal with a name of the static table.
    #[test]
    fn the_vector_of_the_rfc() {
        let section = [
            0x00, 0x00, 0x51, 0x0b, 0x2f, 0x69, 0x6e, 0x64, 0x65, 0x78, 0x2e, 0x68, 0x74, 0x6d,
            0x6c,
        ];
        let expected = (":path".to_owned(), "/index.html".to_owned());
        assert_eq!(fields(&section), Ok(vec![expected]));
    }

    /// Rows of RFC 9204, appendix A, by their numbers.
    #[test]
    fn rows_of_the_static_table() {
        for (index, name, value) in [
            (0, ":authority", ""),
            (1, ":path", "/"),
            (17, ":method", "GET"),
            (23, ":scheme", "https"),
            (25, ":status", "200"),
            (31, "accept-encoding", "gzip, deflate, br"),
            (52, "content-type", "text/html; charset=utf-8"),
            (63, ":status", "100"),
            (71, ":status", "500"),
            (83, "alt-svc", "clear"),
            (95, "user-agent", ""),
            (98, "x-frame-options", "sameorigin"),
        ] {
            assert_eq!(FIELDS[index], (name, value));
            let mut section = Vec::new();
            begin(&mut section);
            write_field(name.as_bytes(), value.as_bytes(), &mut section);
            let expected: &[u8] = match index {
                0..63 => &[0, 0, 0xc0 | index as u8],
                _ => &[0, 0, 0xff, index as u8 - 63],
            };
            assert_eq!(section, expected, "{name}: {value}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let long = "x".repeat(5000);
        let written = [
            (":method", "PATCH"),
            (":path", "/a?b=c"),
            ("user-agent", "encarno"),
            ("authorization", "Basic secret"),
            ("x-own", ""),
            ("x-much-longer-name-than-a-prefix", &long),
        ];
        let mut section = Vec::new();
        begin(&mut section);
        for (name, value) in written {
            write_field(name.as_bytes(), value.as_bytes(), &mut section);
        }
        let owned = written.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(fields(&section), Ok(owned.to_vec()));
        // Never indexed: the N bit of a name in the static table.
        let mut secret = Vec::new();
        write_field(b"authorization", b"a", &mut secret);
        assert_eq!(secret[0] & 0xf0, 0x70);
        for cut in 0..section.len() {
            let _no_panic = fields(&section[..cut]);
        }
    }

    #[test]
    fn a_section_that_needs_a_dynamic_table_is_an_error() {
        for (section, error) in [
            (&[][..], HpackError::Cut),
            (&[0], HpackError::Cut),
            (&[2, 0, 0xc1], HpackError::Index),
            (&[0, 0, 0x80], HpackError::Index),
            (&[0, 0, 0x10], HpackError::Index),
            (&[0, 0, 0x00, 0], HpackError::Index),
            (&[0, 0, 0x40, 0], HpackError::Index),
            (&[0, 0, 0xff, 99 - 63], HpackError::Index),
            (&[0, 0, 0x5f, 99 - 15, 0], HpackError::Index),
            (&[0, 0, 0x51, 5, b'a'], HpackError::Cut),
            (&[0, 0, 0x51, 0x81, 0x18], HpackError::Huffman),
            (
                &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
                HpackError::Number,
            ),
        ] {
            assert_eq!(fields(section), Err(error), "{section:x?}");
        }
    }
}
