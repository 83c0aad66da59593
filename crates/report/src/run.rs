//! The contents of a result file, by time and by label.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;

use crate::capacity::Capacity;
use encarno_record::histogram::{BUCKETS, Histogram};
use encarno_record::notes::Notes;
use encarno_record::results::whole::{self, FileError, FileStatistics, Gathered};
use encarno_record::results::{FileSums, ResultSummary, SumsReader};
use encarno_record::series::{Metrics, Points, Series};
use encarno_record::statistics::Statistics;
use encarno_record::sums::{LoopState, Outcome, Sums, second_of};
use encarno_record::{Expected, Texts};

/// The most bins of time; beyond that, pairs of bins are merged.
const BINS_MAX: u64 = 3600;
/// The most metrics that are kept by time.
const METRICS_BY_TIME: usize = 40;
/// The most event loops.
const LOOPS_MAX: usize = 4096;
/// The most labels that are shown by time, those with most hits first.
const LABELS_BY_TIME: usize = 200;
/// All labels are kept by time while they have at most this number of bins together;
/// beyond that, only the largest ones.
const LABEL_BINS_MAX: usize = 1_000_000;
/// The number of buckets of a label's histograms that are merged, as a power of two.
pub(crate) const LABEL_SHIFT: u32 = 4;

/// A run as a whole.
#[derive(Clone, Debug)]
pub struct Whole {
    /// The hits by label.
    pub statistics: Statistics,
    /// Its duration.
    pub span_ns: u64,
    /// How much was read, and how much was lost.
    pub summary: ResultSummary,
}

impl Whole {
    /// Hits per second.
    pub(crate) fn rate(&self) -> f64 {
        self.statistics.total().hits as f64 * 1e9 / self.span_ns.max(1) as f64
    }
}

/// A run, by time and by label.
#[derive(Debug)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// The run as a whole.
    pub whole: Whole,
    /// Its start.
    pub started_unix_ns: u64,
    /// The statuses that didn't fail a hit.
    pub expected: Expected,
    /// Its settings.
    pub settings_text: String,
    /// The notes of the file.
    pub notes: Notes,
    /// The metrics that aren't hits, as k6 has them.
    pub metrics: Metrics,
    /// The marks, each with its instant.
    pub marks: Vec<(u64, String)>,
    /// The result of a capacity measurement; a reader that knows the marks sets it.
    pub capacity: Option<Capacity>,
    /// The number of seconds in a bin.
    pub(crate) width: u64,
    pub(crate) bins: BTreeMap<u64, Bin>,
    /// Metrics that aren't hits, by bin.
    pub(crate) metrics_by_time: BTreeMap<Series, BTreeMap<u64, Points>>,
    labels: HashMap<String, Label>,
    /// The number of bins of all labels.
    label_bins: usize,
    /// The labels that aren't kept by time.
    others: HashSet<String>,
    pub(crate) loops: usize,
    first_second: u64,
}

/// One or more seconds of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bin {
    pub(crate) hits: u64,
    pub(crate) failed: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    pub(crate) connect_ns: u64,
    pub(crate) first_byte_ns: u64,
    pub(crate) service: Histogram,
    pub(crate) response: Histogram,
    pub(crate) lag: Histogram,
    /// Hits by net code and status.
    pub(crate) codes: BTreeMap<(u16, u16), u64>,
    pub(crate) scheduled: u64,
    pub(crate) started: u64,
    pub(crate) dropped: u64,
    /// Users and running hits of each event loop, from its last state.
    pub(crate) users: Vec<u64>,
    pub(crate) running: Vec<u64>,
    /// CPU time of each event loop, ns.
    pub(crate) cpu_ns: Vec<u64>,
}

