//! The Huffman code of RFC 7541, appendix B. It is canonical, so the lengths of its codes
//! define it.

use super::HpackError;

/// The number of bits of each byte's code, and of the end of a text, which is never sent.
const BITS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, // 0x00
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, // 0x10
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, // 0x20
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, // 0x30
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, // 0x40
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, // 0x50
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, // 0x60
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, // 0x70
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, // 0x80
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, // 0x90
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, // 0xa0
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, // 0xb0
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, // 0xc0
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, // 0xd0
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, // 0xe0
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, // 0xf0
    30,
];
const EOS: usize = 256;
const BITS_MAX: usize = 30;
/// The number of bits that are looked up at once.
const QUICK_BITS: usize = 10;

struct Code {
    /// The code of each byte.
    codes: [u32; 257],
    /// By the first bits: a byte and the length of its code; 0 means that the code is
    /// longer.
    quick: [(u8, u8); 1 << QUICK_BITS],
    /// By the length of a code: the first code, and the index of its byte in `order`.
    first: [(u32, u16); BITS_MAX + 2],
    /// All bytes in the order of their codes.
    order: [u16; 257],
}

const CODE: Code = make();
static TABLES: Code = CODE;

const fn make() -> Code {
    let mut code = Code {
        codes: [0; 257],
        quick: [(0, 0); 1 << QUICK_BITS],
        first: [(0, 0); BITS_MAX + 2],
        order: [0; 257],
    };
    let (mut next, mut place, mut bits) = (0_u32, 0, 1);
    while bits <= BITS_MAX + 1 {
        next <<= 1;
        code.first[bits] = (next, place as u16);
        let mut symbol = 0;
        while symbol < 257 {
            if BITS[symbol] as usize == bits {
                code.codes[symbol] = next;
                code.order[place] = symbol as u16;
                if bits <= QUICK_BITS {
                    let start = (next as usize) << (QUICK_BITS - bits);
                    let mut at = start;
                    while at < start + (1 << (QUICK_BITS - bits)) {
                        code.quick[at] = (symbol as u8, bits as u8);
                        at += 1;
                    }
                }
                place += 1;
                next += 1;
            }
            symbol += 1;
        }
        bits += 1;
    }
    code
}

/// The number of bytes of the encoded text.
pub(super) fn encoded_len(text: &[u8]) -> usize {
    let bits: usize = text
        .iter()
        .map(|&byte| usize::from(BITS[usize::from(byte)]))
        .sum();
    bits.div_ceil(8)
}

/// Appends the text's code.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut held, mut count) = (0_u64, 0);
    for &byte in text {
        let bits = u32::from(BITS[usize::from(byte)]);
        held = held << bits | u64::from(TABLES.codes[usize::from(byte)]);
        count += bits;
        while count >= 8 {
            count -= 8;
            out.push((held >> count) as u8);
        }
    }
    if count > 0 {
        // The padding is the first bits of EOS, which are ones.
        out.push((held << (8 - count)) as u8 | (0xff >> count));
    }
}

/// Appends the decoded text.
pub(super) fn decode(code: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    let mut rest = code;
    // The next bits are the upper ones.
    let (mut held, mut count) = (0_u64, 0_usize);
    loop {
        if let Some((word, after)) = rest.split_first_chunk::<4>()
            && count <= 32
        {
            held |= u64::from(u32::from_be_bytes(*word)) << (32 - count);
            count += 32;
            rest = after;
        }
        while count <= 56
            && rest.len() < 4
            && let [byte, after @ ..] = rest
        {
            held |= u64::from(*byte) << (56 - count);
            count += 8;
            rest = after;
        }
        let (byte, bits) = TABLES.quick[(held >> (64 - QUICK_BITS)) as usize];
        let (byte, bits) = match usize::from(bits) {
            0 => match long(held, count) {
                Some(found) => found,
                None => break,
            },
            bits => (usize::from(byte), bits),
        };
        if bits > count {
            break;
        }
        if byte == EOS {
            return Err(HpackError::Huffman);
        }
        out.push(byte as u8);
        held <<= bits;
        count -= bits;
    }
    // The rest is padding: less than a byte, all ones.
    let is_padding = count < 8 && held == (u64::MAX << (64 - count.max(1))) * u64::from(count > 0);
    if is_padding {
        Ok(())
    } else {
        Err(HpackError::Huffman)
    }
}

/// Finds a code that is longer than those that are looked up at once.
fn long(held: u64, count: usize) -> Option<(usize, usize)> {
    (QUICK_BITS + 1..=BITS_MAX.min(count)).find_map(|bits| {
        let code = (held >> (64 - bits)) as u32;
        let (first, place) = TABLES.first[bits];
        let (_, end) = TABLES.first[bits + 1];
        let nth = usize::from(place) + code.checked_sub(first)? as usize;
        (nth < usize::from(end)).then(|| (usize::from(TABLES.order[nth]), bits))
    })
}

#[cfg(test)]
mod tests {
    use super::{decode, encode, encoded_len};

    #[test]
    fn every_text_comes_back() {
        let all: Vec<u8> = (0..=255).collect();
        for text in [&b""[..], b"a", b"www.example.com", &all] {
            let mut code = Vec::new();
            encode(text, &mut code);
            assert_eq!(code.len(), encoded_len(text));
            let mut back = Vec::new();
            decode(&code, &mut back).unwrap();
            assert_eq!(back, text);
        }
        for byte in 0..=255 {
            let (mut code, mut back) = (Vec::new(), Vec::new());
            encode(&[byte; 3], &mut code);
            decode(&code, &mut back).unwrap();
            assert_eq!(back, [byte; 3]);
        }
    }

    #[test]
    fn padding_is_less_than_a_byte_of_ones_and_the_end_is_never_sent() {
        let decoded = |code: &[u8]| decode(code, &mut Vec::new());
        assert!(decoded(&[0x1f]).is_ok()); // a, and three ones
        assert!(decoded(&[0x18]).is_err()); // a, and three zeros
        assert!(decoded(&[0x1f, 0xff]).is_err()); // a whole byte of padding
        assert!(decoded(&[0xff]).is_err());
        assert!(decoded(&[0xff, 0xff, 0xff, 0xfc]).is_err()); // EOS itself
        assert!(decoded(&[0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
