//! The hot side: fills a buffer and hands it over when it is full or old. Once a second,
//! hands over the sums of those hits.

use std::collections::VecDeque;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use encarno_record::Hit;
use encarno_record::exemplar::{self, Exemplar, TraceContext};
use encarno_record::formats::Trace;
use encarno_record::notes::Notes;
use encarno_record::series::Measured;
use encarno_record::sums::{LoopState, LoopSums, Summing, second_end_ns, second_of};

use super::sample::{Sampling, TENTH_NS};
use super::summary::WriteSummary;

/// The size of a buffer: 90 kB, which stays in a core's own cache.
const BUFFER_HITS: usize = 1024;
/// The age after which a buffer is handed over although it isn't full, for readers that
/// follow the file.
const BUFFER_AGE_NS_MAX: u64 = 500_000_000;
/// What waits in one recorder when the writer falls behind.
const BACKLOG_BYTES_MAX: usize = 64 << 20;

/// A message to the writer.
#[derive(Debug)]
pub(super) enum Message {
    Hits {
        recorder: usize,
        hits: Vec<Hit>,
    },
    /// The sums of hits that were handed over before.
    Sums(Arc<LoopSums>),
    Trace(Box<Trace>),
    /// Hits that took part in traces, of those that were handed over before.
    Exemplars(Vec<Exemplar>),
    /// Times that were measured beside hits.
    Measured(Box<Measured>),
    /// What somebody wants to be known of that instant (ns from the run's start).
    Mark {
        at_ns: u64,
        text: String,
    },
    /// The counts of a recorder at its end.
    Counts(Counts),
    /// The end of all messages, with the duration of the run.
    End {
        span_ns: u64,
        conclude: Conclude,
    },
}

/// Makes the notes at the end of the file, once the result of writing is known.
pub(super) struct Conclude(pub(super) Box<dyn FnOnce(&WriteSummary) -> Notes + Send>);

impl std::fmt::Debug for Conclude {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Conclude")
    }
}

/// Counts of what a recorder could hand over only late, or not at all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) hits_lost: u64,
    pub(super) traces_lost: u64,
    pub(super) queue_full_count: u64,
}

/// The channels that all recorders of a run share.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    /// To the writer.
    pub(super) queue: Sender<Message>,
    /// To the meter, which doesn't wait for a slow disk.
    pub(super) meter: Sender<Arc<LoopSums>>,
    pub(super) trace_level: Option<u16>,
    pub(super) started_unix_ns: u64,
    /// To the pilot that steers the run.
    pub(super) sampling: Option<Sampling>,
}

/// Takes the hits of one event loop.
#[derive(Debug)]
pub struct Recorder {
    hits: Vec<Hit>,
    hand_over_at_ns: u64,
    /// The instant at which [`Recorder::look`] has something to do: a buffer is old, or a
    /// second is over.
    due_ns: u64,
    second_end_ns: u64,
    number: usize,
    ways: Ways,
    empty: Receiver<Vec<Hit>>,
    backlog: VecDeque<Message>,
    backlog_bytes: usize,
    backlog_bytes_max: usize,
    summing: Summing,
    /// The number of hits that were handed over since the last sums.
    hits_covered: u64,
    until_ns: u64,
    state: LoopState,
    counts: Counts,
    exemplars: Vec<Exemplar>,
}

impl Recorder {
    pub(super) fn new(number: usize, ways: Ways, empty: Receiver<Vec<Hit>>) -> Self {
        let second = second_of(ways.started_unix_ns, 0);
        Self {
            hits: Vec::with_capacity(BUFFER_HITS),
            hand_over_at_ns: BUFFER_AGE_NS_MAX,
            due_ns: 0,
            second_end_ns: second_end_ns(ways.started_unix_ns, second),
            number,
            empty,
            backlog: VecDeque::new(),
            backlog_bytes: 0,
            backlog_bytes_max: BACKLOG_BYTES_MAX,
            summing: Summing::new(ways.started_unix_ns),
            hits_covered: 0,
            until_ns: 0,
            state: LoopState::default(),
            counts: Counts::default(),
            exemplars: Vec::new(),
            ways,
        }
    }

    /// Takes a hit. This doesn't format or wait, and doesn't allocate as long as the
    /// writer keeps up.
    #[inline]
    pub fn record(&mut self, hit: &Hit) {
        self.hits.push(*hit);
        if self.hits.len() >= BUFFER_HITS || hit.ended_ns >= self.hand_over_at_ns {
            self.hand_over_at_ns = hit.ended_ns + BUFFER_AGE_NS_MAX;
            self.flush();
        }
    }

