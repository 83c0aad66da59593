//! Columns named by a `#Fields:` line: the W3C's extended log format, which IIS writes
//! with blanks and CloudFront with tabs.

use std::borrow::Cow;

use super::Logged;

/// The places of the columns.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    method: usize,
    path: usize,
    query: Option<usize>,
    host: Option<usize>,
}

impl Columns {
    /// The columns of a `#Fields:` line; `None` if it doesn't name the parts of a
    /// request.
    pub(super) fn of_directive(line: &[u8]) -> Option<Self> {
        let names = std::str::from_utf8(line.strip_prefix(b"#Fields:")?).ok()?;
        let names: Vec<_> = names.split_ascii_whitespace().collect();
        let place = |wanted: &str| names.iter().position(|name| *name == wanted);
        Some(Self {
            method: place("cs-method")?,
            path: place("cs-uri-stem").or_else(|| place("cs-uri"))?,
            query: place("cs-uri-query"),
            // CloudFront's cs(Host) is CloudFront's own name, not the host of the
            // request.
            host: place("x-host-header")
                .or_else(|| place("cs-host"))
                .or_else(|| place("cs(Host)")),
        })
    }

    /// The content of the line; `None` if columns are missing.
    pub(super) fn logged<'a>(&self, line: &'a [u8]) -> Option<Logged<'a>> {
        let is_separator = |byte: &u8| byte.is_ascii_whitespace();
        let fields: Vec<_> = line
            .split(is_separator)
            .filter(|field| !field.is_empty())
            .collect();
        // `-` means empty.
        let field = |place: usize| Some(*fields.get(place)?).filter(|field| *field != b"-");
        fields.get(self.method.max(self.path))?;
        let (Some(method), Some(path)) = (field(self.method), field(self.path)) else {
            return Some(Logged::NoRequest);
        };
        Some(Logged::Request {
            method: method.into(),
            url: match self.query.and_then(field) {
                Some(query) => Cow::Owned([path, query].join(&b'?')),
                None => path.into(),
            },
            host: self.host.and_then(field).unwrap_or_default().into(),
        })
    }
}