/// A label over time.
#[derive(Debug, Default)]
pub(crate) struct Label {
    pub(crate) hits: u64,
    pub(crate) bins: BTreeMap<u64, LabelBin>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LabelBin {
    pub(crate) hits: u64,
    pub(crate) failed: u64,
    pub(crate) response: BTreeMap<u32, u64>,
}

/// Reads a result file, also while it grows.
#[derive(Debug)]
pub struct Reading {
    run: Run,
    reader: SumsReader,
    gathered: Gathered,
    texts: Texts,
    /// The second up to which each loop has reported, and its state.
    loops: Vec<(u64, LoopState)>,
}

impl Reading {
    /// Opens a result file.
    pub fn open(path: &Path, name: String) -> Result<Self, FileError> {
        let reader = whole::open_sums(path)?.ok_or_else(|| {
            let reason = "a report needs a file, not a pipe";
            FileError::of(path)(io::Error::other(reason))
        })?;
        let mut reader = reader;
        reader.keep_seconds();
        let mut gathered = Gathered::of(&reader);
        let mut texts = Texts::default();
        let file = gathered.statistics(&mut texts, &reader);
        let run = Run {
            name,
            started_unix_ns: reader.started_unix_ns(),
            expected: reader.expected(),
            settings_text: reader.settings_text().to_owned(),
            notes: Notes::default(),
            metrics: Metrics::default(),
            marks: Vec::new(),
            capacity: None,
            width: 1,
            bins: BTreeMap::new(),
            metrics_by_time: BTreeMap::new(),
            labels: HashMap::new(),
            label_bins: 0,
            others: HashSet::new(),
            loops: reader.loops() as usize,
            first_second: second_of(reader.started_unix_ns(), 0),
            whole: Whole::of(file),
        };
        Ok(Self {
            run,
            reader,
            gathered,
            texts,
            loops: Vec::new(),
        })
    }

    /// Reads to the present end of the file; true if there was anything new.
    pub fn read_on(&mut self) -> io::Result<bool> {
        let mut moved = false;
        let ended = self.reader.summary().ended;
        while let Some(sums) = self.reader.next_sums(&mut self.texts)? {
            moved = true;
            self.take(&sums);
            self.take_points();
        }
        self.take_points();
        moved |= self.reader.summary().ended != ended;
        if moved {
            self.settle();
        }
        Ok(moved)
    }

    /// Reads the hits that no sums cover. Call it when no more will come.
    pub fn finish(mut self) -> io::Result<Run> {
        self.read_on()?;
        let (run, gathered, texts) = (&mut self.run, &mut self.gathered, &mut self.texts);
        self.reader.rest(|sums| {
            gathered.add(&sums, texts);
            run.take(&sums, texts);
        })?;
        self.settle();
        Ok(self.run)
    }

    /// The run up to here.
    pub fn run(&self) -> &Run {
        &self.run
    }

    fn take(&mut self, sums: &FileSums) {
        self.gathered.add(sums, &mut self.texts);
        self.run.take(sums, &mut self.texts);
        let Some(state) = sums.state else { return };
        let started_unix_ns = self.run.started_unix_ns;
        let before = match sums.until_ns {
            u64::MAX => u64::MAX,
            until_ns => second_of(started_unix_ns, until_ns),
        };
        let number = sums.number as usize;
        if number < self.run.loops.min(LOOPS_MAX) {
            self.run.take_state(number, before, &state, &mut self.loops);
        }
    }

    fn take_points(&mut self) {
        for (second, metric, points) in self.reader.take_seconds() {
            self.run.take_points(second, metric, &points);
        }
    }

    fn settle(&mut self) {
        let file = self.gathered.statistics(&mut self.texts, &self.reader);
        self.run.notes = file.notes.clone();
        self.run.metrics = file.metrics.clone();
        self.run.marks = self.reader.marks().to_vec();
        self.run.whole = Whole::of(file);
    }
}

impl Whole {
    fn of(file: FileStatistics) -> Self {
        Self {
            span_ns: file.span_ns(),
            summary: file.summary,
            statistics: file.statistics,
        }
    }
}

impl Run {
    /// Reads a result file to its end.
    pub fn of_file(path: &Path, name: String) -> Result<Self, FileError> {
        let reading = Reading::open(path, name)?;
        reading.finish().map_err(FileError::of(path))
    }

