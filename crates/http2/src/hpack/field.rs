//! A field, and why a block has none.

use super::Class;

/// A field of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Its name, in lower case.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// What the name means.
    pub class: Class,
}

/// A block that can't be read: the connection is of no use any more.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum HpackError {
    /// It ends within a field.
    #[error("a header block ends within a field")]
    Cut,
    /// A number that is too large.
    #[error("a number in a header block is too large")]
    Number,
    /// A field that no table has.
    #[error("a header block names a field that no table has")]
    Index,
    /// A text that isn't Huffman code.
    #[error("a header block has a text that isn't Huffman code")]
    Huffman,
    /// A table's new size stands after a field, or is larger than allowed.
    #[error("a header block changes the table's size where or as it must not")]
    Size,
}
