//! HPACK (RFC 7541): the compression of heads.
//!
//! - field: a field, and why a block has none
//! - huffman: the one code of texts
//! - table: fields that are known by a number, static and dynamic
//! - class: what a field's name means for the connection
//! - decoder, encoder: blocks of fields

mod class;
mod decoder;
mod encoder;
mod field;
mod huffman;
mod table;

pub use class::Class;
pub use decoder::Decoder;
pub use encoder::{Encoder, write_field};
pub use field::{Field, HpackError};

/// The size of a dynamic table unless the decoder's side says otherwise.
pub const TABLE_BYTES: usize = 4096;
