//! The hot side: a buffer, handed over when it is full or old.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};

use encarno_record::Hit;
use encarno_record::formats::Trace;

/// A buffer of 90 kB stays in a core's own cache.
const BUFFER_HITS: usize = 1024;
/// A buffer that isn't full goes after that time: others read along.
const BUFFER_AGE_NS_MAX: u64 = 500_000_000;
/// What waits in one recorder when the writer falls behind.
const BACKLOG_BYTES_MAX: usize = 64 << 20;

/// What goes to the writer.
#[derive(Debug)]
pub(super) enum Message {
    Hits {
        recorder: usize,
        hits: Vec<Hit>,
    },
    Trace(Box<Trace>),
    /// A recorder's last word.
    Counts(Counts),
    /// Everything was handed over.
    End,
}

/// What a recorder couldn't hand over at once, or not at all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) hits_lost: u64,
    pub(super) traces_lost: u64,
    pub(super) queue_full_count: u64,
}

/// Takes the hits of one event loop.
#[derive(Debug)]
pub struct Recorder {
    hits: Vec<Hit>,
    hand_over_at_ns: u64,
    number: usize,
    queue: SyncSender<Message>,
    empty: Receiver<Vec<Hit>>,
    backlog: VecDeque<Message>,
    backlog_bytes: usize,
    backlog_bytes_max: usize,
    trace_level: Option<u16>,
    counts: Counts,
}

impl Recorder {
    pub(super) fn new(
        number: usize,
        queue: SyncSender<Message>,
        empty: Receiver<Vec<Hit>>,
        trace_level: Option<u16>,
    ) -> Self {
        Self {
            hits: Vec::with_capacity(BUFFER_HITS),
            hand_over_at_ns: BUFFER_AGE_NS_MAX,
            number,
            queue,
            empty,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            backlog_bytes_max: BACKLOG_BYTES_MAX,
            trace_level,
            counts: Counts::default(),
        }
    }

    /// Takes a hit. Neither formats, allocates (as long as the writer keeps
    /// up) nor waits.
    #[inline]
    pub fn record(&mut self, hit: &Hit) {
        self.hits.push(*hit);
        if self.hits.len() >= BUFFER_HITS || hit.ended_ns >= self.hand_over_at_ns {
            self.hand_over_at_ns = hit.ended_ns + BUFFER_AGE_NS_MAX;
            self.flush();
        }
    }

    /// Whether the trace wants that hit: ask before copying bytes.
    pub fn traces(&self, hit: &Hit) -> bool {
        self.trace_level
            .is_some_and(|level| hit.go_status() >= level)
    }

    /// Whether there is a trace at all: without one the bytes of requests and
    /// answers needn't be kept.
    pub fn has_trace(&self) -> bool {
        self.trace_level.is_some()
    }

    /// Writes request and response to the trace, if its level wants the hit.
    pub fn trace(&mut self, hit: &Hit, request: &[u8], response: &[u8]) {
        if self.traces(hit) {
            let trace = Trace {
                hit: *hit,
                request: request.into(),
                response: response.into(),
            };
            self.send(Message::Trace(Box::new(trace)));
        }
    }

    /// Hands over what there is: call it when idle, about once a second, so
    /// that whoever reads the file while it grows sees it. Dropping flushes too.
    pub fn flush(&mut self) {
        if !self.hits.is_empty() {
            let next = self
                .empty
                .try_recv()
                .unwrap_or_else(|_| Vec::with_capacity(BUFFER_HITS));
            let hits = std::mem::replace(&mut self.hits, next);
            self.send(Message::Hits {
                recorder: self.number,
                hits,
            });
        } else if !self.backlog.is_empty() {
            self.send_backlog();
        }
    }

    /// How often the queue was full up to now.
    pub fn queue_full_count(&self) -> u64 {
        self.counts.queue_full_count
    }

    /// Hits that weren't recorded because the backlog was full, up to now.
    pub fn hits_lost(&self) -> u64 {
        self.counts.hits_lost
    }

