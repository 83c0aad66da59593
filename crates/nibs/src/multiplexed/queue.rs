//! The hits that wait for a stream of a link.

use std::collections::VecDeque;

use encarno_nib::Hits;

use super::{On, Place};

/// The number of abandoned places in the queue from which on they are removed.
const VACANT_MAX: usize = 1024;

/// Workers, with the tickets of their hits.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<(u32, u64)>,
    /// The number of those that still wait.
    count: usize,
    tickets: u64,
}

impl Queue {
    /// Appends a worker, and returns its hit's ticket.
    pub(crate) fn push(&mut self, worker: u32) -> u64 {
        self.tickets += 1;
        self.count += 1;
        self.waiting.push_back((worker, self.tickets));
        self.tickets
    }

    /// Whether no hit waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The number of hits that wait.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Notes that one of the hits was given up.
    pub(crate) fn one_left(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    /// The queue of the next connection, whose tickets are others.
    pub(crate) fn renewed(&self) -> Self {
        Self {
            tickets: self.tickets,
            ..Self::default()
        }
    }

    /// Takes all workers, which wait elsewhere from now on.
    pub(crate) fn take_all<A>(&mut self, link: u32, hits: &mut dyn Hits<Place<A>>) -> Vec<u32> {
        self.count = 0;
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        waiting
            .filter(|&(worker, ticket)| is_waiting(hits, link, worker, ticket))
            .map(|(worker, _)| worker)
            .collect()
    }

    /// The first worker.
    pub(crate) fn first<A>(&self, link: u32, hits: &mut dyn Hits<Place<A>>) -> Option<u32> {
        let mut waiting = self.waiting.iter();
        let first = waiting.find(|&&(worker, ticket)| is_waiting(hits, link, worker, ticket));
        first.map(|&(worker, _)| worker)
    }

    /// Takes the first worker.
    pub(crate) fn next<A>(&mut self, link: u32, hits: &mut dyn Hits<Place<A>>) -> Option<u32> {
        loop {
            let (worker, ticket) = self.waiting.pop_front()?;
            if is_waiting(hits, link, worker, ticket) {
                self.count -= 1;
                return Some(worker);
            }
        }
    }

    /// Removes abandoned places, if there are many.
    pub(crate) fn tidy<A>(&mut self, link: u32, hits: &mut dyn Hits<Place<A>>) {
        if self.waiting.len() > VACANT_MAX + 2 * self.count {
            self.waiting
                .retain(|&(worker, ticket)| is_waiting(hits, link, worker, ticket));
        }
    }
}

fn is_waiting<A>(hits: &mut dyn Hits<Place<A>>, link: u32, worker: u32, ticket: u64) -> bool {
    let place = hits.get(worker).map(|(place, _)| place.on);
    place == Some(On::Waiting(link, ticket))
}
