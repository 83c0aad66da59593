//! Sums and distributions of hits, for each label and in total.
//!
//! Memory depends on the number of labels and on the spread of the times, not
//! on the number of hits.

use crate::histogram::Histogram;
use crate::{Hit, StringId};

/// Labels that are told apart; further ones are summed up together.
pub const LABELS_MAX: usize = 10_000;
/// The label of those.
pub const OTHER_LABELS: StringId = StringId(u32::MAX);

/// What became of some hits.
#[derive(Clone, Debug, Default)]
pub struct LabelStatistics {
    /// How many.
    pub hits: u64,
    /// How many of them failed: an error, or a status of 400 and above.
    pub failed: u64,
    /// How many had each net code; 0 = none.
    pub net_codes: Tally,
    /// How many had each protocol code; 0 = none.
    pub protocol_codes: Tally,
    /// From the start of a hit to its end, ns.
    pub service_ns: Histogram,
    /// From the instant a hit was scheduled for to its end, ns.
    pub response_ns: Histogram,
    /// How late hits started, ns.
    pub lag_ns: Histogram,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// The first scheduled instant, ns.
    pub first_scheduled_ns: u64,
    /// The last end, ns.
    pub last_ended_ns: u64,
}

impl LabelStatistics {
    /// Adds a hit.
    #[inline]
    pub fn record(&mut self, hit: &Hit) {
        if self.hits == 0 {
            self.first_scheduled_ns = hit.scheduled_ns;
        }
        self.hits += 1;
        self.failed += u64::from(hit.failed());
        self.net_codes.add(hit.net_code, 1);
        self.protocol_codes.add(hit.protocol_code, 1);
        self.service_ns.record(hit.service_ns());
        self.response_ns.record(hit.response_ns());
        self.lag_ns.record(hit.lag_ns());
        self.sent_bytes = self.sent_bytes.saturating_add(hit.sent_bytes);
        self.received_bytes = self.received_bytes.saturating_add(hit.received_bytes);
        self.first_scheduled_ns = self.first_scheduled_ns.min(hit.scheduled_ns);
        self.last_ended_ns = self.last_ended_ns.max(hit.ended_ns);
    }

    /// Adds all that another one has.
    pub fn merge(&mut self, other: &Self) {
        if self.hits == 0 {
            self.first_scheduled_ns = other.first_scheduled_ns;
        }
        self.hits += other.hits;
        self.failed += other.failed;
        for (code, count) in other.net_codes.sorted() {
            self.net_codes.add(code, count);
        }
        for (code, count) in other.protocol_codes.sorted() {
            self.protocol_codes.add(code, count);
        }
        self.service_ns.merge(&other.service_ns);
        self.response_ns.merge(&other.response_ns);
        self.lag_ns.merge(&other.lag_ns);
        self.sent_bytes = self.sent_bytes.saturating_add(other.sent_bytes);
        self.received_bytes = self.received_bytes.saturating_add(other.received_bytes);
        self.first_scheduled_ns = self.first_scheduled_ns.min(other.first_scheduled_ns);
        self.last_ended_ns = self.last_ended_ns.max(other.last_ended_ns);
    }

    /// From the first scheduled instant to the last end.
    pub fn duration_s(&self) -> f64 {
        self.last_ended_ns.saturating_sub(self.first_scheduled_ns) as f64 / 1e9
    }

    /// Hits in a second of that time; 0 if it has no length.
    pub fn rate(&self) -> f64 {
        let duration_s = self.duration_s();
        if duration_s > 0.0 {
            self.hits as f64 / duration_s
        } else {
            0.0
        }
    }
}

/// How often each code occurred.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    counts: Vec<(u16, u64)>,
    last: usize,
}

impl Tally {
    /// Counts a code. The same code again is the common case.
    #[inline]
    pub fn add(&mut self, code: u16, count: u64) {
        match self.counts.get_mut(self.last) {
            Some((last, sum)) if *last == code => *sum += count,
            _ => self.add_other(code, count),
        }
    }

    /// Each code and its count, by code.
    pub fn sorted(&self) -> Vec<(u16, u64)> {
        let mut counts = self.counts.clone();
        counts.sort_unstable();
        counts
    }

