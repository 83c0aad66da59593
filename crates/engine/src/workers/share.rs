//! Which workers and hits belong to which event loop.

/// The share of one event loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// The loop's number, from 0.
    pub number: usize,
    /// The number of loops.
    pub count: usize,
    /// The number of workers that share a link and stay together. Group g belongs to loop
    /// g mod `count`.
    pub group: usize,
}

impl Share {
    /// The number of workers in this loop.
    pub(crate) fn workers(self, all: usize) -> usize {
        let (groups, rest) = (all / self.group, all % self.group);
        let rest = if groups % self.count == self.number {
            rest
        } else {
            0
        };
        self.part(groups) * self.group + rest
    }

    /// How many of `all` things belong to this loop, if loops take them in turn.
    pub(crate) fn part(self, all: usize) -> usize {
        (all + self.count - 1 - self.number) / self.count
    }

    /// The number, among all workers, of a worker of this loop.
    pub(crate) fn number_of(self, index: u32) -> u32 {
        let group = self.group as u32;
        let (of_loop, within) = (index / group, index % group);
        (of_loop * self.count as u32 + self.number as u32) * group + within
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Share;

    #[test]
    fn loops_together_have_each_worker_once_and_links_whole() {
        for (all, count, group) in [(10, 3, 1), (10, 3, 4), (64, 2, 16), (5, 4, 8), (33, 2, 8)] {
            let shares = (0..count).map(|number| Share {
                number,
                count,
                group,
            });
            let mut numbers = HashSet::new();
            for share in shares {
                for index in 0..share.workers(all) {
                    let number = share.number_of(index as u32) as usize;
                    assert!(numbers.insert(number), "{number} is there twice");
                    assert_eq!(number / group % count, share.number);
                }
            }
            assert_eq!(numbers, (0..all).collect());
        }
    }
}
