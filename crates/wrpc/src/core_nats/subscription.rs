//! Subscriptions and their messages.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use futures_util::Stream;

use super::message::Message;
use crate::lock;

/// Takes the messages of a subscription, with their subjects, as they arrive. It must not
/// block, nor use the client.
pub type Deliver = Box<dyn Fn(&str, Message) + Send + Sync>;

/// The most that may wait in a queue. Messages beyond that are dropped.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The most messages.
    pub messages: usize,
    /// The most bytes of all messages; a single message always has room.
    pub bytes: usize,
}

/// The subscriptions of a client, by their numbers.
#[derive(Default)]
pub(super) struct Subscriptions {
    last: u64,
    all: HashMap<u64, Entry>,
}

struct Entry {
    /// The subject, and the group if there is one.
    words: String,
    target: Target,
}

pub(super) enum Target {
    Deliver(Deliver),
    Queue(Arc<Queue>),
}

impl Subscriptions {
    /// Adds a subscription, whose number is never used again.
    pub(super) fn add(&mut self, words: String, target: Target) -> u64 {
        self.last += 1;
        self.all.insert(self.last, Entry { words, target });
        self.last
    }

    pub(super) fn remove(&mut self, sid: u64) {
        self.all.remove(&sid);
    }

    /// The lines that tell a server of the subscriptions, in the order in which they were
    /// made.
    pub(super) fn lines(&self) -> String {
        let mut sids: Vec<_> = self.all.keys().copied().collect();
        sids.sort_unstable();
        let line = |sid| line(&self.all[&sid].words, sid);
        sids.into_iter().map(line).collect()
    }

    /// Hands a message over; `false` if there was no room for it.
    pub(super) fn deliver(&self, sid: u64, subject: &str, message: Message) -> bool {
        match self.all.get(&sid).map(|entry| &entry.target) {
            Some(Target::Deliver(deliver)) => {
                deliver(subject, message);
                true
            }
            Some(Target::Queue(queue)) => queue.push(message),
            None => true, // late: nobody is subscribed any more
        }
    }

    /// Closes all subscriptions.
    pub(super) fn close(&mut self) {
        for entry in self.all.values() {
            if let Target::Queue(queue) = &entry.target {
                queue.close();
            }
        }
        self.all.clear();
    }
}

/// The line that tells a server of a subscription.
pub(super) fn line(words: &str, sid: u64) -> String {
    format!("SUB {words} {sid}\r\n")
}

/// Messages that wait to be read.
pub(super) struct Queue {
    room: Room,
    state: Mutex<QueueState>,
}

#[derive(Default)]
struct QueueState {
    messages: VecDeque<Message>,
    bytes: usize,
    reader: Option<Waker>,
    is_closed: bool,
}

impl Queue {
    pub(super) fn new(room: Room) -> Arc<Self> {
        Arc::new(Self {
            room,
            state: Mutex::default(),
        })
    }

    fn push(&self, message: Message) -> bool {
        let mut state = lock(&self.state);
        let bytes = state.bytes + message.length;
        let is_full = state.messages.len() >= self.room.messages || bytes > self.room.bytes;
        if is_full && !state.messages.is_empty() {
            return false;
        }
        state.bytes = bytes;
        state.messages.push_back(message);
        state.wake();
        true
    }

    /// Closes the queue. Messages in it can still be read.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.is_closed = true;
        state.wake();
    }

    pub(super) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        let mut state = lock(&self.state);
        match state.messages.pop_front() {
            Some(message) => {
                state.bytes -= message.length;
                Poll::Ready(Some(message))
            }
            None if state.is_closed => Poll::Ready(None),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl QueueState {
    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

/// Ends a subscription.
pub(super) trait Unsubscribe: Send + Sync {
    /// Tells the server, if there is one.
    fn unsubscribe(&self, sid: u64);
}

/// A subscription whose messages wait in a queue. It ends when it is dropped.
pub struct Subscription {
    pub(super) owner: Arc<dyn Unsubscribe>,
    pub(super) sid: u64,
    pub(super) queue: Arc<Queue>,
}

impl Subscription {
    /// Its number, see [`Client::unsubscribe`](super::Client::unsubscribe).
    pub fn sid(&self) -> u64 {
        self.sid
    }

    /// Closes the subscription. Messages that have arrived can still be read.
    pub fn close(&self) {
        self.queue.close();
    }
}

impl Stream for Subscription {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.queue.poll_next(context)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.owner.unsubscribe(self.sid);
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use super::{Queue, Room};
    use crate::core_nats::Message;

    fn message(length: usize) -> Message {
        Message {
            reply: None,
            headers: None,
            payload: vec![0; length].into(),
            length,
        }
    }

    #[test]
    fn a_queue_has_so_much_room() {
        let mut context = Context::from_waker(Waker::noop());
        let room = Room {
            messages: 3,
            bytes: 100,
        };
        let queue = Queue::new(room);
        assert!(queue.push(message(1000)), "one always has room");
        assert!(!queue.push(message(1)));
        assert!(queue.poll_next(&mut context).is_ready());
        for _ in 0..3 {
            assert!(queue.push(message(30)));
        }
        assert!(!queue.push(message(1)), "too many");
        for _ in 0..2 {
            assert!(queue.poll_next(&mut context).is_ready());
        }
        assert!(!queue.push(message(71)), "too large");
        assert!(queue.push(message(70)));
        queue.close();
        for length in [30, 70] {
            match queue.poll_next(&mut context) {
                Poll::Ready(Some(message)) => assert_eq!(message.length, length),
                _ => panic!("{length}"),
            }
        }
        assert!(matches!(queue.poll_next(&mut context), Poll::Ready(None)));
    }
}
