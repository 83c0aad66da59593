//! Errors of responses.

/// Why bytes aren't a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// It doesn't start with an HTTP/1 status line.
    #[error("the response isn't HTTP/1.1")]
    StatusLine,
    /// It is a TLS record, from a server that expects TLS.
    #[error("the server speaks TLS on this port, and the request was sent without it")]
    Tls,
    /// The status isn't one of 100 … 999.
    #[error("the response's status is {0:03}, and not within 100 … 999")]
    Status(u16),
    /// A line of the head isn't a field.
    #[error("the response's head has a line that isn't a field")]
    Field,
    /// The head is too long.
    #[error("the response's head is too long")]
    HeadTooLong,
    /// Its length isn't a number, or there are two.
    #[error("the response's Content-Length isn't a number, or there are two")]
    Length,
    /// A chunk's length isn't a number, or a chunk has no end.
    #[error("the response has a bad chunk")]
    Chunk,
}