    /// Notes that the hit that is taken next began a trace.
    pub fn exemplar(&mut self, hit: &Hit, trace: TraceContext) {
        if self.exemplars.len() < exemplar::KEPT_MAX {
            self.exemplars.push(Exemplar::of(hit, trace));
        }
    }

    /// Takes times that were measured beside hits.
    pub fn measured(&mut self, measured: Measured) {
        if !measured.is_empty() {
            self.send(Message::Measured(Box::new(measured)));
        }
    }

    /// Whether [`Recorder::look`] has something to do.
    #[inline]
    pub fn is_due(&self, now_ns: u64) -> bool {
        now_ns >= self.due_ns
    }

    /// Hands over old buffers, so that readers of the file see hits even while the loop
    /// has nothing to do, and once a second the sums. Every hit that is recorded after
    /// this call must have ended at or after `now_ns`.
    pub fn look(&mut self, now_ns: u64, state: LoopState) {
        self.state = state;
        self.hand_over_at_ns = now_ns + BUFFER_AGE_NS_MAX;
        self.flush();
        if now_ns >= self.second_end_ns {
            let started_unix_ns = self.ways.started_unix_ns;
            let second = second_of(started_unix_ns, now_ns);
            self.until_ns = now_ns;
            self.second_end_ns = second_end_ns(started_unix_ns, second);
            self.send_sums();
        }
        self.due_ns = self.hand_over_at_ns.min(self.second_end_ns);
        if let Some(sampling) = &mut self.ways.sampling {
            sampling.send(self.number, now_ns, state);
            let tenth_end_ns = (now_ns / TENTH_NS + 1) * TENTH_NS;
            self.due_ns = self.due_ns.min(tenth_end_ns);
        }
    }

    /// Takes the final state of the loop. Hits and sums are handed over on drop.
    pub fn end(&mut self, state: LoopState) {
        self.state = state;
    }

    /// Whether the trace wants this hit. Ask before you copy bytes.
    pub fn traces(&self, hit: &Hit) -> bool {
        self.ways
            .trace_level
            .is_some_and(|level| hit.go_status() >= level)
    }

