//! Decodes blocks into fields.

use super::coding::{read_number, read_text};
use super::table::{Name, Table};
use super::{Class, Field, HpackError, TABLE_BYTES};

/// Reads the blocks of one connection.
#[derive(Debug)]
pub struct Decoder {
    table: Table,
    /// The largest size of the table.
    bytes_max: usize,
    name: Vec<u8>,
    value: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(TABLE_BYTES)
    }
}

impl Decoder {
    /// A decoder with a dynamic table of at most this size, as our settings announce.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            table: Table::new(bytes_max),
            bytes_max,
            name: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Calls `take` with each field of a block. Texts are as long as the block allows, so
    /// the caller must bound what it keeps.
    pub fn decode(
        &mut self,
        block: &[u8],
        mut take: impl FnMut(Field<'_>),
    ) -> Result<(), HpackError> {
        let mut rest = block;
        let mut is_first = true;
        while let Some(&first) = rest.first() {
            if first & 0x80 != 0 {
                let index = read_number(&mut rest, 7)?;
                take(self.table.get(index).ok_or(HpackError::Index)?);
            } else if first & 0xe0 == 0x20 {
                let bytes_max = read_number(&mut rest, 5)?;
                if !is_first || bytes_max > self.bytes_max {
                    return Err(HpackError::Size);
                }
                self.table.resize(bytes_max);
                continue;
            } else {
                let inserts = first & 0x40 != 0;
                let index = read_number(&mut rest, if inserts { 6 } else { 4 })?;
                let literal = match index {
                    0 => Some(read_text(&mut rest, 7, &mut self.name)?),
                    _ => None,
                };
                let value = read_text(&mut rest, 7, &mut self.value)?;
                let (name, class) = match literal {
                    Some(name) => (name, Class::of(name)),
                    None => {
                        let known = self.table.get(index).ok_or(HpackError::Index)?;
                        (known.name, known.class)
                    }
                };
                take(Field { name, value, class });
                if inserts {
                    let name = literal.map_or(Name::Index(index), Name::Text);
                    self.table.insert(name, value, class);
                }
            }
            is_first = false;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Decoder, HpackError};

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<_> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits
            .chunks(2)
            .map(|pair| (pair[0] << 4 | pair[1]) as u8)
            .collect()
    }

    fn decoded(decoder: &mut Decoder, hex: &str) -> Vec<String> {
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        decoder
            .decode(&bytes(hex), |field| {
                fields.push(format!("{}: {}", text(field.name), text(field.value)));
            })
            .unwrap();
        fields
    }

    /// RFC 7541, appendices C.2 to C.6: blocks, their fields, and the table's size and
    /// entries after each.
    #[test]
    fn vectors_of_the_rfc() {
        let single = [
            (
                "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
                "custom-key: custom-header",
                55,
            ),
            (
                "040c 2f73 616d 706c 652f 7061 7468",
                ":path: /sample/path",
                0,
            ),
            (
                "1008 7061 7373 776f 7264 0673 6563 7265 74",
                "password: secret",
                0,
            ),
            ("82", ":method: GET", 0),
        ];
        for (hex, field, table_bytes) in single {
            let mut decoder = Decoder::default();
            assert_eq!(decoded(&mut decoder, hex), [field]);
            assert_eq!(decoder.table.fields().1, table_bytes);
        }
        let requests = [
            [
                "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                "8286 84be 5808 6e6f 2d63 6163 6865",
                "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
            ],
            [
                "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
                "8286 84be 5886 a8eb 1064 9cbf",
                "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
            ],
        ];
        for blocks in requests {
            let mut decoder = Decoder::default();
            assert_eq!(
                decoded(&mut decoder, blocks[0]),
                [
                    ":method: GET",
                    ":scheme: http",
                    ":path: /",
                    ":authority: www.example.com"
                ]
            );
            assert_eq!(decoder.table.fields().1, 57);
            assert_eq!(
                decoded(&mut decoder, blocks[1]),
                [
                    ":method: GET",
                    ":scheme: http",
                    ":path: /",
                    ":authority: www.example.com",
                    "cache-control: no-cache"
                ]
            );
            assert_eq!(decoder.table.fields().1, 110);
            assert_eq!(
                decoded(&mut decoder, blocks[2]),
                [
                    ":method: GET",
                    ":scheme: https",
                    ":path: /index.html",
                    ":authority: www.example.com",
                    "custom-key: custom-value"
                ]
            );
            let (fields, table_bytes) = decoder.table.fields();
            assert_eq!(table_bytes, 164);
            assert_eq!(
                fields[0],
                ("custom-key".to_owned(), "custom-value".to_owned())
            );
        }
        let responses = [
            [
                "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
                "4803 3330 37c1 c0bf",
                "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
            ],
            [
                "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
                "4883 640e ffc1 c0bf",
                "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
            ],
        ];
        for blocks in responses {
            let mut decoder = Decoder::new(256);
            let all = |status: &str| {
                vec![
                    format!(":status: {status}"),
                    "cache-control: private".to_owned(),
                    "date: Mon, 21 Oct 2013 20:13:21 GMT".to_owned(),
                    "location: https://www.example.com".to_owned(),
                ]
            };
            assert_eq!(decoded(&mut decoder, blocks[0]), all("302"));
            assert_eq!(decoder.table.fields().1, 222);
            assert_eq!(decoded(&mut decoder, blocks[1]), all("307"));
            assert_eq!(decoder.table.fields().1, 222);
            assert_eq!(
                decoded(&mut decoder, blocks[2]),
                [
                    ":status: 200",
                    "cache-control: private",
                    "date: Mon, 21 Oct 2013 20:13:22 GMT",
                    "location: https://www.example.com",
                    "content-encoding: gzip",
                    "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
                ]
            );
            let (fields, table_bytes) = decoder.table.fields();
            assert_eq!(table_bytes, 215);
            let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["set-cookie", "content-encoding", "date"]);
        }
    }

    #[test]
    fn what_is_no_block_is_an_error() {
        for (hex, error) in [
            ("80", HpackError::Index),
            ("be", HpackError::Index),
            ("7f00 00", HpackError::Index),
            ("ff ffff ffff ffff 7f", HpackError::Number),
            ("ff", HpackError::Cut),
            ("40", HpackError::Cut),
            ("400a 63", HpackError::Cut),
            ("40 7fff ffff 7f 00", HpackError::Cut),
            ("82 20", HpackError::Size),
            ("3f e2 1f", HpackError::Size), // 4097
            ("04 81 18", HpackError::Huffman),
        ] {
            let result = Decoder::default().decode(&bytes(hex), |_| {});
            assert_eq!(result, Err(error), "{hex}");
        }
        // Two sizes at the start are valid, and the second one counts.
        let mut decoder = Decoder::default();
        assert_eq!(decoded(&mut decoder, "20 3fe11f 4001 6101 62"), ["a: b"]);
        assert_eq!(decoded(&mut decoder, "be"), ["a: b"]);
        assert!(decoded(&mut decoder, "20").is_empty());
        assert!(decoder.decode(&bytes("be"), |_| {}).is_err());
        // A field that is larger than the table empties it.
        let mut decoder = Decoder::new(40);
        assert_eq!(decoded(&mut decoder, "4001 6101 62"), ["a: b"]);
        decoded(&mut decoder, "40 01 61 08 6162 6364 6566 6768");
        assert_eq!(decoder.table.fields(), (Vec::new(), 0));
    }
}