    fn add_other(&mut self, code: u16, count: u64) {
        self.last = match self.counts.iter().position(|&(other, _)| other == code) {
            Some(place) => place,
            None => {
                self.counts.push((code, 0));
                self.counts.len() - 1
            }
        };
        self.counts[self.last].1 += count;
    }
}

/// Statistics of hits by label.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    places: Vec<u32>,
    labels: Vec<(StringId, Box<LabelStatistics>)>,
    others: Option<Box<LabelStatistics>>,
}

impl Statistics {
    /// Adds a hit.
    #[inline]
    pub fn record(&mut self, hit: &Hit) {
        match self.places.get(hit.label.0 as usize) {
            Some(&place) if place > 0 => self.labels[place as usize - 1].1.record(hit),
            _ => self.label(hit.label).record(hit),
        }
    }

    /// Each label that occurred, in the order in which they came up.
    pub fn labels(&self) -> impl Iterator<Item = (StringId, &LabelStatistics)> {
        let labels = self
            .labels
            .iter()
            .map(|(label, statistics)| (*label, &**statistics));
        labels.chain(self.others.iter().map(|others| (OTHER_LABELS, &**others)))
    }

    /// All labels together.
    pub fn total(&self) -> LabelStatistics {
        let mut total = LabelStatistics::default();
        self.labels()
            .for_each(|(_, statistics)| total.merge(statistics));
        total
    }

    #[cold]
    fn label(&mut self, label: StringId) -> &mut LabelStatistics {
        /// A damaged file mustn't ask for all memory.
        const PLACES_MAX: usize = 1 << 24;
        let number = label.0 as usize;
        if self.labels.len() >= LABELS_MAX || number >= PLACES_MAX {
            return self.others.get_or_insert_default();
        }
        if number >= self.places.len() {
            self.places.resize(number + 1, 0);
        }
        self.labels.push((label, Box::default()));
        self.places[number] = self.labels.len() as u32;
        let last = self.labels.len() - 1;
        &mut self.labels[last].1
    }
}

/// A time with its unit, to three digits: more would be more than is known.
pub fn time_text(ns: f64) -> String {
    let (value, unit) = match ns {
        _ if ns < 1e3 => return format!("{ns:.0} ns"),
        _ if ns < 1e6 => (ns / 1e3, "µs"),
        _ if ns < 1e9 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    let digits = if value < 10.0 {
        2
    } else if value < 100.0 {
        1
    } else {
        0
    };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::{LABELS_MAX, OTHER_LABELS, Statistics};
    use crate::{Hit, StringId};

    #[test]
    fn the_total_is_the_sum_of_the_labels() {
        let mut statistics = Statistics::default();
        for number in 0..30_u32 {
            statistics.record(&Hit {
                label: StringId(number % 3),
                scheduled_ns: 1_000_000_000 + u64::from(number),
                started_ns: 1_000_000_005 + u64::from(number),
                ended_ns: 2_000_000_000,
                received_bytes: 10,
                protocol_code: if number == 7 { 503 } else { 200 },
                net_code: if number == 8 { 111 } else { 0 },
                ..Hit::default()
            });
        }
        let total = statistics.total();
        assert_eq!(
            (total.hits, total.failed, total.received_bytes),
            (30, 2, 300)
        );
        assert_eq!(total.protocol_codes.sorted(), [(200, 29), (503, 1)]);
        assert_eq!(total.net_codes.sorted(), [(0, 29), (111, 1)]);
        assert_eq!(total.lag_ns.max(), 5);
        assert_eq!(total.duration_s(), 1.0);
        assert_eq!(total.rate(), 30.0);
        assert_eq!(
            statistics
                .labels()
                .map(|(_, label)| label.hits)
                .collect::<Vec<_>>(),
            [10; 3]
        );
    }

    #[test]
    fn labels_past_the_limit_are_summed_up() {
        let mut statistics = Statistics::default();
        for label in (0..LABELS_MAX as u32 + 5).chain([u32::MAX - 1]) {
            statistics.record(&Hit {
                label: StringId(label),
                ..Hit::default()
            });
        }
        let others = statistics.labels().last().expect("others");
        assert_eq!((others.0, others.1.hits), (OTHER_LABELS, 6));
        assert_eq!(statistics.total().hits, LABELS_MAX as u64 + 6);
    }
}
