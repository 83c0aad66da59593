//! Recognises calls that arrive twice while two connections have the same subscriptions.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// How late the second arrival of a call may be.
const LATE: Duration = Duration::from_secs(30);

/// The most calls that are remembered. Beyond that, a second arrival isn't recognised.
const CALLS_MAX: usize = 1 << 20;

/// Recognises whether a call arrived before, by the subject of its answers.
#[derive(Default)]
pub(super) struct Twins {
    /// Calls that arrived once.
    once: HashSet<u64>,
    hasher: RandomState,
    /// Whether both connections have subscriptions.
    is_overlapping: bool,
    /// The instant up to which a second arrival is possible, after one connection is
    /// left.
    until: Option<Instant>,
}

impl Twins {
    /// Begins a time in which each call may arrive twice.
    pub(super) fn begin(&mut self) {
        self.is_overlapping = true;
    }

    /// Ends it: nothing more arrives by the first connection.
    pub(super) fn end(&mut self) {
        self.is_overlapping = false;
        self.until = Some(Instant::now() + LATE);
    }

    /// Whether the call with this reply subject has arrived before.
    pub(super) fn is_second(&mut self, reply: &str) -> bool {
        if !self.is_overlapping && self.until.is_none() {
            return false;
        }
        let call = self.hasher.hash_one(reply);
        if self.once.remove(&call) {
            return true;
        }
        if self.is_overlapping {
            if self.once.len() < CALLS_MAX {
                self.once.insert(call);
            }
        } else if self.until.is_some_and(|until| Instant::now() > until) {
            *self = Self::default();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::Twins;

    #[test]
    fn the_second_of_two() {
        let mut twins = Twins::default();
        assert!(!twins.is_second("a") && !twins.is_second("a"), "before");
        twins.begin();
        assert!(!twins.is_second("a") && twins.is_second("a"));
        assert!(!twins.is_second("b") && !twins.is_second("c"));
        twins.end();
        assert!(twins.is_second("c") && twins.is_second("b"), "late");
        assert!(!twins.is_second("d") && !twins.is_second("d"), "afterwards");
    }
}
