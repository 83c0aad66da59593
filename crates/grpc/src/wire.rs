//! Fields of Protocol Buffers, for messages without a descriptor.

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number.
    Number(u64),
    /// Text, bytes, or a message.
    Bytes(&'a [u8]),
    /// A value of a fixed size.
    Fixed,
}

/// The bytes aren't a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadWire;

/// The fields of a message, with their numbers.
pub fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u32, Value<'_>), BadWire>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let field = field(&mut bytes).ok_or(BadWire);
        if field.is_err() {
            bytes = &[];
        }
        Some(field)
    })
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let tag = number(bytes)?;
    let value = match tag & 7 {
        0 => Value::Number(number(bytes)?),
        1 => {
            *bytes = bytes.split_at_checked(8)?.1;
            Value::Fixed
        }
        2 => {
            let length = usize::try_from(number(bytes)?).ok()?;
            let (value, rest) = bytes.split_at_checked(length)?;
            *bytes = rest;
            Value::Bytes(value)
        }
        5 => {
            *bytes = bytes.split_at_checked(4)?.1;
            Value::Fixed
        }
        _ => return None,
    };
    Some((u32::try_from(tag >> 3).ok()?, value))
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for at in 0..10 {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Appends a field with a number. 0 is left out, because it is the default.
pub fn write_number(field: u32, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        write_varint(u64::from(field) << 3, out);
        write_varint(value, out);
    }
}

/// Appends a field with bytes, text, or a message.
pub fn write_bytes(field: u32, bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(u64::from(field) << 3 | 2, out);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use super::{BadWire, Value, fields, write_bytes, write_number};

    #[test]
    fn fields_there_and_back() {
        let mut bytes = Vec::new();
        write_number(1, u64::MAX, &mut bytes);
        write_number(2, 0, &mut bytes);
        write_bytes(200, b"text", &mut bytes);
        let found: Result<Vec<_>, _> = fields(&bytes).collect();
        let expected = vec![(1, Value::Number(u64::MAX)), (200, Value::Bytes(b"text"))];
        assert_eq!(found, Ok(expected));
        for end in 0..bytes.len() {
            assert!(fields(&bytes[..end]).count() <= 2);
        }
        let endless = [
            0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1,
        ];
        assert_eq!(fields(&endless).last(), Some(Err(BadWire)));
        assert_eq!(fields(&[0x0b]).last(), Some(Err(BadWire)));
    }
}
