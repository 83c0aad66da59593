//! Sums of hits with the same outcome, by second. Event loops hand them over once a
//! second, and result files contain them beside the hits.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::histogram::Histogram;
use crate::hit::go_status;
use crate::{Expected, Hit, StringId, varint};

const SECOND_NS: u64 = 1_000_000_000;
/// The most hits that are summed at once; they fit into a core's nearest cache.
const ALIKE_MAX: usize = 256;
/// The most distinct outcomes before sums must be handed over.
const OUTCOMES_MAX: usize = 4096;

/// The common properties of hits that are summed together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Outcome {
    /// The label.
    pub label: StringId,
    /// The error text; 0 means no error.
    pub error: StringId,
    /// The net code; 0 means none.
    pub net_code: u16,
    /// The protocol's status; 0 means none.
    pub protocol_code: u16,
}

impl Outcome {
    /// The outcome of a hit.
    #[inline]
    pub fn of(hit: &Hit) -> Self {
        Self {
            label: hit.label,
            error: hit.error,
            net_code: hit.net_code,
            protocol_code: hit.protocol_code,
        }
    }

    /// The status as Go-encarno counts it; 999 means an error below the protocol.
    pub fn go_status(&self) -> u16 {
        go_status(self.net_code, self.protocol_code, self.error.0 != 0)
    }

    /// Whether such hits failed.
    pub fn failed(&self, expected: &Expected) -> bool {
        expected.is_failure(self.net_code, self.protocol_code, self.error.0 != 0)
    }
}

/// The sums of some hits.
#[derive(Clone, Debug, PartialEq)]
pub struct Sums {
    /// The number of hits.
    pub hits: u64,
    /// The most hits that ran when a hit started.
    pub concurrency: u32,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// The first scheduled instant, ns from the run's start.
    pub first_scheduled_ns: u64,
    /// The last end, ns from the run's start.
    pub last_ended_ns: u64,
    /// The sum of connect times.
    pub connect_ns: u64,
    /// The sum of the times from the scheduled instant to the first byte; hits without an
    /// answer count 0.
    pub first_byte_ns: u64,
    /// Service times: from the start of a hit to its end, ns.
    pub service_ns: Histogram,
    /// Response times: from the scheduled instant of a hit to its end, ns.
    pub response_ns: Histogram,
    /// Lag: from the scheduled instant of a hit to its start, ns.
    pub lag_ns: Histogram,
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            hits: 0,
            concurrency: 0,
            sent_bytes: 0,
            received_bytes: 0,
            first_scheduled_ns: u64::MAX,
            last_ended_ns: 0,
            connect_ns: 0,
            first_byte_ns: 0,
            service_ns: Histogram::default(),
            response_ns: Histogram::default(),
            lag_ns: Histogram::default(),
        }
    }
}

impl Sums {
    /// Adds hits with the same outcome.
    pub fn record_all(&mut self, hits: &[Hit]) {
        let mut late = 0;
        for hit in hits {
            self.count(hit);
            late += u64::from(hit.started_ns > hit.scheduled_ns);
        }
        self.service_ns.record_all(hits.iter().map(Hit::service_ns));
        self.response_ns
            .record_all(hits.iter().map(Hit::response_ns));
        // In a closed workload, most hits have no lag.
        self.lag_ns.record_zeros(hits.len() as u64 - late);
        if late > 0 {
            let lags = hits.iter().map(Hit::lag_ns);
            self.lag_ns.record_all(lags.filter(|&lag_ns| lag_ns > 0));
        }
    }

    /// Adds a hit.
    #[inline]
    pub fn record(&mut self, hit: &Hit) {
        self.count(hit);
        self.service_ns.record(hit.service_ns());
        self.response_ns.record(hit.response_ns());
        self.lag_ns.record(hit.lag_ns());
    }

