//! Decides when each answer is due.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::time::Duration;

use encarno_nib::delay::{Delay, exponential};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::TargetSettings;
use super::answer::Answer;
use super::station::{Servers, Sharing};

/// Answers that aren't due yet.
pub(super) struct Schedule {
    delay: Delay,
    /// The stall: its start, counted from the first request, and its length.
    stall: Option<(Duration, Duration)>,
    stall_ns: Option<(u64, u64)>,
    sharing: Option<Sharing>,
    servers: Option<Servers>,
    /// Answers by the instants at which they are due.
    due: BinaryHeap<Reverse<(u64, u64)>>,
    answers: HashMap<u64, Answer>,
    made: u64,
}

impl Schedule {
    pub(super) fn new(settings: &TargetSettings) -> Self {
        Self {
            delay: settings.delay,
            stall: settings.stall,
            stall_ns: None,
            sharing: settings.usl.map(Sharing::new),
            servers: settings.servers.map(Servers::new),
            due: BinaryHeap::new(),
            answers: HashMap::new(),
            made: 0,
        }
    }

    /// The number of waiting answers.
    pub(super) fn len(&self) -> usize {
        self.answers.len()
    }

    /// Takes the answer of a request that has just arrived.
    pub(super) fn add(&mut self, answer: Answer, now_ns: u64, random: &mut Xoshiro256PlusPlus) {
        let delay_ns = self.delay.sample_ns(random);
        let mut due_ns = match &mut self.servers {
            Some(servers) => servers.arrive(now_ns, delay_ns),
            None => now_ns + delay_ns,
        };
        if let Some((after, length)) = self.stall {
            let nanoseconds = |time: Duration| time.as_nanos() as u64;
            let start_ns = now_ns + nanoseconds(after);
            let (from_ns, to_ns) = *self
                .stall_ns
                .get_or_insert((start_ns, start_ns + nanoseconds(length)));
            if (from_ns..to_ns).contains(&due_ns) {
                due_ns = to_ns;
            }
        }
        let number = self.made;
        self.made += 1;
        self.answers.insert(number, answer);
        // Remove services that ended before, because the speed was different then.
        self.end_services(now_ns, random);
        match &mut self.sharing {
            Some(sharing) => sharing.arrive(number, exponential(random, 1.0), now_ns),
            None => self.due.push(Reverse((due_ns, number))),
        }
    }

    /// Takes an answer that is due then.
    pub(super) fn add_at(&mut self, answer: Answer, due_ns: u64) {
        self.due.push(Reverse((due_ns, self.made)));
        self.answers.insert(self.made, answer);
        self.made += 1;
    }

    /// The next instant at which there is something to do.
    pub(super) fn next_ns(&self) -> u64 {
        let due_ns = self.due.peek().map(|&Reverse((due_ns, _))| due_ns);
        let ends_ns = self.sharing.as_ref().and_then(Sharing::next_ns);
        let never = u64::MAX;
        due_ns.unwrap_or(never).min(ends_ns.unwrap_or(never))
    }

    /// The next answer that is due.
    pub(super) fn next(&mut self, now_ns: u64, random: &mut Xoshiro256PlusPlus) -> Option<Answer> {
        self.end_services(now_ns, random);
        let &Reverse((due_ns, number)) = self.due.peek()?;
        if due_ns > now_ns {
            return None;
        }
        self.due.pop();
        self.answers.remove(&number)
    }

    /// Takes the answers that never became due.
    pub(super) fn take_rest(&mut self) -> Vec<Answer> {
        self.answers.drain().map(|(_, answer)| answer).collect()
    }

    /// Makes answers of ended services due, after the delay if there is one.
    fn end_services(&mut self, now_ns: u64, random: &mut Xoshiro256PlusPlus) {
        let Some(sharing) = &mut self.sharing else {
            return;
        };
        while let Some(number) = sharing.next_ended(now_ns) {
            let delay_ns = self.delay.sample_ns(random);
            self.due.push(Reverse((now_ns + delay_ns, number)));
        }
    }
}
