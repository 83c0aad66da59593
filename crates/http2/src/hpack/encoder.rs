//! Encodes fields into blocks.

use super::coding::{write_number, write_text};
use super::table::{Name, Table};
use super::{Class, TABLE_BYTES};

/// Appends a field without the dynamic table. Such a block can be sent on any connection,
/// and again.
pub fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    write(Table::default().find(name, value), name, value, false, out);
}

/// Writes the blocks of one connection, with a dynamic table.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    /// Sizes with which the next block begins.
    smallest: Option<usize>,
}

impl Default for Encoder {
    fn default() -> Self {
        Self {
            table: Table::new(TABLE_BYTES),
            smallest: None,
        }
    }
}

impl Encoder {
    /// Sets the largest size of the other side's table.
    pub fn resize(&mut self, bytes_max: usize) {
        let bytes_max = bytes_max.min(TABLE_BYTES);
        if bytes_max != self.table.bytes_max() {
            self.table.resize(bytes_max);
            self.smallest = Some(self.smallest.map_or(bytes_max, |size| size.min(bytes_max)));
        }
    }

    /// Begins a block.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(smallest) = self.smallest.take() {
            let bytes_max = self.table.bytes_max();
            if smallest != bytes_max {
                write_number(smallest, 5, 0x20, out);
            }
            write_number(bytes_max, 5, 0x20, out);
        }
    }

    /// Appends a field, which usually goes into the table.
    pub fn field(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        let found = self.table.find(name, value);
        // Fields that differ between messages would only push others out.
        let inserts = !is_secret(name) && !matches!(name, b":path" | b"content-length");
        write(found, name, value, inserts, out);
        if inserts && !matches!(found, Some((_, true))) {
            self.table.insert(Name::Text(name), value, Class::of(name));
        }
    }
}

fn write(
    found: Option<(usize, bool)>,
    name: &[u8],
    value: &[u8],
    inserts: bool,
    out: &mut Vec<u8>,
) {
    let (prefix_bits, first) = match (inserts, is_secret(name)) {
        (true, _) => (6, 0x40),
        // No intermediary may put it into a table, either.
        (_, true) => (4, 0x10),
        _ => (4, 0),
    };
    match found {
        Some((index, true)) => return write_number(index, 7, 0x80, out),
        Some((index, false)) => write_number(index, prefix_bits, first, out),
        None => {
            out.push(first);
            write_text(name, 7, 0, out);
        }
    }
    write_text(value, 7, 0, out);
}

/// Whether no intermediary may keep the field in a table.
pub fn is_secret(name: &[u8]) -> bool {
    matches!(name, b"authorization" | b"cookie" | b"proxy-authorization")
}
