//! A field, and the errors of blocks.

use super::Class;

/// A field of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, in lower case.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// The class of its name.
    pub class: Class,
}

/// An invalid block, after which the connection can't be used any more.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HpackError {
    /// The block ends within a field.
    #[error("a header block ends within a field")]
    Cut,
    /// A number is too large.
    #[error("a number in a header block is too large")]
    Number,
    /// A number isn't in any table.
    #[error("a header block names a field that no table has")]
    Index,
    /// A text isn't valid Huffman code.
    #[error("a header block has a text that isn't Huffman code")]
    Huffman,
    /// A new table size comes after a field, or is too large.
    #[error("a header block changes the table's size where or as it must not")]
    Size,
}
