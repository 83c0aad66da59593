//! HPACK (RFC 7541): the compression of heads.
//!
//! - field: a field, and why a block has none
//! - huffman: the Huffman code of texts
//! - [`coding`]: numbers and texts within blocks
//! - table: the static and the dynamic table of fields
//! - class: the class of a field's name
//! - decoder, encoder: read and write blocks of fields

pub mod coding;

mod class;
mod decoder;
mod encoder;
mod field;
mod huffman;
mod table;

pub use class::Class;
pub use decoder::Decoder;
pub use encoder::{Encoder, is_secret, write_field};
pub use field::{Field, HpackError};

/// The default size of a dynamic table.
pub const TABLE_BYTES: usize = 4096;
