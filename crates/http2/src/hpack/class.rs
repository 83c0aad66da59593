//! The class of a field's name: its meaning for the connection.

/// The classes of names that are handled differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Any other name.
    Plain,
    /// `:status`
    Status,
    /// `:method`
    Method,
    /// `:scheme`
    Scheme,
    /// `:authority`
    Authority,
    /// `:path`
    Path,
    /// Another name that begins with a colon, which is invalid.
    Unknown,
    /// `content-length`
    ContentLength,
    /// `te`, whose only valid value is `trailers`.
    Te,
    /// A field of HTTP/1 connections, which is invalid in HTTP/2.
    Connection,
    /// An invalid name: empty, or with upper case, blanks or control characters.
    Bad,
}

impl Class {
    /// The class of this name.
    #[inline]
    pub fn of(name: &[u8]) -> Self {
        match name {
            [] => Self::Bad,
            [b':', ..] => match name {
                b":status" => Self::Status,
                b":method" => Self::Method,
                b":scheme" => Self::Scheme,
                b":authority" => Self::Authority,
                b":path" => Self::Path,
                _ => Self::Unknown,
            },
            b"content-length" => Self::ContentLength,
            b"te" => Self::Te,
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding"
            | b"upgrade" => Self::Connection,
            _ if name.iter().all(|&byte| is_of_name(byte)) => Self::Plain,
            _ => Self::Bad,
        }
    }
}

/// RFC 9113, 8.2.1.
fn is_of_name(byte: u8) -> bool {
    matches!(byte, 0x21..=0x39 | 0x3b..=0x40 | 0x5b..=0x7e)
}
