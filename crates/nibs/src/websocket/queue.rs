//! The hits on their way over a connection, in the order in which they are sent.

use std::collections::VecDeque;

use bytes::Bytes;

/// Hits that wait to be sent, or for their answers.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    tickets: u64,
    /// So many of them are in the outbox whole, and so many have left.
    taken: usize,
    left: usize,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    /// None = it was given up after it was sent: its answer is nobody's.
    worker: Option<u32>,
    payload: Bytes,
    /// It has left when so many bytes of the connection have.
    ends_at: u64,
    wire_bytes: u64,
}

impl Queue {
    /// The hit's ticket.
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

    /// Nobody waits for the hit. One that isn't in the outbox is never sent.
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

    /// The payload that is to be sent next.
    pub(super) fn next_payload(&self) -> Option<&Bytes> {
        self.waiting.get(self.taken).map(|waiting| &waiting.payload)
    }

    /// That one is in the outbox.
    pub(super) fn note_taken(&mut self, wire_bytes: u64, ends_at: u64) {
        if let Some(waiting) = self.waiting.get_mut(self.taken) {
            (waiting.wire_bytes, waiting.ends_at) = (wire_bytes, ends_at);
            self.taken += 1;
        }
    }

    /// The next hit that has left whole when so many bytes have: its worker, unless it
    /// was given up, and its bytes.
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

    /// Whose answer comes next; none if it is nobody's.
    pub(super) fn first(&self) -> Option<u32> {
        self.waiting.front().filter(|_| self.left > 0)?.worker
    }

    /// Takes the first hit out, which is answered.
    pub(super) fn pop(&mut self) -> Option<u32> {
        if self.left == 0 {
            return None;
        }
        let waiting = self.waiting.pop_front()?;
        self.taken -= 1;
        self.left -= 1;
        waiting.worker
    }

    /// How many hits are answered when that comes back: the first that sent it, and
    /// those before it.
    pub(super) fn answered_by(&self, payload: &[u8]) -> usize {
        let mut sent = self.waiting.iter().take(self.left);
        let place = sent.position(|waiting| waiting.payload == payload);
        place.map_or(0, |place| place + 1)
    }

    /// Takes those out that aren't in the outbox.
    pub(super) fn take_unsent(&mut self) -> Vec<u32> {
        let unsent = self.waiting.drain(self.taken..);
        unsent.filter_map(|waiting| waiting.worker).collect()
    }

    /// Empties it; the workers whose hits were in it.
    pub(super) fn clear(&mut self) -> Vec<u32> {
        (self.taken, self.left) = (0, 0);
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        waiting.filter_map(|waiting| waiting.worker).collect()
    }
}