    #[inline]
    fn count(&mut self, hit: &Hit) {
        self.hits += 1;
        self.concurrency = self.concurrency.max(hit.concurrency);
        self.sent_bytes = self.sent_bytes.saturating_add(hit.sent_bytes);
        self.received_bytes = self.received_bytes.saturating_add(hit.received_bytes);
        self.first_scheduled_ns = self.first_scheduled_ns.min(hit.scheduled_ns);
        self.last_ended_ns = self.last_ended_ns.max(hit.ended_ns);
        let connected_ns = if hit.connected_ns == 0 {
            hit.ended_ns
        } else {
            hit.connected_ns
        };
        let connect_ns = connected_ns.saturating_sub(hit.started_ns);
        self.connect_ns = self.connect_ns.saturating_add(connect_ns);
        let first_byte_ns = hit.first_byte_ns.saturating_sub(hit.scheduled_ns);
        self.first_byte_ns = self.first_byte_ns.saturating_add(first_byte_ns);
    }

    /// Adds other sums.
    pub fn merge(&mut self, other: &Self) {
        self.hits = self.hits.saturating_add(other.hits);
        self.concurrency = self.concurrency.max(other.concurrency);
        self.sent_bytes = self.sent_bytes.saturating_add(other.sent_bytes);
        self.received_bytes = self.received_bytes.saturating_add(other.received_bytes);
        self.first_scheduled_ns = self.first_scheduled_ns.min(other.first_scheduled_ns);
        self.last_ended_ns = self.last_ended_ns.max(other.last_ended_ns);
        self.connect_ns = self.connect_ns.saturating_add(other.connect_ns);
        self.first_byte_ns = self.first_byte_ns.saturating_add(other.first_byte_ns);
        self.service_ns.merge(&other.service_ns);
        self.response_ns.merge(&other.response_ns);
        self.lag_ns.merge(&other.lag_ns);
    }

    fn numbers(&self) -> [u64; 8] {
        [
            self.hits,
            u64::from(self.concurrency),
            self.sent_bytes,
            self.received_bytes,
            self.first_scheduled_ns,
            self.last_ended_ns,
            self.connect_ns,
            self.first_byte_ns,
        ]
    }
}

/// Sums by outcome, each outcome once.
#[derive(Clone, Debug, Default)]
pub struct OutcomeSums {
    places: HashMap<Outcome, usize, BuildHasherDefault<QuickHasher>>,
    sums: Vec<(Outcome, Sums)>,
    last: usize,
}

impl OutcomeSums {
    /// Adds a hit. In the common case, its outcome is that of the hit before.
    #[inline]
    pub fn record(&mut self, hit: &Hit) {
        self.of(Outcome::of(hit)).record(hit);
    }

    /// Adds sums of this outcome.
    pub fn merge(&mut self, outcome: Outcome, sums: &Sums) {
        self.of(outcome).merge(sums);
    }

    /// The number of outcomes.
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Whether there are no outcomes.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// Each outcome with its sums, in the order in which outcomes first occurred.
    pub fn iter(&self) -> impl Iterator<Item = (&Outcome, &Sums)> {
        self.sums.iter().map(|(outcome, sums)| (outcome, sums))
    }

    #[inline]
    fn of(&mut self, outcome: Outcome) -> &mut Sums {
        if self.sums.get(self.last).is_none_or(|(o, _)| *o != outcome) {
            self.turn_to(outcome);
        }
        &mut self.sums[self.last].1
    }

    fn turn_to(&mut self, outcome: Outcome) {
        let next = self.sums.len();
        self.last = *self.places.entry(outcome).or_insert(next);
        if self.last == next {
            self.sums.push((outcome, Sums::default()));
        }
    }
}

/// The state of an event loop: counts since the start of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoopState {
    /// Users: the workers of a closed workload, including pausing ones, or the running
    /// hits and pauses of an open one.
    pub users: u64,
    /// Running hits.
    pub running: u64,
    /// Workers.
    pub workers: u64,
    /// Pausing workers.
    pub sleeping: u64,
    /// Hits that were due.
    pub scheduled: u64,
    /// Hits that were started.
    pub started: u64,
    /// Hits that were never started.
    pub dropped: u64,
    /// CPU time of the loop's thread, ns.
    pub cpu_ns: u64,
    /// Turns in which a hit was due and no worker was free.
    pub no_worker: u64,
    /// The time for which workers were free and the input had no record, ns.
    pub starved_ns: u64,
}

