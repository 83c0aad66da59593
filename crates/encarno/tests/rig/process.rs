//! A process that doesn't outlive its test.

use std::process::Child;

/// It is killed when this is dropped.
pub(super) struct Process(pub(super) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _killed = self.0.kill();
        let _gone = self.0.wait();
    }
}
