//! Tasks that belong to something.

use tokio::task::JoinHandle;

/// Ends a task when its owner goes.
pub(crate) struct AbortOnDrop(pub(crate) JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
