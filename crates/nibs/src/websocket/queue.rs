//! The running hits of a connection, in the order in which they are sent.

use std::collections::VecDeque;

use bytes::Bytes;

/// Hits that wait to be sent, or for their answers.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    tickets: u64,
    /// How many of them are completely in the outbox, and how many have left.
    taken: usize,
    left: usize,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    /// The worker; `None` if the hit was given up after it was sent, so that its answer
    /// is ignored.
    worker: Option<u32>,
    payload: Bytes,
    /// It has left when this total of the connection's bytes has.
    ends_at: u64,
    wire_bytes: u64,
}

impl Queue {
    /// Appends a hit, and returns its ticket.
    pub(super) fn push(&mut self, worker: u32, payload: Bytes) -> u64 {
        self.tickets += 1;
        self.waiting.push_back(Waiting {
            ticket: self.tickets,
            worker: Some(worker),
            payload,
            ends_at: 0,
            wire_bytes: 0,
        });
        self.tickets
    }

    /// Gives a hit up. If it isn't in the outbox, it is never sent.
    pub(super) fn give_up(&mut self, ticket: u64) {
        let place = self
            .waiting
            .binary_search_by_key(&ticket, |waiting| waiting.ticket);
        let Ok(place) = place else {
            return;
        };
        if place >= self.taken {
            self.waiting.remove(place);
        } else {
            self.waiting[place].worker = None;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The workers whose hits are in it.
    pub(super) fn workers(&self) -> impl Iterator<Item = u32> {
        self.waiting.iter().filter_map(|waiting| waiting.worker)
    }

    /// The next payload to send.
    pub(super) fn next_payload(&self) -> Option<&Bytes> {
        self.waiting.get(self.taken).map(|waiting| &waiting.payload)
    }

    /// Notes that the next payload is in the outbox.
    pub(super) fn note_taken(&mut self, wire_bytes: u64, ends_at: u64) {
        if let Some(waiting) = self.waiting.get_mut(self.taken) {
            (waiting.wire_bytes, waiting.ends_at) = (wire_bytes, ends_at);
            self.taken += 1;
        }
    }

    /// The next hit that has left completely when this total of bytes has: its worker,
    /// unless it was given up, and its bytes.
    pub(super) fn next_left(&mut self, sent_bytes: u64) -> Option<(Option<u32>, u64)> {
        let waiting = self.waiting.get(self.left)?;
        if self.left == self.taken || waiting.ends_at > sent_bytes {
            return None;
        }
        self.left += 1;
        Some((waiting.worker, waiting.wire_bytes))
    }

    /// Whether an answer is due.
    pub(super) fn expects(&self) -> bool {
        self.left > 0
    }

    /// The worker of the next answer; `None` if that answer is ignored.
    pub(super) fn first(&self) -> Option<u32> {
        self.waiting.front().filter(|_| self.left > 0)?.worker
    }

    /// Removes the first hit, which is answered.
    pub(super) fn pop(&mut self) -> Option<u32> {
        if self.left == 0 {
            return None;
        }
        let waiting = self.waiting.pop_front()?;
        self.taken -= 1;
        self.left -= 1;
        waiting.worker
    }

    /// The number of hits that this pong answers: the first hit that sent its payload,
    /// and those before it.
    pub(super) fn answered_by(&self, payload: &[u8]) -> usize {
        let mut sent = self.waiting.iter().take(self.left);
        let place = sent.position(|waiting| waiting.payload == payload);
        place.map_or(0, |place| place + 1)
    }

    /// Takes the hits that aren't in the outbox.
    pub(super) fn take_unsent(&mut self) -> Vec<u32> {
        let unsent = self.waiting.drain(self.taken..);
        unsent.filter_map(|waiting| waiting.worker).collect()
    }

    /// Removes all hits, and returns their workers.
    pub(super) fn clear(&mut self) -> Vec<u32> {
        (self.taken, self.left) = (0, 0);
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        waiting.filter_map(|waiting| waiting.worker).collect()
    }
}