    /// The labels that are shown by time, those with most hits first.
    pub(crate) fn labels_by_time(&self) -> Vec<(&str, &Label)> {
        let labels = self.labels.iter().map(|(name, label)| (&**name, label));
        let mut labels: Vec<_> = labels.collect();
        labels.sort_by(|one, other| other.1.hits.cmp(&one.1.hits).then(one.0.cmp(other.0)));
        labels.truncate(LABELS_BY_TIME);
        labels
    }

    /// The start and end of a bin, ns from the run's start.
    pub(crate) fn span_of(&self, bin: u64) -> (u64, u64) {
        let second = |bin: u64| {
            let second = self
                .first_second
                .saturating_add(bin.saturating_mul(self.width));
            let unix_ns = second.saturating_mul(1_000_000_000);
            unix_ns.saturating_sub(self.started_unix_ns)
        };
        let end = second(bin + 1).min(self.whole.span_ns);
        (second(bin).min(end), end)
    }

    /// The number of bins from the start to the end.
    pub(crate) fn bins_count(&self) -> u64 {
        let last_ns = self.whole.span_ns.saturating_sub(1);
        let last = second_of(self.started_unix_ns, last_ns).saturating_sub(self.first_second);
        let known = self.bins.last_key_value().map_or(0, |(&bin, _)| bin);
        (last / self.width).min(BINS_MAX).max(known) + 1
    }

    fn take(&mut self, sums: &FileSums, texts: &mut Texts) {
        let expected = self.expected;
        sums.for_each(|second, outcome, sums| {
            let at = self.bin_of(second);
            self.bins
                .entry(at)
                .or_default()
                .add(outcome, sums, &expected);
            let failed = outcome.failed(&expected);
            self.take_label(&texts.get(outcome.label), at, failed, sums);
        });
    }

    fn take_points(&mut self, second: u64, metric: Series, points: &Points) {
        let at = self.bin_of(second);
        let count = self.metrics_by_time.len();
        match self.metrics_by_time.entry(metric) {
            Entry::Vacant(_) if count >= METRICS_BY_TIME => {}
            entry => {
                let bins = entry.or_default();
                bins.entry(at).or_default().merge(points);
            }
        }
    }

    fn take_label(&mut self, name: &str, at: u64, failed: bool, sums: &Sums) {
        if self.others.contains(name) {
            return;
        }
        if !self.labels.contains_key(name) {
            self.labels.insert(name.to_owned(), Label::default());
        }
        let Some(label) = self.labels.get_mut(name) else {
            return;
        };
        label.hits = label.hits.saturating_add(sums.hits);
        let bin = label.bins.entry(at).or_insert_with(|| {
            self.label_bins += 1;
            LabelBin::default()
        });
        bin.hits = bin.hits.saturating_add(sums.hits);
        if failed {
            bin.failed = bin.failed.saturating_add(sums.hits);
        }
        for (bucket, count) in sums.response_ns.pairs() {
            let known = bin.response.entry(bucket >> LABEL_SHIFT).or_default();
            *known = known.saturating_add(count);
        }
        if self.label_bins > LABEL_BINS_MAX && self.labels.len() > LABELS_BY_TIME {
            self.keep_large_labels();
        }
    }

    /// Drops the labels that aren't among the largest, because there are too many.
    fn keep_large_labels(&mut self) {
        let kept = self.labels_by_time().into_iter();
        let kept: HashSet<String> = kept.map(|(name, _)| name.to_owned()).collect();
        let (kept, others) = std::mem::take(&mut self.labels)
            .into_iter()
            .partition(|(name, _)| kept.contains(name));
        self.labels = kept;
        let others: HashMap<String, Label> = others;
        self.others.extend(others.into_keys());
        self.count_label_bins();
    }

    fn count_label_bins(&mut self) {
        self.label_bins = self.labels.values().map(|label| label.bins.len()).sum();
    }