    fn send(&mut self, message: Message) {
        let bytes = message.bytes();
        if self.backlog_bytes + bytes > self.backlog_bytes_max {
            self.send_backlog();
        }
        if self.backlog_bytes + bytes > self.backlog_bytes_max {
            match message {
                Message::Hits { hits, .. } => self.counts.hits_lost += hits.len() as u64,
                _ => self.counts.traces_lost += 1,
            }
            return;
        }
        self.backlog_bytes += bytes;
        self.backlog.push_back(message);
        self.send_backlog();
    }

    fn send_backlog(&mut self) {
        while let Some(message) = self.backlog.pop_front() {
            let bytes = message.bytes();
            match self.queue.try_send(message) {
                Ok(()) => self.backlog_bytes -= bytes,
                Err(TrySendError::Full(message)) => {
                    self.counts.queue_full_count += 1;
                    self.backlog.push_front(message);
                    return;
                }
                // The writer was finished before its recorders: theirs is lost.
                Err(TrySendError::Disconnected(message)) => {
                    self.backlog_bytes -= bytes;
                    if let Message::Hits { hits, .. } = message {
                        self.counts.hits_lost += hits.len() as u64;
                    }
                }
            }
        }
    }
}

impl Drop for Recorder {
    /// The run is over: now there is time to wait for the writer.
    fn drop(&mut self) {
        self.flush();
        for message in self.backlog.drain(..) {
            if self.queue.send(message).is_err() {
                return;
            }
        }
        // Nobody listens any more: nobody can be told.
        let _ = self.queue.send(Message::Counts(self.counts));
    }
}

impl Message {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Hits { hits, .. } => hits.capacity() * size_of::<Hit>(),
                Self::Trace(trace) => {
                    trace.request.len() + trace.response.len() + size_of::<Trace>()
                }
                Self::Counts(_) | Self::End => 0,
            }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use encarno_record::Hit;

    use super::{BUFFER_HITS, Message, Recorder};

    #[test]
    fn a_full_queue_is_counted_and_no_hit_vanishes() {
        let (queue, messages) = sync_channel(2);
        let (_give_back, empty) = sync_channel(2);
        let mut recorder = Recorder::new(0, queue, empty, None);
        recorder.backlog_bytes_max = 5 * BUFFER_HITS * size_of::<Hit>();
        for number in 0..20 * BUFFER_HITS as u64 {
            recorder.record(&Hit {
                sent_bytes: number,
                ..Hit::default()
            });
        }
        assert!(recorder.queue_full_count() >= 18);
        let lost = recorder.hits_lost();
        assert!(lost > 0);

        let writer = std::thread::spawn(move || {
            let mut numbers = Vec::new();
            let mut counts = None;
            for message in messages {
                match message {
                    Message::Hits { hits, .. } => numbers.extend(hits.iter().map(|h| h.sent_bytes)),
                    Message::Counts(last) => counts = Some(last),
                    _ => {}
                }
            }
            (numbers, counts)
        });
        drop(recorder);
        let (numbers, counts) = writer.join().expect("the thread doesn't panic");
        assert!(numbers.is_sorted());
        assert_eq!(numbers.len() as u64 + lost, 20 * BUFFER_HITS as u64);
        assert_eq!(counts.expect("a last word").hits_lost, lost);
    }

    #[test]
    fn a_buffer_that_is_not_full_goes_by_age() {
        let (queue, messages) = sync_channel(2);
        let (_give_back, empty) = sync_channel(2);
        let mut recorder = Recorder::new(0, queue, empty, None);
        recorder.record(&Hit {
            ended_ns: 1,
            ..Hit::default()
        });
        assert!(messages.try_recv().is_err());
        recorder.record(&Hit {
            ended_ns: 600_000_000,
            ..Hit::default()
        });
        assert!(matches!(messages.try_recv(), Ok(Message::Hits { hits, .. }) if hits.len() == 2));
    }
}
