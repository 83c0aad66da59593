/// The side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Sends the handshake, and masks its frames.
    Client,
    /// Answers the handshake.
    Server,
}
