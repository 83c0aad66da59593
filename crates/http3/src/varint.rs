//! The variable-length integers of QUIC (RFC 9000, 16).

/// The longest encoding of an integer.
pub(crate) const BYTES_MAX: usize = 8;

/// An integer, and the number of its bytes; `None` if bytes are missing.
#[inline]
pub(crate) fn read(bytes: &[u8]) -> Option<(u64, usize)> {
    let &first = bytes.first()?;
    let length = 1 << (first >> 6);
    let rest = bytes.get(1..length)?;
    let value = u64::from(first & 0x3f);
    let value = rest
        .iter()
        .fold(value, |value, &byte| value << 8 | u64::from(byte));
    Some((value, length))
}

/// Appends an integer, which is below 2^62, in its shortest encoding.
pub(crate) fn write(value: u64, out: &mut Vec<u8>) {
    let bytes = value.to_be_bytes();
    let (start, length) = match value {
        0..0x40 => (7, 0),
        0x40..0x4000 => (6, 1),
        0x4000..0x4000_0000 => (4, 2),
        _ => (0, 3),
    };
    let at = out.len();
    out.extend_from_slice(&bytes[start..]);
    out[at] |= length << 6;
}

#[cfg(test)]
mod tests {
    use super::{read, write};

    /// RFC 9000, A.1.
    #[test]
    fn vectors_of_the_rfc() {
        let cases: [(&[u8], u64); 5] = [
            (
                &[0xc2, 0x19, 0x7c, 0x5e, 0xff, 0x14, 0xe8, 0x8c],
                151_288_809_941_952_652,
            ),
            (&[0x9d, 0x7f, 0x3e, 0x7d], 494_878_333),
            (&[0x7b, 0xbd], 15_293),
            (&[0x25], 37),
            (&[0], 0),
        ];
        for (bytes, value) in cases {
            assert_eq!(read(bytes), Some((value, bytes.len())));
            let mut written = Vec::new();
            write(value, &mut written);
            assert_eq!(written, bytes);
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut]), None);
            }
        }
        assert_eq!(read(&[0x40, 0x25]), Some((37, 2)), "a longer encoding");
    }
}
