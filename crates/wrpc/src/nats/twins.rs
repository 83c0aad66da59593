//! Calls that come twice, while two connections have the same subscriptions.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

/// The second of two may be late by so much.
const LATE: Duration = Duration::from_secs(30);

/// So many calls are remembered, beyond which a second one isn't recognised.
const CALLS_MAX: usize = 1 << 20;

/// Tells whether a call came before, by the subject of its answers.
#[derive(Default)]
pub(super) struct Twins {
    /// Of calls that came once.
    once: HashSet<u64>,
    hasher: RandomState,
    /// Both connections have subscriptions.
    is_overlapping: bool,
    /// Since there is one again, the second of two may still come.
    until: Option<Instant>,
}

impl Twins {
    /// Each call may come twice from now on.
    pub(super) fn begin(&mut self) {
        self.is_overlapping = true;
    }

    /// Nothing comes by the first connection any more.
    pub(super) fn end(&mut self) {
        self.is_overlapping = false;
        self.until = Some(Instant::now() + LATE);
    }

    /// Whether the call with that reply subject has come before.
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
