//! Compressed heads of HTTP/2.

use encarno_http2::hpack::{Decoder, Encoder, write_field};

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// The fields; `None` if the block can't be decoded.
fn fields(decoder: &mut Decoder, block: &[u8]) -> Option<Fields> {
    let mut fields = Vec::new();
    let mut bytes = 0;
    let result = decoder.decode(block, |field| {
        // A reference to the table is one byte, and may mean a long field.
        bytes += field.name.len() + field.value.len();
        if bytes < 1 << 20 {
            fields.push((field.name.to_vec(), field.value.to_vec()));
        }
    });
    result.is_ok().then_some(fields)
}

/// Decodes the blocks of one connection, each preceded by its length. Decoded fields are
/// encoded and decoded again, with a table and without.
pub(crate) fn heads(bytes: &[u8]) {
    let (mut decoder, mut rest) = (Decoder::default(), bytes);
    let (mut encoder, mut again) = (Encoder::default(), Decoder::default());
    while let Some((&[high, low], after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(after.len());
        let (block, after) = after.split_at(length);
        rest = after;
        let Some(found) = fields(&mut decoder, block) else {
            return;
        };
        let (mut plain, mut indexed) = (Vec::new(), Vec::new());
        encoder.begin(&mut indexed);
        for (name, value) in &found {
            write_field(name, value, &mut plain);
            encoder.field(name, value, &mut indexed);
        }
        assert_eq!(
            fields(&mut Decoder::default(), &plain).as_ref(),
            Some(&found)
        );
        assert_eq!(fields(&mut again, &indexed).as_ref(), Some(&found));
    }
}
