//! A run second by second. A second is complete when all event loops are past it.

use std::collections::BTreeMap;

use crate::statistics::Statistics;
use crate::sums::{LoopState, second_end_ns, second_of};

/// A second of a run. Seconds are those of the wall clock, so the first and the last one of
/// a run are shorter.
#[derive(Clone, Debug, Default)]
pub struct Second {
    /// The second, as Unix time.
    pub second: u64,
    /// Its start, ns from the run's start.
    pub from_ns: u64,
    /// Its end, ns from the run's start.
    pub to_ns: u64,
    /// The hits that ended in it, by label.
    pub statistics: Statistics,
    /// The states of each event loop at its start and at its end.
    pub states: Vec<(LoopState, LoopState)>,
}

/// The seconds of a run, from sums that event loops hand over.
#[derive(Debug)]
pub struct Seconds {
    started_unix_ns: u64,
    loops: Vec<Loop>,
    /// Statistics of seconds that aren't complete yet.
    current: BTreeMap<u64, Statistics>,
    /// The next second, and its start in ns from the run's start.
    second: u64,
    from_ns: u64,
}

/// The state of an event loop.
#[derive(Debug, Default)]
struct Loop {
    /// The loop's states at the ends of seconds. All seconds before the last key are
    /// complete.
    states: BTreeMap<u64, LoopState>,
    /// The state at the end of the last second.
    last: LoopState,
}

impl Seconds {
    /// The seconds of a run that started at this instant of the wall clock.
    pub fn new(started_unix_ns: u64) -> Self {
        Self {
            started_unix_ns,
            loops: Vec::new(),
            current: BTreeMap::new(),
            second: second_of(started_unix_ns, 0),
            from_ns: 0,
        }
    }

    /// Adds event loops. Returns the number of the first one.
    pub fn add_loops(&mut self, count: usize) -> usize {
        let first = self.loops.len();
        self.loops.resize_with(first + count, Loop::default);
        first
    }

    /// Where hits that ended in this second (Unix time) are added. Hits that come after
    /// their second was taken belong to the next one.
    pub fn statistics_of(&mut self, second: u64) -> &mut Statistics {
        self.current.entry(second.max(self.second)).or_default()
    }

    /// An event loop has handed over all hits that ended before this instant (ns from the
    /// run's start). `u64::MAX` means that it has ended.
    pub fn reach(&mut self, number: usize, until_ns: u64, state: LoopState) {
        let before = match until_ns {
            u64::MAX => u64::MAX,
            until_ns => second_of(self.started_unix_ns, until_ns),
        };
        if let Some(known) = self.loops.get_mut(number) {
            // A loop that was given up is there again.
            if let Some(last) = known.states.get_mut(&u64::MAX) {
                *last = state;
            }
            known.states.insert(before, state);
        }
    }

    /// Waits for this event loop no more.
    pub fn give_up(&mut self, number: usize) {
        if let Some(known) = self.loops.get_mut(number) {
            let last = known.states.last_key_value();
            let state = last.map_or(known.last, |(_, &state)| state);
            known.states.insert(u64::MAX, state);
        }
    }

    /// The next second, if it is complete.
    pub fn next_whole(&mut self) -> Option<Second> {
        let before = |one: &Loop| one.states.last_key_value().map_or(0, |(&second, _)| second);
        let whole_before = self.loops.iter().map(before).min().unwrap_or(0);
        // `u64::MAX` comes from a loop that has ended. It means the end of the run, not a
        // second.
        let is_whole = whole_before != u64::MAX && self.second < whole_before;
        is_whole.then(|| self.close(second_end_ns(self.started_unix_ns, self.second)))
    }

    /// The next second of a run that has ended at this instant, and whether it is the last
    /// one.
    pub fn next_of_ended(&mut self, elapsed_ns: u64) -> (Second, bool) {
        let end_ns = second_end_ns(self.started_unix_ns, self.second);
        let is_last =
            end_ns >= elapsed_ns && self.current.keys().all(|&second| second <= self.second);
        let to_ns = if is_last {
            elapsed_ns.max(self.from_ns)
        } else {
            end_ns
        };
        (self.close(to_ns), is_last)
    }

    fn close(&mut self, to_ns: u64) -> Second {
        let second = self.second;
        let states = self.loops.iter_mut().map(|known| {
            let at_end = known.state_after(second);
            (std::mem::replace(&mut known.last, at_end), at_end)
        });
        let closed = Second {
            second,
            from_ns: self.from_ns,
            to_ns,
            states: states.collect(),
            statistics: self.current.remove(&second).unwrap_or_default(),
        };
        (self.second, self.from_ns) = (second + 1, to_ns);
        closed
    }
}

impl Loop {
    /// The loop's state at the end of a second, or its last known state.
    fn state_after(&mut self, second: u64) -> LoopState {
        // Use the first state from then on, and drop earlier ones.
        self.states = self.states.split_off(&(second + 1));
        self.states
            .first_key_value()
            .map_or(self.last, |(_, &state)| state)
    }
}

#[cfg(test)]
mod tests {
    use super::Seconds;
    use crate::sums::LoopState;

    #[test]
    fn a_loop_that_is_given_up_is_not_waited_for() {
        let mut seconds = Seconds::new(1_700_000_000_300_000_000);
        assert_eq!((seconds.add_loops(2), seconds.add_loops(1)), (0, 2));
        let state = |started| LoopState {
            started,
            ..LoopState::default()
        };
        seconds.reach(0, 2_000_000_000, state(20));
        seconds.reach(1, 2_000_000_000, state(30));
        seconds.reach(2, 500_000_000, state(7));
        assert!(seconds.next_whole().is_none());
        seconds.give_up(2);
        let one = seconds.next_whole().expect("it is whole");
        assert_eq!((one.from_ns, one.to_ns), (0, 700_000_000));
        assert_eq!(one.states[2], (state(0), state(7)));
        // What it says later belongs to the seconds that come.
        seconds.reach(2, 900_000_000, state(8));
        seconds.statistics_of(1_700_000_000);
        let next = seconds.next_whole().expect("it is whole");
        assert_eq!(next.states[2].1, state(8));
        assert!(seconds.next_whole().is_none());
        let (last, is_last) = seconds.next_of_ended(2_100_000_000);
        assert_eq!(
            (last.from_ns, last.to_ns, is_last),
            (1_700_000_000, 2_100_000_000, true)
        );
    }
}