    /// Whether there is a trace. Without one, the bytes of requests and answers aren't
    /// needed.
    pub fn has_trace(&self) -> bool {
        self.ways.trace_level.is_some()
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

    /// Hands over the present buffer.
    fn flush(&mut self) {
        if !self.hits.is_empty() {
            self.summing.record_all(&self.hits);
            if let Some(sampling) = &mut self.ways.sampling {
                sampling.record_all(&self.hits);
            }
            let next = self
                .empty
                .try_recv()
                .unwrap_or_else(|_| Vec::with_capacity(BUFFER_HITS));
            let hits = std::mem::replace(&mut self.hits, next);
            self.send(Message::Hits {
                recorder: self.number,
                hits,
            });
            if !self.exemplars.is_empty() {
                let exemplars = std::mem::take(&mut self.exemplars);
                self.send(Message::Exemplars(exemplars));
            }
            if self.summing.is_full() {
                self.send_sums();
            }
        } else if !self.backlog.is_empty() {
            self.send_backlog();
        }
    }

    fn send_sums(&mut self) {
        let sums = Arc::new(LoopSums {
            number: self.number as u32,
            until_ns: self.until_ns,
            hits_covered: std::mem::take(&mut self.hits_covered),
            state: self.state,
            seconds: self.summing.take(),
        });
        // Without a meter, the sums aren't needed.
        let _ = self.ways.meter.send(Arc::clone(&sums));
        self.send(Message::Sums(sums));
    }

    /// How often the queue was full so far.
    pub fn queue_full_count(&self) -> u64 {
        self.counts.queue_full_count
    }

    /// The hits that weren't recorded so far, because the backlog was full.
    pub fn hits_lost(&self) -> u64 {
        self.counts.hits_lost
    }

    fn send(&mut self, message: Message) {
        let bytes = message.bytes();
        if self.backlog_bytes + bytes > self.backlog_bytes_max {
            self.send_backlog();
        }
        let full = self.backlog_bytes + bytes > self.backlog_bytes_max;
        match &message {
            Message::Hits { hits, .. } if full => {
                self.counts.hits_lost += hits.len() as u64;
                return;
            }
            Message::Trace(_) if full => {
                self.counts.traces_lost += 1;
                return;
            }
            // Others stand for the same hits.
            Message::Exemplars(_) if full => return,
            Message::Hits { hits, .. } => self.hits_covered += hits.len() as u64,
            // There are at most two such messages a second, and sums must not be lost.
            _ => {}
        }
        self.backlog_bytes += bytes;
        self.backlog.push_back(message);
        self.send_backlog();
    }

    fn send_backlog(&mut self) {
        while let Some(message) = self.backlog.pop_front() {
            let bytes = message.bytes();
            match self.ways.queue.try_send(message) {
                Ok(()) => self.backlog_bytes -= bytes,
                Err(TrySendError::Full(message)) => {
                    self.counts.queue_full_count += 1;
                    self.backlog.push_front(message);
                    return;
                }
                // The writer ended before its recorders, so this message is lost.
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
    /// The run is over, so waiting for the writer is allowed.
    fn drop(&mut self) {
        self.flush();
        self.until_ns = u64::MAX;
        self.send_sums();
        for message in self.backlog.drain(..) {
            if self.ways.queue.send(message).is_err() {
                return;
            }
        }
        // The writer has ended, so the counts can't be reported.
        let _ = self.ways.queue.send(Message::Counts(self.counts));
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
                Self::Exemplars(exemplars) => exemplars.capacity() * size_of::<Exemplar>(),
                Self::Sums(_)
                | Self::Measured(_)
                | Self::Mark { .. }
                | Self::Counts(_)
                | Self::End { .. } => 0,
            }
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Sender, bounded, unbounded};

    use encarno_record::Hit;
    use encarno_record::sums::LoopState;

    use super::{BUFFER_HITS, Message, Recorder, Ways};

    /// The channels of a run whose first second ends at once.
    fn ways(queue: Sender<Message>) -> Ways {
        Ways {
            queue,
            meter: unbounded().0,
            trace_level: None,
            started_unix_ns: 10_900_000_000,
            sampling: None,
        }
    }

    #[test]
    fn a_full_queue_is_counted_and_no_hit_vanishes() {
        let (queue, messages) = bounded(2);
        let (_give_back, empty) = bounded(2);
        let mut recorder = Recorder::new(0, ways(queue), empty);
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
            let (mut counts, mut covered, mut summed) = (None, 0, 0);
            for message in messages {
                match message {
                    Message::Hits { hits, .. } => numbers.extend(hits.iter().map(|h| h.sent_bytes)),
                    Message::Sums(sums) => {
                        covered += sums.hits_covered;
                        summed += sums.hits();
                    }
                    Message::Counts(last) => counts = Some(last),
                    _ => {}
                }
            }
            (numbers, counts, covered, summed)
        });
        drop(recorder);
        let (numbers, counts, covered, summed) = writer.join().expect("the thread doesn't panic");
        assert!(numbers.is_sorted());
        assert_eq!(numbers.len() as u64 + lost, 20 * BUFFER_HITS as u64);
        assert_eq!(counts.expect("a last word").hits_lost, lost);
        assert_eq!(covered, numbers.len() as u64);
        assert_eq!(summed, 20 * BUFFER_HITS as u64, "sums are never lost");
    }

    #[test]
    fn a_buffer_that_is_not_full_goes_by_age() {
        let (queue, messages) = bounded(2);
        let (_give_back, empty) = bounded(2);
        let mut recorder = Recorder::new(0, ways(queue), empty);
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

    #[test]
    fn a_loop_that_rests_hands_over_what_it_has() {
        let (queue, messages) = bounded(8);
        let (_give_back, empty) = bounded(2);
        let mut recorder = Recorder::new(3, ways(queue), empty);
        let state = LoopState {
            users: 7,
            ..LoopState::default()
        };
        assert!(recorder.is_due(0));
        recorder.look(0, state);
        recorder.record(&Hit::default());
        assert!(!recorder.is_due(99_999_999) && recorder.is_due(100_000_000));
        recorder.look(100_000_000, state);
        assert!(matches!(messages.try_recv(), Ok(Message::Hits { hits, .. }) if hits.len() == 1));
        match messages.try_recv() {
            Ok(Message::Sums(sums)) => {
                assert_eq!((sums.number, sums.until_ns), (3, 100_000_000));
                assert_eq!((sums.hits_covered, sums.hits(), sums.state), (1, 1, state));
            }
            other => panic!("sums should come: {other:?}"),
        }
        // Within a second, only hits are handed over.
        recorder.record(&Hit::default());
        assert!(!recorder.is_due(599_999_999) && recorder.is_due(600_000_000));
        recorder.look(600_000_000, state);
        assert!(matches!(messages.try_recv(), Ok(Message::Hits { .. })));
        assert!(messages.try_recv().is_err());
    }
}
