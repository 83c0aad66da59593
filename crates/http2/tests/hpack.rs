//! HPACK beside another implementation of it: each reads what the other writes,
//! and what is no block is an error or fields, and never a panic.

use encarno_http2::hpack::{Decoder, Encoder, HpackError, write_field};
use proptest::prelude::*;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::sample::select(
            &[
                "accept",
                "cookie",
                "date",
                "location",
                ":path",
                ":status",
                "x-a",
                "x-b",
                "authorization",
                "content-length"
            ][..]
        )
        .prop_map(|name| name.as_bytes().to_vec()),
        proptest::collection::vec(b'a'..=b'z', 1..20),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::sample::select(&["", "200", "/", "gzip, deflate", "a"][..])
            .prop_map(|value| value.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
        proptest::collection::vec(any::<u8>(), 900..1500),
    ]
}

fn blocks() -> impl Strategy<Value = Vec<Fields>> {
    proptest::collection::vec(proptest::collection::vec((name(), value()), 0..12), 1..12)
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> Result<Fields, HpackError> {
    let mut fields = Fields::new();
    decoder.decode(block, |field| {
        fields.push((field.name.to_vec(), field.value.to_vec()));
    })?;
    Ok(fields)
}

fn decoded_by_oracle(decoder: &mut httlib_hpack::Decoder<'_>, block: &[u8]) -> Option<Fields> {
    let (mut block, mut fields) = (block.to_vec(), Vec::new());
    decoder.decode(&mut block, &mut fields).ok()?;
    Some(
        fields
            .into_iter()
            .map(|(name, value, _)| (name, value))
            .collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_one_writes_the_other_reads(
        blocks in blocks(),
        sizes in proptest::collection::vec(proptest::option::of(0_usize..6000), 12),
    ) {
        let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
        let mut oracle = httlib_hpack::Decoder::with_dynamic_size(4096);
        for (fields, size) in blocks.iter().zip(&sizes) {
            if let Some(size) = size {
                encoder.resize(*size);
            }
            let (mut indexed, mut plain) = (Vec::new(), Vec::new());
            encoder.begin(&mut indexed);
            for (name, value) in fields {
                encoder.field(name, value, &mut indexed);
                write_field(name, value, &mut plain);
            }
            prop_assert_eq!(&decoded(&mut decoder, &indexed).unwrap(), fields);
            prop_assert_eq!(&decoded_by_oracle(&mut oracle, &indexed).unwrap(), fields);
            // Without a table it is the same on any connection, in the middle of others.
            prop_assert_eq!(&decoded(&mut decoder, &plain).unwrap(), fields);
            prop_assert_eq!(&decoded_by_oracle(&mut oracle, &plain).unwrap(), fields);
        }
    }

    #[test]
    fn what_the_other_writes_is_read(blocks in blocks(), flags in any::<u64>()) {
        let mut decoder = Decoder::default();
        let mut oracle = httlib_hpack::Encoder::with_dynamic_size(4096);
        let mut flags = flags;
        for fields in blocks {
            let mut block = Vec::new();
            for (name, value) in &fields {
                use httlib_hpack::Encoder as E;
                let kinds = [
                    E::WITH_INDEXING | E::HUFFMAN_VALUE | E::BEST_FORMAT,
                    E::WITH_INDEXING | E::HUFFMAN_NAME,
                    E::NEVER_INDEXED,
                    E::BEST_FORMAT,
                ];
                let kind = kinds[(flags & 3) as usize];
                flags = flags.rotate_right(2);
                oracle.encode((name.clone(), value.clone(), kind), &mut block).unwrap();
            }
            prop_assert_eq!(decoded(&mut decoder, &block).unwrap(), fields);
        }
    }

    #[test]
    fn any_bytes_are_fields_or_an_error(blocks in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..200), 1..5,
    )) {
        let mut decoder = Decoder::default();
        for block in blocks {
            if decoded(&mut decoder, &block).is_err() {
                break;
            }
        }
    }
}