impl LoopState {
    /// Adds the state of another loop.
    pub fn add(&mut self, other: &Self) {
        self.users += other.users;
        self.running += other.running;
        self.workers += other.workers;
        self.sleeping += other.sleeping;
        self.scheduled += other.scheduled;
        self.started += other.started;
        self.dropped += other.dropped;
        self.cpu_ns += other.cpu_ns;
        self.no_worker += other.no_worker;
        self.starved_ns += other.starved_ns;
    }

    fn numbers(&self) -> [u64; 10] {
        [
            self.users,
            self.running,
            self.workers,
            self.sleeping,
            self.scheduled,
            self.started,
            self.dropped,
            self.cpu_ns,
            self.no_worker,
            self.starved_ns,
        ]
    }
}

/// The work of an event loop since its last sums.
#[derive(Clone, Debug, Default)]
pub struct LoopSums {
    /// The loop's number.
    pub number: u32,
    /// All hits of the loop that ended before this instant are in these or earlier sums,
    /// ns from the run's start. `u64::MAX` means that the loop has ended.
    pub until_ns: u64,
    /// The number of the loop's hits in the file that these sums cover.
    pub hits_covered: u64,
    /// The state of the loop.
    pub state: LoopState,
    /// The sums, by the second (Unix time) in which hits ended.
    pub seconds: Vec<(u64, OutcomeSums)>,
}

impl LoopSums {
    /// The number of hits in the sums.
    pub fn hits(&self) -> u64 {
        let outcomes = self.seconds.iter().flat_map(|(_, sums)| sums.iter());
        outcomes.fold(0, |hits, (_, sums)| hits.saturating_add(sums.hits))
    }

    /// The number of outcomes, counted for each second.
    pub fn outcomes(&self) -> usize {
        self.seconds.iter().map(|(_, sums)| sums.len()).sum()
    }
}

/// Sums up the hits of an event loop.
#[derive(Clone, Debug)]
pub struct Summing {
    started_unix_ns: u64,
    /// The second of the last hit, and its start and end in ns from the run's start.
    second: u64,
    from_ns: u64,
    to_ns: u64,
    place: usize,
    seconds: Vec<(u64, OutcomeSums)>,
}

impl Summing {
    /// For a run that started at this instant of the wall clock.
    pub fn new(started_unix_ns: u64) -> Self {
        Self {
            started_unix_ns,
            second: 0,
            from_ns: 0,
            to_ns: 0,
            place: 0,
            seconds: Vec::new(),
        }
    }

    /// Adds a hit.
    #[inline]
    pub fn record(&mut self, hit: &Hit) {
        if hit.ended_ns < self.from_ns || hit.ended_ns >= self.to_ns || self.seconds.is_empty() {
            self.turn_to(hit.ended_ns);
        }
        self.seconds[self.place].1.record(hit);
    }

    /// Adds hits, like [`Summing::record`] but faster if successive hits have the same
    /// outcome.
    pub fn record_all(&mut self, mut hits: &[Hit]) {
        while let Some(first) = hits.first() {
            if first.ended_ns < self.from_ns
                || first.ended_ns >= self.to_ns
                || self.seconds.is_empty()
            {
                self.turn_to(first.ended_ns);
            }
            let outcome = Outcome::of(first);
            let others = hits.iter().take(ALIKE_MAX).skip(1);
            let alike = others.take_while(|hit| {
                Outcome::of(hit) == outcome
                    && hit.ended_ns >= self.from_ns
                    && hit.ended_ns < self.to_ns
            });
            let (alike, rest) = hits.split_at(1 + alike.count());
            self.seconds[self.place].1.of(outcome).record_all(alike);
            hits = rest;
        }
    }

