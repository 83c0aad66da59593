//! When running hits time out: a list in the order of their starts.
//!
//! Hits with the run's timeout are in one list, where the oldest start times
//! out first. Those with a timeout of their own are in another one, in which
//! nobody looks for the time: a wake ends them. The lists run through the
//! workers, so that they cost a few stores a hit, no memory and no system call.

const NONE: u32 = u32::MAX;

/// Workers with a running hit, the oldest start first.
#[derive(Debug)]
pub(super) struct Deadlines {
    links: Vec<Link>,
    lists: [Ends; 2],
}

/// The list that a hit is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Timeout {
    /// The run's.
    OfAll = 0,
    /// The hit's own.
    Own = 1,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    oldest: u32,
    newest: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    older: u32,
    newer: u32,
    list: Timeout,
}

impl Deadlines {
    pub(super) fn new() -> Self {
        let none = Ends {
            oldest: NONE,
            newest: NONE,
        };
        Self {
            links: Vec::new(),
            lists: [none; 2],
        }
    }

    /// A hit of that worker has started.
    #[inline]
    pub(super) fn push(&mut self, worker: u32, list: Timeout) {
        let index = worker as usize;
        if index >= self.links.len() {
            let link = Link {
                older: NONE,
                newer: NONE,
                list,
            };
            self.links.resize(index + 1, link);
        }
        let ends = &mut self.lists[list as usize];
        self.links[index] = Link {
            older: ends.newest,
            newer: NONE,
            list,
        };
        match ends.newest {
            NONE => ends.oldest = worker,
            newest => self.links[newest as usize].newer = worker,
        }
        ends.newest = worker;
    }

    /// The hit of that worker has ended.
    #[inline]
    pub(super) fn remove(&mut self, worker: u32) {
        let Link { older, newer, list } = self.links[worker as usize];
        let ends = &mut self.lists[list as usize];
        match older {
            NONE => ends.oldest = newer,
            older => self.links[older as usize].newer = newer,
        }
        match newer {
            NONE => ends.newest = older,
            newer => self.links[newer as usize].older = older,
        }
    }

    /// The worker of that list whose hit started first.
    #[inline]
    pub(super) fn oldest(&self, list: Timeout) -> Option<u32> {
        let oldest = self.lists[list as usize].oldest;
        (oldest != NONE).then_some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::{Deadlines, Timeout};

    #[test]
    fn the_oldest_comes_first_whatever_ends_between() {
        let mut list = Deadlines::new();
        let take = |list: &mut Deadlines| {
            let oldest = list.oldest(Timeout::OfAll);
            oldest.inspect(|&worker| list.remove(worker))
        };
        for worker in [3, 0, 2, 1] {
            list.push(worker, Timeout::OfAll);
        }
        list.push(5, Timeout::Own);
        list.remove(0);
        list.push(0, Timeout::OfAll);
        list.remove(2);
        list.push(4, Timeout::Own);
        let order: Vec<_> = std::iter::from_fn(|| take(&mut list)).collect();
        assert_eq!(order, [3, 1, 0]);
        list.push(1, Timeout::OfAll);
        assert_eq!(list.oldest(Timeout::OfAll), Some(1));
        list.remove(1);
        assert_eq!(list.oldest(Timeout::OfAll), None);
        assert_eq!(list.oldest(Timeout::Own), Some(5));
        list.remove(5);
        assert_eq!(list.oldest(Timeout::Own), Some(4));
    }
}
