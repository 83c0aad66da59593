//! Statistics of hits, for each label and in total.
//!
//! Labels are identified by their text, so that statistics of several files and machines
//! can be merged. The result equals the statistics of one file with all hits, in any
//! order, up to [`LABELS_MAX`] labels and [`ERRORS_MAX`] error texts for each. Memory
//! depends on these numbers and on the spread of times, not on the number of hits.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::histogram::{Exact, Histogram};
use crate::sums::{Outcome, OutcomeSums, Sums};
use crate::{Expected, Texts};

/// The most labels; further ones are summed up together.
pub const LABELS_MAX: usize = 10_000;
/// The label of further labels.
pub const OTHER_LABELS: &str = "(other labels)";
/// The most error texts of each label; further ones are summed up together.
pub const ERRORS_MAX: usize = 1000;
/// The text of further error texts.
pub const OTHER_ERRORS: &str = "(other errors)";

/// The quantiles that all outputs show.
pub const QUANTILES: [(&str, f64); 6] = [
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
    ("p99.9", 0.999),
];

/// Statistics of hits of one label, or of all hits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LabelStatistics {
    /// The number of hits.
    pub hits: u64,
    /// The number of hits that failed: without an answer, with an unexpected status, or
    /// with an answer that breaks an assert.
    pub failed: u64,
    /// The number of hits with each net code; 0 means none.
    pub net_codes: BTreeMap<u16, u64>,
    /// The number of hits with each protocol code; 0 means none.
    pub protocol_codes: BTreeMap<u16, u64>,
    /// The number of hits with each error, by net code and text.
    pub errors: BTreeMap<(u16, Arc<str>), u64>,
    /// The most hits that ran at the same time.
    pub concurrency: u32,
    /// Service times: from the start of a hit to its end, ns.
    pub service_ns: Histogram,
    /// Response times: from the scheduled instant of a hit to its end, ns.
    pub response_ns: Histogram,
    /// Lag: from the scheduled instant of a hit to its start, ns.
    pub lag_ns: Histogram,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Bytes received.
    pub received_bytes: u64,
    /// From the first scheduled instant to the last end, in Unix time; `None` without
    /// hits.
    pub span_unix_ns: Option<(u64, u64)>,
}

impl LabelStatistics {
    /// Adds sums of hits with this outcome, of a run that started at this instant.
    pub fn add(
        &mut self,
        outcome: &Outcome,
        sums: &Sums,
        error: &Arc<str>,
        started_unix_ns: u64,
        expected: &Expected,
    ) {
        if sums.hits == 0 {
            return;
        }
        count(&mut self.hits, sums.hits);
        if outcome.failed(expected) {
            count(&mut self.failed, sums.hits);
        }
        count(
            self.net_codes.entry(outcome.net_code).or_default(),
            sums.hits,
        );
        count(
            self.protocol_codes
                .entry(outcome.protocol_code)
                .or_default(),
            sums.hits,
        );
        if outcome.error.0 != 0 || outcome.net_code != 0 {
            self.add_error((outcome.net_code, Arc::clone(error)), sums.hits);
        }
        self.concurrency = self.concurrency.max(sums.concurrency);
        self.service_ns.merge(&sums.service_ns);
        self.response_ns.merge(&sums.response_ns);
        self.lag_ns.merge(&sums.lag_ns);
        count(&mut self.sent_bytes, sums.sent_bytes);
        count(&mut self.received_bytes, sums.received_bytes);
        self.widen((
            started_unix_ns.saturating_add(sums.first_scheduled_ns),
            started_unix_ns.saturating_add(sums.last_ended_ns),
        ));
    }

    /// Adds other statistics.
    pub fn merge(&mut self, other: &Self) {
        count(&mut self.hits, other.hits);
        count(&mut self.failed, other.failed);
        for (&code, &hits) in &other.net_codes {
            count(self.net_codes.entry(code).or_default(), hits);
        }
        for (&code, &hits) in &other.protocol_codes {
            count(self.protocol_codes.entry(code).or_default(), hits);
        }
        for (error, &hits) in &other.errors {
            self.add_error(error.clone(), hits);
        }
        self.concurrency = self.concurrency.max(other.concurrency);
        self.service_ns.merge(&other.service_ns);
        self.response_ns.merge(&other.response_ns);
        self.lag_ns.merge(&other.lag_ns);
        count(&mut self.sent_bytes, other.sent_bytes);
        count(&mut self.received_bytes, other.received_bytes);
        if let Some(span) = other.span_unix_ns {
            self.widen(span);
        }
    }

    fn set_exact(&mut self, [service, response, lag]: [Exact; 3]) {
        self.service_ns.set_exact(service);
        self.response_ns.set_exact(response);
        self.lag_ns.set_exact(lag);
    }

