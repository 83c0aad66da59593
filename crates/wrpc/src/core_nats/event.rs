//! What happens to a connection.

use super::error::Error;

/// What happens to a connection after it was made. Whoever is told must not wait, nor
/// use the client.
#[derive(Clone, Debug)]
pub enum Event {
    /// It was lost, and is being restored. Why it was lost.
    Disconnected(String),
    /// An attempt to restore it failed.
    Failed(Error),
    /// It is back.
    Connected,
    /// It was lost, and nobody restores it.
    Closed,
    /// The server refuses something.
    Refused(String),
    /// The server is about to stop.
    LameDuck,
    /// A message was dropped: it makes no sense, for this reason.
    Unreadable(&'static str),
    /// A message was dropped: there is no room for it.
    NoRoom,
}

/// Is told what happens.
pub type Handler = Box<dyn Fn(Event) + Send + Sync>;
