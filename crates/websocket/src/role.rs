/// Which side of a connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It asks, and masks what it sends.
    Client,
    /// It answers.
    Server,
}