    /// Whether the sums should be handed over because of their size.
    pub fn is_full(&self) -> bool {
        self.seconds
            .iter()
            .map(|(_, sums)| sums.len())
            .sum::<usize>()
            >= OUTCOMES_MAX
    }

    /// Takes the sums, and leaves none.
    pub fn take(&mut self) -> Vec<(u64, OutcomeSums)> {
        std::mem::take(&mut self.seconds)
    }

    fn turn_to(&mut self, ended_ns: u64) {
        let start_ns = self.started_unix_ns;
        self.second = second_of(start_ns, ended_ns);
        self.from_ns = (self.second * SECOND_NS).saturating_sub(start_ns);
        self.to_ns = second_end_ns(start_ns, self.second);
        let known = self
            .seconds
            .iter()
            .position(|&(second, _)| second == self.second);
        self.place = known.unwrap_or_else(|| {
            self.seconds.push((self.second, OutcomeSums::default()));
            self.seconds.len() - 1
        });
    }
}

/// The second (Unix time) of an instant of the run.
pub fn second_of(started_unix_ns: u64, instant_ns: u64) -> u64 {
    started_unix_ns.saturating_add(instant_ns) / SECOND_NS
}

/// The end of a second (Unix time), ns from the run's start.
pub fn second_end_ns(started_unix_ns: u64, second: u64) -> u64 {
    second
        .saturating_add(1)
        .saturating_mul(SECOND_NS)
        .saturating_sub(started_unix_ns)
}

/// Appends sums of one second as varints: outcome, numbers and histograms.
pub(crate) fn append_sums(out: &mut Vec<u8>, second: u64, outcome: &Outcome, sums: &Sums) {
    varint::append(out, second);
    varint::append(out, u64::from(outcome.label.0));
    varint::append(out, u64::from(outcome.error.0));
    varint::append(out, u64::from(outcome.net_code));
    varint::append(out, u64::from(outcome.protocol_code));
    for number in sums.numbers() {
        varint::append(out, number);
    }
    for histogram in [&sums.service_ns, &sums.response_ns, &sums.lag_ns] {
        histogram.append_to(out);
    }
}

/// Takes what [`append_sums`] wrote; `None` if the bytes are something else.
pub(crate) fn take_sums(bytes: &mut &[u8]) -> Option<(u64, Outcome, Sums)> {
    let second = varint::take(bytes)?;
    let outcome = Outcome {
        label: StringId(varint::take(bytes)?.try_into().ok()?),
        error: StringId(varint::take(bytes)?.try_into().ok()?),
        net_code: varint::take(bytes)?.try_into().ok()?,
        protocol_code: varint::take(bytes)?.try_into().ok()?,
    };
    let mut numbers = [0; 8];
    for number in &mut numbers {
        *number = varint::take(bytes)?;
    }
    let [
        hits,
        concurrency,
        sent_bytes,
        received_bytes,
        first_scheduled_ns,
        last_ended_ns,
        connect_ns,
        first_byte_ns,
    ] = numbers;
    let sums = Sums {
        hits,
        concurrency: concurrency.try_into().ok()?,
        sent_bytes,
        received_bytes,
        first_scheduled_ns,
        last_ended_ns,
        connect_ns,
        first_byte_ns,
        service_ns: Histogram::take_from(bytes)?,
        response_ns: Histogram::take_from(bytes)?,
        lag_ns: Histogram::take_from(bytes)?,
    };
    Some((second, outcome, sums))
}

/// Appends the state of a loop: the count of numbers, and the numbers.
pub(crate) fn append_state(out: &mut Vec<u8>, state: &LoopState) {
    let numbers = state.numbers();
    varint::append(out, numbers.len() as u64);
    for number in numbers {
        varint::append(out, number);
    }
}

