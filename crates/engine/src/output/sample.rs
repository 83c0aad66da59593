//! The work of an event loop by tenths of a second, which are finer than its sums, for
//! the pilot. A hit belongs to the tenth in which it ended, whenever the sample was
//! taken.

use std::collections::BTreeMap;

use crossbeam_channel::Sender;
use encarno_record::histogram::Histogram;
use encarno_record::sums::LoopState;
use encarno_record::{Expected, Hit};

/// The length of a tenth of a second, ns.
pub const TENTH_NS: u64 = 100_000_000;

/// The hits that ended in a tenth of a second.
#[derive(Clone, Debug, Default)]
pub struct Tenth {
    /// The number of hits.
    pub ended: u64,
    /// The number of those hits that failed.
    pub failed: u64,
    /// The sum of service times, from start to end, ns.
    pub service_ns: u64,
    /// Response times, from the scheduled instant to the end, ns.
    pub response_ns: Histogram,
    /// Lag, from the scheduled instant to the start, ns.
    pub lag_ns: Histogram,
}

impl Tenth {
    fn record(&mut self, hit: &Hit, expected: &Expected) {
        self.ended += 1;
        self.failed += u64::from(hit.failed(expected));
        self.service_ns = self.service_ns.saturating_add(hit.service_ns());
        self.response_ns.record(hit.response_ns());
        self.lag_ns.record(hit.lag_ns());
    }

    /// Adds another tenth.
    pub fn merge(&mut self, other: &Self) {
        self.ended += other.ended;
        self.failed += other.failed;
        self.service_ns = self.service_ns.saturating_add(other.service_ns);
        self.response_ns.merge(&other.response_ns);
        self.lag_ns.merge(&other.lag_ns);
    }
}

/// The work of an event loop since its last sample.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The loop's number.
    pub number: usize,
    /// All hits of the loop that ended before this instant are in this or earlier
    /// samples; ns from the run's start.
    pub until_ns: u64,
    /// The state of the loop.
    pub state: LoopState,
    /// Tenths by their numbers, counted from the run's start.
    pub tenths: BTreeMap<u64, Tenth>,
}

/// Makes samples in an event loop.
#[derive(Clone, Debug)]
pub(super) struct Sampling {
    to: Sender<Sample>,
    expected: Expected,
    tenths: BTreeMap<u64, Tenth>,
}

impl Sampling {
    pub(super) fn new(to: Sender<Sample>, expected: Expected) -> Self {
        Self {
            to,
            expected,
            tenths: BTreeMap::new(),
        }
    }

    pub(super) fn record_all(&mut self, mut hits: &[Hit]) {
        let tenth_of = |hit: &Hit| hit.ended_ns / TENTH_NS;
        while let Some(first) = hits.first() {
            let number = tenth_of(first);
            let count = hits.iter().take_while(|hit| tenth_of(hit) == number);
            let (of_tenth, rest) = hits.split_at(count.count());
            let tenth = self.tenths.entry(number).or_default();
            of_tenth
                .iter()
                .for_each(|hit| tenth.record(hit, &self.expected));
            hits = rest;
        }
    }

    pub(super) fn send(&mut self, number: usize, until_ns: u64, state: LoopState) {
        let sample = Sample {
            number,
            until_ns,
            state,
            tenths: std::mem::take(&mut self.tenths),
        };
        // If the pilot is gone, the sample isn't needed.
        let _ = self.to.send(sample);
    }
}
