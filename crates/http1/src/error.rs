//! What is wrong with a response.

/// What can't be a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// It doesn't start with an HTTP/1 status line.
    #[error("the response isn't HTTP/1.1")]
    StatusLine,
    /// It is a record of TLS, as a server sends it that expected TLS.
    #[error("the server speaks TLS on this port, and the request was sent without it")]
    Tls,
    /// The status isn't one of 100 … 999.
    #[error("the response's status is {0:03}, and not within 100 … 999")]
    Status(u16),
    /// A line of the head is no field.
    #[error("the response's head has a line that is no field")]
    Field,
    /// The head is longer than accepted.
    #[error("the response's head is too long")]
    HeadTooLong,
    /// Its length isn't a number, or there are two.
    #[error("the response's Content-Length isn't a number, or there are two")]
    Length,
    /// A chunk's length isn't one, or a chunk doesn't end.
    #[error("the response has a bad chunk")]
    Chunk,
}