/// Takes what [`append_state`] wrote; later versions may have more numbers.
pub(crate) fn take_state(bytes: &mut &[u8]) -> Option<LoopState> {
    let count = varint::take(bytes)?;
    let mut numbers = [0; 10];
    for place in 0..count {
        let number = varint::take(bytes)?;
        if let Some(known) = numbers.get_mut(place as usize) {
            *known = number;
        }
    }
    let [
        users,
        running,
        workers,
        sleeping,
        scheduled,
        started,
        dropped,
        cpu_ns,
        no_worker,
        starved_ns,
    ] = numbers;
    Some(LoopState {
        users,
        running,
        workers,
        sleeping,
        scheduled,
        started,
        dropped,
        cpu_ns,
        no_worker,
        starved_ns,
    })
}

/// A hasher for keys that are small numbers of our own.
#[derive(Clone, Debug, Default)]
struct QuickHasher(u64);

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    #[inline]
    fn write_u16(&mut self, number: u16) {
        self.write_u64(u64::from(number));
    }

    #[inline]
    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
        self.0 = mixed ^ (mixed >> 32);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{LoopState, Summing, append_state, append_sums, take_state, take_sums};
    use crate::{Hit, StringId};

    #[test]
    fn hits_are_summed_up_by_the_second_in_which_they_ended() {
        let mut summing = Summing::new(10_900_000_000);
        for (ended_ns, label) in [
            (0, 1),
            (99_999_999, 1),
            (100_000_000, 1),
            (50, 2),
            (100_000_000, 1),
        ] {
            summing.record(&Hit {
                ended_ns,
                label: StringId(label),
                net_code: 111,
                received_bytes: 7,
                ..Hit::default()
            });
        }
        let seconds = summing.take();
        let counts = |place: usize| -> Vec<_> {
            let outcomes = seconds[place].1.iter();
            outcomes
                .map(|(outcome, sums)| (outcome.label.0, sums.hits))
                .collect()
        };
        assert_eq!((seconds.len(), seconds[0].0, seconds[1].0), (2, 10, 11));
        assert_eq!(counts(0), [(1, 2), (2, 1)]);
        assert_eq!(counts(1), [(1, 2)]);

        let mut bytes = Vec::new();
        let state = LoopState {
            users: 3,
            starved_ns: u64::MAX,
            ..LoopState::default()
        };
        append_state(&mut bytes, &state);
        for (second, sums) in &seconds {
            for (outcome, sums) in sums.iter() {
                append_sums(&mut bytes, *second, outcome, sums);
            }
        }
        let mut rest = &bytes[..];
        assert_eq!(take_state(&mut rest), Some(state));
        for (second, sums) in &seconds {
            for (outcome, sums) in sums.iter() {
                assert_eq!(
                    take_sums(&mut rest),
                    Some((*second, *outcome, sums.clone()))
                );
            }
        }
        assert!(rest.is_empty());
    }

    proptest! {
        #[test]
        fn many_at_once_come_to_the_same_as_one_by_one(
            seeds in prop::collection::vec((0..3_u32, 0..2_500_000_000_u64, 0..9_u64), 0..700),
            cut: prop::sample::Index,
        ) {
            let hits: Vec<Hit> = seeds.iter().map(|&(label, ended_ns, lag_ns)| Hit {
                label: StringId(label / 2),
                scheduled_ns: ended_ns / 2,
                started_ns: ended_ns / 2 + lag_ns.saturating_sub(5),
                ended_ns,
                ..Hit::default()
            }).collect();
            let (mut single, mut batches) = (Summing::new(10_900_000_000), Summing::new(10_900_000_000));
            hits.iter().for_each(|hit| single.record(hit));
            let (one, other) = hits.split_at(cut.index(hits.len() + 1));
            batches.record_all(one);
            batches.record_all(other);
            let list = |mut summing: Summing| -> Vec<_> {
                let seconds = summing.take();
                let sums = seconds.iter().map(|(second, sums)| {
                    let sums = sums.iter().map(|(outcome, sums)| (*outcome, sums.clone()));
                    (*second, sums.collect::<Vec<_>>())
                });
                sums.collect()
            };
            prop_assert_eq!(list(batches), list(single));
        }
    }
}
