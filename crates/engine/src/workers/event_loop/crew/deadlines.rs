//! Timeouts of running hits: a list in the order of their starts.
//!
//! All hits have the same timeout, so the oldest one times out first. The list is linked
//! through the workers, so it costs a few stores for each hit, and neither memory nor
//! system calls.

const NONE: u32 = u32::MAX;

/// Workers with a running hit, the oldest start first.
#[derive(Debug)]
pub(super) struct Deadlines {
    links: Vec<Link>,
    oldest: u32,
    newest: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    older: u32,
    newer: u32,
}

impl Deadlines {
    pub(super) fn new() -> Self {
        Self {
            links: Vec::new(),
            oldest: NONE,
            newest: NONE,
        }
    }

    /// Adds a worker whose hit has started.
    #[inline]
    pub(super) fn push(&mut self, worker: u32) {
        let index = worker as usize;
        if index >= self.links.len() {
            self.links.resize(
                index + 1,
                Link {
                    older: NONE,
                    newer: NONE,
                },
            );
        }
        self.links[index] = Link {
            older: self.newest,
            newer: NONE,
        };
        match self.newest {
            NONE => self.oldest = worker,
            newest => self.links[newest as usize].newer = worker,
        }
        self.newest = worker;
    }

    /// Removes a worker whose hit has ended.
    #[inline]
    pub(super) fn remove(&mut self, worker: u32) {
        let Link { older, newer } = self.links[worker as usize];
        match older {
            NONE => self.oldest = newer,
            older => self.links[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            newer => self.links[newer as usize].older = older,
        }
    }

    /// The worker whose hit times out first.
    #[inline]
    pub(super) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::Deadlines;

    #[test]
    fn the_oldest_comes_first_whatever_ends_between() {
        let mut list = Deadlines::new();
        let take = |list: &mut Deadlines| {
            let oldest = list.oldest();
            oldest.inspect(|&worker| list.remove(worker))
        };
        for worker in [3, 0, 2, 1] {
            list.push(worker);
        }
        list.remove(0);
        list.push(0);
        list.remove(2);
        let order: Vec<_> = std::iter::from_fn(|| take(&mut list)).collect();
        assert_eq!(order, [3, 1, 0]);
        list.push(1);
        assert_eq!(list.oldest(), Some(1));
        list.remove(1);
        assert_eq!(list.oldest(), None);
    }
}
