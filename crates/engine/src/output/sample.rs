//! What an event loop does, tenth by tenth of a second: finer than its sums, for
//! whoever steers the run. Hits are put into tenths by the instant at which they
//! ended, and not by when somebody looked.

use std::collections::BTreeMap;

use crossbeam_channel::Sender;
use encarno_record::histogram::Histogram;
use encarno_record::sums::LoopState;
use encarno_record::{Expected, Hit};

/// How long a tenth is.
pub const TENTH_NS: u64 = 100_000_000;

/// What ended in a tenth of a second.
#[derive(Clone, Debug, Default)]
pub struct Tenth {
    /// Hits.
    pub ended: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// From the start of each hit to its end, the sum, ns.
    pub service_ns: u64,
    /// From the instant a hit was scheduled for to its end, ns.
    pub response_ns: Histogram,
    /// How late hits started, ns.
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

    /// Adds all that another one has.
    pub fn merge(&mut self, other: &Self) {
        self.ended += other.ended;
        self.failed += other.failed;
        self.service_ns = self.service_ns.saturating_add(other.service_ns);
        self.response_ns.merge(&other.response_ns);
        self.lag_ns.merge(&other.lag_ns);
    }
}

/// What an event loop did since it last said so.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The loop's number.
    pub number: usize,
    /// All hits of the loop that ended before are in this or earlier samples, ns
    /// from the run's start.
    pub until_ns: u64,
    /// Where the loop stands.
    pub state: LoopState,
    /// By the number of the tenth, from the run's start.
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
        // Nobody steers any more: nobody asks.
        let _ = self.to.send(sample);
    }
}
