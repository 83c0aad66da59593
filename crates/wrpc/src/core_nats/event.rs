//! Events of a connection.

use super::error::Error;

/// An event of a connection after it was made. The handler must not block, nor use the
/// client.
#[derive(Clone, Debug)]
pub enum Event {
    /// The connection was lost, for this reason, and is being restored.
    Disconnected(String),
    /// An attempt to restore it failed.
    Failed(Error),
    /// It is back.
    Connected,
    /// It was lost, and won't be restored.
    Closed,
    /// The server refused something.
    Refused(String),
    /// The server is about to stop.
    LameDuck,
    /// A message was dropped because it is invalid, for this reason.
    Unreadable(&'static str),
    /// A message was dropped because there was no room for it.
    NoRoom,
}

/// Handles events.
pub type Handler = Box<dyn Fn(Event) + Send + Sync>;
