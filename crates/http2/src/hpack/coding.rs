//! Numbers and texts within blocks, as HPACK and QPACK write them.

use super::{HpackError, huffman};

/// Reads an integer (RFC 7541, 5.1).
#[inline]
pub fn read_number(rest: &mut &[u8], prefix_bits: u32) -> Result<usize, HpackError> {
    let (first, mut tail) = rest.split_first().ok_or(HpackError::Cut)?;
    let mask = (1_usize << prefix_bits) - 1;
    let mut value = usize::from(*first) & mask;
    if value == mask {
        let mut shift = 0;
        loop {
            let (byte, after) = tail.split_first().ok_or(HpackError::Cut)?;
            tail = after;
            // No valid number reaches 2^28.
            if shift > 21 {
                return Err(HpackError::Number);
            }
            value += usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *rest = tail;
    Ok(value)
}

/// Reads a text (RFC 7541, 5.2). The bit before its length says whether it is Huffman code.
#[inline]
pub fn read_text<'a: 'b, 'b>(
    rest: &mut &'a [u8],
    prefix_bits: u32,
    buffer: &'b mut Vec<u8>,
) -> Result<&'b [u8], HpackError> {
    let is_code = rest
        .first()
        .is_some_and(|first| first & 1 << prefix_bits != 0);
    let length = read_number(rest, prefix_bits)?;
    let (bytes, after) = rest.split_at_checked(length).ok_or(HpackError::Cut)?;
    *rest = after;
    if !is_code {
        return Ok(bytes);
    }
    buffer.clear();
    huffman::decode(bytes, buffer)?;
    Ok(buffer)
}

/// Appends an integer behind the upper bits of its first byte.
pub fn write_number(value: usize, prefix_bits: u32, first: u8, out: &mut Vec<u8>) {
    let mask = (1_usize << prefix_bits) - 1;
    if value < mask {
        return out.push(first | value as u8);
    }
    out.push(first | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Appends the text or its Huffman code, whichever is shorter.
pub fn write_text(text: &[u8], prefix_bits: u32, first: u8, out: &mut Vec<u8>) {
    let length = huffman::encoded_len(text);
    if length < text.len() {
        write_number(length, prefix_bits, first | 1 << prefix_bits, out);
        huffman::encode(text, out);
    } else {
        write_number(text.len(), prefix_bits, first, out);
        out.extend_from_slice(text);
    }
}