    fn add_error(&mut self, error: (u16, Arc<str>), hits: u64) {
        let error = if self.errors.len() < ERRORS_MAX || self.errors.contains_key(&error) {
            error
        } else {
            (error.0, OTHER_ERRORS.into())
        };
        count(self.errors.entry(error).or_default(), hits);
    }

    fn widen(&mut self, (start_ns, end_ns): (u64, u64)) {
        let span = self.span_unix_ns.get_or_insert((start_ns, end_ns));
        *span = (span.0.min(start_ns), span.1.max(end_ns));
    }
}

/// A file may claim any counts.
fn count(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

/// Statistics of hits by label.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    places: HashMap<Arc<str>, usize>,
    labels: Vec<(Arc<str>, Box<LabelStatistics>)>,
    others: Option<Box<LabelStatistics>>,
    /// Exact quantiles of all labels together: of service times, response times and lags.
    exact: Option<Box<[Exact; 3]>>,
}

impl Statistics {
    /// Adds sums of a run that started at this instant of the wall clock.
    pub fn add(
        &mut self,
        sums: &OutcomeSums,
        texts: &mut Texts,
        started_unix_ns: u64,
        expected: &Expected,
    ) {
        for (outcome, sums) in sums.iter() {
            let error = texts.get(outcome.error);
            let label = self.label(&texts.get(outcome.label));
            label.add(outcome, sums, &error, started_unix_ns, expected);
        }
    }

    /// Adds other statistics.
    pub fn merge(&mut self, other: &Self) {
        for (label, statistics) in &other.labels {
            self.label(label).merge(statistics);
        }
        if let Some(others) = &other.others {
            self.others.get_or_insert_default().merge(others);
        }
    }

    /// The labels that occurred, by text; the one for further labels is last.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &LabelStatistics)> {
        let mut labels: Vec<_> = self
            .labels
            .iter()
            .map(|(label, statistics)| (&**label, &**statistics))
            .collect();
        labels.sort_unstable_by_key(|&(label, _)| label);
        let others = self.others.iter();
        let others = others.map(|others| (OTHER_LABELS, &**others));
        labels.into_iter().chain(others)
    }

    /// All labels together.
    pub fn total(&self) -> LabelStatistics {
        let mut total = LabelStatistics::default();
        self.labels
            .iter()
            .map(|(_, statistics)| statistics)
            .chain(&self.others)
            .for_each(|statistics| total.merge(statistics));
        if let Some(exact) = &self.exact {
            total.set_exact((**exact).clone());
        }
        total
    }

    /// The times of each label, in the order of [`Statistics::place_of`].
    pub(crate) fn times(&self) -> impl Iterator<Item = [&Histogram; 3]> {
        let labels = self.labels.iter().map(|(_, statistics)| statistics);
        labels
            .chain(&self.others)
            .map(|it| [&it.service_ns, &it.response_ns, &it.lag_ns])
    }

    /// The place of a label.
    pub(crate) fn place_of(&self, label: &Arc<str>) -> usize {
        let place = self.places.get(label).copied();
        place.unwrap_or(self.labels.len())
    }

    /// Sets exact quantiles of all labels together, and of each label.
    pub(crate) fn set_exact(&mut self, of_total: [Exact; 3], of_labels: Vec<[Exact; 3]>) {
        self.exact = Some(Box::new(of_total));
        let labels = self.labels.iter_mut().map(|(_, statistics)| statistics);
        for (label, exact) in labels.chain(&mut self.others).zip(of_labels) {
            label.set_exact(exact);
        }
    }

    fn label(&mut self, label: &Arc<str>) -> &mut LabelStatistics {
        let place = match self.places.get(label) {
            Some(&place) => place,
            None if self.labels.len() >= LABELS_MAX => return self.others.get_or_insert_default(),
            None => {
                self.places.insert(Arc::clone(label), self.labels.len());
                self.labels.push((Arc::clone(label), Box::default()));
                self.labels.len() - 1
            }
        };
        &mut self.labels[place].1
    }
}

