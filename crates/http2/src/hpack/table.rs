//! The static and the dynamic table of fields.

use std::collections::VecDeque;

use super::{Class, Field};

/// The size of an entry in addition to its text (RFC 7541, 4.1).
pub(super) const OVERHEAD: usize = 32;

/// Appendix A; the first one has number 1.
pub(super) const STATIC: [(&[u8], &[u8], Class); 61] = {
    use Class::{Authority, Connection, ContentLength, Method, Path, Plain, Scheme, Status};
    [
        (b":authority", b"", Authority),
        (b":method", b"GET", Method),
        (b":method", b"POST", Method),
        (b":path", b"/", Path),
        (b":path", b"/index.html", Path),
        (b":scheme", b"http", Scheme),
        (b":scheme", b"https", Scheme),
        (b":status", b"200", Status),
        (b":status", b"204", Status),
        (b":status", b"206", Status),
        (b":status", b"304", Status),
        (b":status", b"400", Status),
        (b":status", b"404", Status),
        (b":status", b"500", Status),
        (b"accept-charset", b"", Plain),
        (b"accept-encoding", b"gzip, deflate", Plain),
        (b"accept-language", b"", Plain),
        (b"accept-ranges", b"", Plain),
        (b"accept", b"", Plain),
        (b"access-control-allow-origin", b"", Plain),
        (b"age", b"", Plain),
        (b"allow", b"", Plain),
        (b"authorization", b"", Plain),
        (b"cache-control", b"", Plain),
        (b"content-disposition", b"", Plain),
        (b"content-encoding", b"", Plain),
        (b"content-language", b"", Plain),
        (b"content-length", b"", ContentLength),
        (b"content-location", b"", Plain),
        (b"content-range", b"", Plain),
        (b"content-type", b"", Plain),
        (b"cookie", b"", Plain),
        (b"date", b"", Plain),
        (b"etag", b"", Plain),
        (b"expect", b"", Plain),
        (b"expires", b"", Plain),
        (b"from", b"", Plain),
        (b"host", b"", Plain),
        (b"if-match", b"", Plain),
        (b"if-modified-since", b"", Plain),
        (b"if-none-match", b"", Plain),
        (b"if-range", b"", Plain),
        (b"if-unmodified-since", b"", Plain),
        (b"last-modified", b"", Plain),
        (b"link", b"", Plain),
        (b"location", b"", Plain),
        (b"max-forwards", b"", Plain),
        (b"proxy-authenticate", b"", Plain),
        (b"proxy-authorization", b"", Plain),
        (b"range", b"", Plain),
        (b"referer", b"", Plain),
        (b"refresh", b"", Plain),
        (b"retry-after", b"", Plain),
        (b"server", b"", Plain),
        (b"set-cookie", b"", Plain),
        (b"strict-transport-security", b"", Plain),
        (b"transfer-encoding", b"", Connection),
        (b"user-agent", b"", Plain),
        (b"vary", b"", Plain),
        (b"via", b"", Plain),
        (b"www-authenticate", b"", Plain),
    ]
};

/// The dynamic table: the latest fields of a connection, in one buffer.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The texts, the oldest first; those before `gone` aren't used any more.
    text: Vec<u8>,
    gone: usize,
    entries: VecDeque<Entry>,
    /// The present and the largest size of the entries.
    bytes: usize,
    bytes_max: usize,
    /// The total number of bytes that were removed from the front of `text`.
    base: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Its offset, counted from the first byte that was ever added.
    start: u64,
    name_bytes: usize,
    value_bytes: usize,
    class: Class,
}

/// The origin of an entry's name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name<'a> {
    Text(&'a [u8]),
    /// A dynamic or static entry.
    Index(usize),
}

impl Table {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            bytes_max,
            ..Self::default()
        }
    }

    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// The static or dynamic field with this number.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<Field<'_>> {
        let index = index.checked_sub(1)?;
        if let Some(&(name, value, class)) = STATIC.get(index) {
            return Some(Field { name, value, class });
        }
        let place = self.entries.len().checked_sub(index - STATIC.len() + 1)?;
        Some(self.field(self.entries.get(place)?))
    }

    fn field(&self, entry: &Entry) -> Field<'_> {
        let start = (entry.start - self.base) as usize;
        let text = &self.text[start..start + entry.name_bytes + entry.value_bytes];
        let (name, value) = text.split_at(entry.name_bytes);
        Field {
            name,
            value,
            class: entry.class,
        }
    }

    /// The number of this field, or else of one with the same name, and whether the whole
    /// field matches.
    pub(super) fn find(&self, name: &[u8], value: &[u8]) -> Option<(usize, bool)> {
        let mut of_name = None;
        for (place, (known, its_value, _)) in STATIC.iter().enumerate() {
            if *known == name {
                if *its_value == value {
                    return Some((place + 1, true));
                }
                of_name = of_name.or(Some((place + 1, false)));
            }
        }
        for (place, entry) in self.entries.iter().rev().enumerate() {
            let field = self.field(entry);
            if field.name == name {
                let number = STATIC.len() + 1 + place;
                if field.value == value {
                    return Some((number, true));
                }
                of_name = of_name.or(Some((number, false)));
            }
        }
        of_name
    }

    /// Adds a field, and removes the oldest ones to make room.
    pub(super) fn insert(&mut self, name: Name<'_>, value: &[u8], class: Class) {
        let start = self.text.len();
        // The name may come from an entry that is removed now.
        match name {
            Name::Text(name) => self.text.extend_from_slice(name),
            Name::Index(index) => match index.checked_sub(STATIC.len() + 1) {
                None => {
                    let known = STATIC.get(index.wrapping_sub(1));
                    self.text
                        .extend_from_slice(known.map_or(b"", |known| known.0));
                }
                Some(back) => {
                    let place = self.entries.len().checked_sub(back + 1);
                    if let Some(entry) = place.and_then(|place| self.entries.get(place)) {
                        let start = (entry.start - self.base) as usize;
                        self.text
                            .extend_from_within(start..start + entry.name_bytes);
                    }
                }
            },
        }
        let entry = Entry {
            start: self.base + start as u64,
            name_bytes: self.text.len() - start,
            value_bytes: value.len(),
            class,
        };
        let bytes = entry.name_bytes + entry.value_bytes + OVERHEAD;
        self.shrink(self.bytes_max.saturating_sub(bytes));
        if bytes > self.bytes_max {
            // A field that is too large empties the table, and that isn't an error (RFC
            // 7541, 4.4).
            self.text.clear();
            self.gone = 0;
            return;
        }
        self.text.extend_from_slice(value);
        self.bytes += bytes;
        self.entries.push_back(entry);
        if self.gone > self.bytes_max {
            self.text.drain(..self.gone);
            self.base += self.gone as u64;
            self.gone = 0;
        }
    }

    /// Sets another size.
    pub(super) fn resize(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
        self.shrink(bytes_max);
    }

    fn shrink(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max
            && let Some(entry) = self.entries.pop_front()
        {
            let text_bytes = entry.name_bytes + entry.value_bytes;
            self.bytes -= text_bytes + OVERHEAD;
            self.gone += text_bytes;
        }
    }

    #[cfg(test)]
    pub(super) fn fields(&self) -> (Vec<(String, String)>, usize) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields = self.entries.iter().rev().map(|entry| self.field(entry));
        let fields = fields.map(|field| (text(field.name), text(field.value)));
        (fields.collect(), self.bytes)
    }
}