    /// Assigns a loop's work since its last state to the bins of that time.
    fn take_state(
        &mut self,
        number: usize,
        before: u64,
        state: &LoopState,
        known: &mut Vec<(u64, LoopState)>,
    ) {
        let first_second = self.first_second;
        if known.len() <= number {
            known.resize(number + 1, (first_second, LoopState::default()));
        }
        let (from, last) = known[number];
        let at = self.bin_of(from);
        let bin = self.bins.entry(at).or_default();
        bin.scheduled += state.scheduled.saturating_sub(last.scheduled);
        bin.started += state.started.saturating_sub(last.started);
        bin.dropped += state.dropped.saturating_sub(last.dropped);
        if bin.cpu_ns.len() <= number {
            bin.cpu_ns.resize(number + 1, 0);
        }
        bin.cpu_ns[number] += state.cpu_ns.saturating_sub(last.cpu_ns);
        for (known, now) in [
            (&mut bin.users, state.users),
            (&mut bin.running, state.running),
        ] {
            if known.len() <= number {
                known.resize(number + 1, 0);
            }
            known[number] = now;
        }
        known[number] = (before.max(from), *state);
    }

    fn bin_of(&mut self, second: u64) -> u64 {
        let since = second.saturating_sub(self.first_second);
        // A file may claim any second.
        let since = since.min(u64::from(u32::MAX));
        while since / self.width >= BINS_MAX {
            self.width *= 2;
            let bins = std::mem::take(&mut self.bins);
            for (at, bin) in bins {
                self.bins.entry(at / 2).or_default().merge(&bin);
            }
            for label in self.labels.values_mut() {
                let bins = std::mem::take(&mut label.bins);
                for (at, bin) in bins {
                    label.bins.entry(at / 2).or_default().merge(&bin);
                }
            }
            self.count_label_bins();
            for bins in self.metrics_by_time.values_mut() {
                for (at, points) in std::mem::take(bins) {
                    bins.entry(at / 2).or_default().merge(&points);
                }
            }
        }
        since / self.width
    }
}

impl Bin {
    fn add(&mut self, outcome: &Outcome, sums: &Sums, expected: &Expected) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.hits, sums.hits);
        if outcome.failed(expected) {
            add(&mut self.failed, sums.hits);
        }
        add(&mut self.sent_bytes, sums.sent_bytes);
        add(&mut self.received_bytes, sums.received_bytes);
        add(&mut self.connect_ns, sums.connect_ns);
        add(&mut self.first_byte_ns, sums.first_byte_ns);
        let code = (outcome.net_code, outcome.protocol_code);
        add(self.codes.entry(code).or_default(), sums.hits);
        self.service.merge(&sums.service_ns);
        self.response.merge(&sums.response_ns);
        self.lag.merge(&sums.lag_ns);
    }

    fn merge(&mut self, other: &Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.hits, other.hits);
        add(&mut self.failed, other.failed);
        add(&mut self.sent_bytes, other.sent_bytes);
        add(&mut self.received_bytes, other.received_bytes);
        add(&mut self.connect_ns, other.connect_ns);
        add(&mut self.first_byte_ns, other.first_byte_ns);
        add(&mut self.scheduled, other.scheduled);
        add(&mut self.started, other.started);
        add(&mut self.dropped, other.dropped);
        for (own, other) in [
            (&mut self.users, &other.users),
            (&mut self.running, &other.running),
        ] {
            if own.len() < other.len() {
                own.resize(other.len(), 0);
            }
            for (own, other) in own.iter_mut().zip(other) {
                *own = (*own).max(*other);
            }
        }
        for (&code, &hits) in &other.codes {
            add(self.codes.entry(code).or_default(), hits);
        }
        self.service.merge(&other.service);
        self.response.merge(&other.response);
        self.lag.merge(&other.lag);
        if self.cpu_ns.len() < other.cpu_ns.len() {
            self.cpu_ns.resize(other.cpu_ns.len(), 0);
        }
        for (own, other) in self.cpu_ns.iter_mut().zip(&other.cpu_ns) {
            add(own, *other);
        }
    }
}

impl LabelBin {
    pub(crate) fn merge(&mut self, other: &Self) {
        self.hits = self.hits.saturating_add(other.hits);
        self.failed = self.failed.saturating_add(other.failed);
        for (&bucket, &count) in &other.response {
            let known = self.response.entry(bucket).or_default();
            *known = known.saturating_add(count);
        }
    }
}

const _: () = assert!(BUCKETS < 1 << 20);