/// A time with its unit, to three digits, which matches the precision of the histograms.
pub fn time_text(ns: f64) -> String {
    // The rounded value decides the unit: 999.7 µs is 1.00 ms.
    let (value, unit) = match ns {
        _ if ns < 999.5 => return format!("{ns:.0} ns"),
        _ if ns < 999.5e3 => (ns / 1e3, "µs"),
        _ if ns < 999.5e6 => (ns / 1e6, "ms"),
        _ => (ns / 1e9, "s"),
    };
    let digits = match value {
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {unit}")
}

/// A number of things: `1 hit`, `2 hits`.
pub fn counted(count: u64, thing: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{ending}")
}

/// The verb after [`counted`]: `1 hit was`, `2 hits were`.
pub fn was(count: u64) -> &'static str {
    if count == 1 { "was" } else { "were" }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{
        ERRORS_MAX, LABELS_MAX, LabelStatistics, OTHER_LABELS, Statistics, counted, time_text, was,
    };
    use crate::sums::OutcomeSums;
    use crate::{Expected, Hit, StringId, Strings, Texts};

    const STARTED_UNIX_NS: u64 = 1_700_000_000_000_000_000;

    fn of(hits: impl IntoIterator<Item = Hit>, strings: &Strings) -> Statistics {
        let mut sums = OutcomeSums::default();
        hits.into_iter().for_each(|hit| sums.record(&hit));
        let mut statistics = Statistics::default();
        let mut texts = Texts::of_run(strings.clone());
        statistics.add(&sums, &mut texts, STARTED_UNIX_NS, &Expected::default());
        statistics
    }

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!(counted(0, "hit"), "0 hits");
        assert_eq!(format!("{} {}", counted(1, "hit"), was(1)), "1 hit was");
        assert_eq!(format!("{} {}", counted(2, "hit"), was(2)), "2 hits were");
    }

    #[test]
    fn times_have_three_digits() {
        let cases = [
            (999.0, "999 ns"),
            (999.6, "1.00 µs"),
            (9_996.0, "10.0 µs"),
            (99_980_000.0, "100 ms"),
            (999_700_000.0, "1.00 s"),
        ];
        for (ns, text) in cases {
            assert_eq!(time_text(ns), text);
        }
    }

    #[test]
    fn the_total_is_the_sum_of_the_labels() {
        let strings = Strings::default();
        let labels = ["a", "b", "c"].map(|text| strings.intern(text));
        let refused = strings.intern("refused");
        let wrong = strings.intern("assert");
        let statistics = of(
            (0..30_usize).map(|number| Hit {
                label: labels[number % 3],
                scheduled_ns: 1_000_000_000 + number as u64,
                started_ns: 1_000_000_005 + number as u64,
                ended_ns: 2_000_000_000,
                received_bytes: 10,
                protocol_code: match number {
                    7 => 503,
                    8 => 0,
                    9 => 101,
                    _ => 200,
                },
                net_code: if number == 8 { 111 } else { 0 },
                error: match number {
                    8 => refused,
                    10 => wrong,
                    _ => StringId(0),
                },
                ..Hit::default()
            }),
            &strings,
        );
        let total = statistics.total();
        assert_eq!(
            (total.hits, total.failed, total.received_bytes),
            (30, 4, 300)
        );
        let codes: Vec<_> = total.protocol_codes.into_iter().collect();
        assert_eq!(codes, [(0, 1), (101, 1), (200, 27), (503, 1)]);
        assert_eq!(
            total.net_codes.into_iter().collect::<Vec<_>>(),
            [(0, 29), (111, 1)]
        );
        let errors: Vec<_> = total.errors.into_iter().collect();
        assert_eq!(
            errors,
            [((0, "assert".into()), 1), ((111, "refused".into()), 1)]
        );
        assert_eq!(total.lag_ns.max(), 5);
        let span = (
            STARTED_UNIX_NS + 1_000_000_000,
            STARTED_UNIX_NS + 2_000_000_000,
        );
        assert_eq!(total.span_unix_ns, Some(span));
        let labels: Vec<_> = statistics
            .labels()
            .map(|(label, statistics)| (label, statistics.hits))
            .collect();
        assert_eq!(labels, [("a", 10), ("b", 10), ("c", 10)]);
    }

    #[test]
    fn a_merge_with_an_empty_one_changes_nothing() {
        let strings = Strings::default();
        let hit = Hit {
            scheduled_ns: 5,
            ended_ns: 9,
            ..Hit::default()
        };
        let whole = of([hit], &strings).total();
        for order in [
            [&whole, &LabelStatistics::default()],
            [&LabelStatistics::default(), &whole],
        ] {
            let mut merged = order[0].clone();
            merged.merge(order[1]);
            assert_eq!(merged, whole);
            assert_eq!(
                merged.span_unix_ns,
                Some((STARTED_UNIX_NS + 5, STARTED_UNIX_NS + 9))
            );
        }
    }

    #[test]
    fn labels_past_the_limit_are_summed_up() {
        let strings = Strings::default();
        let hits = (0..LABELS_MAX + 5).map(|number| Hit {
            label: strings.intern(&number.to_string()),
            ..Hit::default()
        });
        let statistics = of(hits, &strings);
        let others = statistics.labels().last().expect("others");
        assert_eq!((others.0, others.1.hits), (OTHER_LABELS, 5));
        assert_eq!(statistics.total().hits, LABELS_MAX as u64 + 5);
        let mut label = LabelStatistics::default();
        for number in 0..ERRORS_MAX + 5 {
            label.add_error((1003, Arc::from(number.to_string())), 1);
        }
        assert_eq!(label.errors.len(), ERRORS_MAX + 1);
        assert_eq!(label.errors.values().sum::<u64>(), ERRORS_MAX as u64 + 5);
    }
}
