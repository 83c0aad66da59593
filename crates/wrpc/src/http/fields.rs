//! Headers and trailers on the wire.

use bytes::Bytes;

use crate::value::{DecodeError, Reader, Write as _};

/// A header or trailer. Several with the same name follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, a token.
    pub name: String,
    /// Its value: bytes without line breaks.
    pub value: Bytes,
}

const FIELD_NAME: &str = "header name, which must be a token";
const FIELD_VALUE: &str = "header value, which must not hold control characters";

/// The value of a future of trailers.
pub(super) type Trailers = Option<Vec<Field>>;

/// Whether these bytes can be the name of a header or a method.
pub fn is_token(name: &[u8]) -> bool {
    !name.is_empty()
        && name
            .iter()
            .all(|&byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Whether these bytes can be the value of a header.
pub fn is_field_value(value: &[u8]) -> bool {
    value
        .iter()
        .all(|&byte| byte == b'\t' || (byte >= b' ' && byte != 0x7f))
}

/// Writes `option<fields>`, the value of a future of trailers.
pub(crate) fn write_trailers(encoded: &mut Vec<u8>, trailers: Option<&[Field]>) {
    option(encoded, trailers, write_fields);
}

/// Reads what [`write_trailers`] wrote.
pub(crate) fn read_trailers(encoded: &Bytes) -> Result<Trailers, DecodeError> {
    let mut reader = Reader::new(encoded);
    let trailers = read_option(&mut reader, |reader| read_fields(reader, encoded))?;
    reader.finish()?;
    Ok(trailers)
}

pub(super) fn write_fields(encoded: &mut Vec<u8>, fields: &[Field]) {
    // On the wire, each name occurs once, with all of its values. Headers are few, so
    // comparing all pairs is fastest.
    let is_first = |index: usize| {
        let name = &fields[index].name;
        !fields[..index]
            .iter()
            .any(|earlier| earlier.name.eq_ignore_ascii_case(name))
    };
    let names = (0..fields.len()).filter(|&index| is_first(index)).count();
    encoded.unsigned(names as u64);
    for (index, field) in fields.iter().enumerate() {
        if !is_first(index) {
            continue;
        }
        let same = || {
            fields[index..]
                .iter()
                .filter(|other| other.name.eq_ignore_ascii_case(&field.name))
        };
        encoded.bytes(field.name.as_bytes());
        encoded.unsigned(same().count() as u64);
        for field in same() {
            encoded.bytes(&field.value);
        }
    }
}

pub(super) fn read_fields(
    reader: &mut Reader<'_>,
    whole: &Bytes,
) -> Result<Vec<Field>, DecodeError> {
    let mut fields = Vec::new();
    each_field(reader, |name, value| {
        fields.push(Field {
            name: name.to_owned(),
            value: whole.slice_ref(value),
        });
    })?;
    Ok(fields)
}

/// Walks over `list<tuple<string, list<list<u8>>>>` and checks names and values.
pub(super) fn each_field<'a>(
    reader: &mut Reader<'a>,
    mut give: impl FnMut(&'a str, &'a [u8]),
) -> Result<(), DecodeError> {
    for _ in 0..reader.length()? {
        let at = reader.position();
        let name = reader.string()?;
        if !is_token(name.as_bytes()) {
            return Err(Reader::invalid(at, FIELD_NAME));
        }
        for _ in 0..reader.length()? {
            let at = reader.position();
            let value = reader.bytes()?;
            if !is_field_value(value) {
                return Err(Reader::invalid(at, FIELD_VALUE));
            }
            give(name, value);
        }
    }
    Ok(())
}

pub(super) fn option<T>(
    encoded: &mut Vec<u8>,
    value: Option<T>,
    write: impl FnOnce(&mut Vec<u8>, T),
) {
    match value {
        None => encoded.push(0),
        Some(value) => {
            encoded.push(1);
            write(encoded, value);
        }
    }
}

pub(super) fn read_option<'a, T>(
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, DecodeError>,
) -> Result<Option<T>, DecodeError> {
    match reader.bit("option")? {
        true => read(reader).map(Some),
        false => Ok(None),
    }
}
