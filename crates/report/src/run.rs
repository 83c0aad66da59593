//! What a result file says, by time and by label.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use encarno_record::histogram::{BUCKETS, Histogram};
use encarno_record::notes::Notes;
use encarno_record::results::whole::{self, FileError};
use encarno_record::results::{FileSums, ResultSummary, SumsReader};
use encarno_record::series::Metrics;
use encarno_record::statistics::Statistics;
use encarno_record::sums::{LoopState, Outcome, Sums, second_of};
use encarno_record::{Expected, Texts};

/// There are no more bins of time: beyond that two become one.
const BINS_MAX: u64 = 3600;
/// Labels whose hits are kept by time, those with most hits first.
const LABELS_BY_TIME: usize = 200;
/// Buckets of a label's histograms are put together, so many as a power of two.
pub(crate) const LABEL_SHIFT: u32 = 4;

/// What is known of a run as a whole.
#[derive(Clone, Debug)]
pub struct Whole {
    /// The hits by label.
    pub statistics: Statistics,
    /// How long it lasts.
    pub span_ns: u64,
    /// What was read and what was lost.
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
    /// What it is called.
    pub name: String,
    /// The run as a whole.
    pub whole: Whole,
    /// Its start.
    pub started_unix_ns: u64,
    /// The statuses that didn't fail a hit.
    pub expected: Expected,
    /// What it was asked to do.
    pub settings_text: String,
    /// What the file says beside that.
    pub notes: Notes,
    /// The metrics that aren't hits, as k6 has them.
    pub metrics: Metrics,
    /// So many seconds are in a bin.
    pub(crate) width: u64,
    pub(crate) bins: BTreeMap<u64, Bin>,
    pub(crate) labels: Vec<Label>,
    pub(crate) loops: usize,
    first_second: u64,
}

/// A second of a run, or some of them.
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
    /// By net code and status.
    pub(crate) codes: BTreeMap<(u16, u16), u64>,
    pub(crate) scheduled: u64,
    pub(crate) started: u64,
    pub(crate) dropped: u64,
    pub(crate) users: u64,
    pub(crate) running: u64,
    /// CPU time of each event loop, ns.
    pub(crate) cpu_ns: Vec<u64>,
}

/// A label, by time.
#[derive(Debug)]
pub(crate) struct Label {
    pub(crate) name: String,
    pub(crate) bins: BTreeMap<u64, LabelBin>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LabelBin {
    pub(crate) hits: u64,
    pub(crate) failed: u64,
    pub(crate) response: BTreeMap<u32, u64>,
}

impl Run {
    /// Reads a result file, which is looked at twice.
    pub fn of_file(path: &Path, name: String) -> Result<Self, FileError> {
        let file = whole::read(path)?;
        let reader = whole::open_sums(path)?;
        let reader = reader.ok_or_else(|| {
            let reason = "a report needs a file that can be read twice, not a pipe";
            FileError::of(path)(io::Error::other(reason))
        })?;
        let whole = Whole {
            span_ns: file.span_ns(),
            summary: file.summary,
            statistics: file.statistics,
        };
        Self::read(name, reader, whole).map_err(FileError::of(path))
    }

    /// Reads a result file from its start.
    fn read(name: String, mut reader: SumsReader, whole: Whole) -> io::Result<Self> {
        let started_unix_ns = reader.started_unix_ns();
        let mut by_hits: Vec<_> = whole
            .statistics
            .labels()
            .map(|(label, statistics)| (statistics.hits, label))
            .collect();
        by_hits.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
        let labels = by_hits.iter().take(LABELS_BY_TIME).map(|(_, name)| Label {
            name: (*name).to_owned(),
            bins: BTreeMap::new(),
        });
        let mut run = Self {
            name,
            started_unix_ns,
            expected: reader.expected(),
            settings_text: reader.settings_text().to_owned(),
            notes: Notes::default(),
            metrics: Metrics::default(),
            width: 1,
            bins: BTreeMap::new(),
            labels: labels.collect(),
            loops: reader.loops() as usize,
            first_second: second_of(started_unix_ns, 0),
            whole,
        };
        let mut gathering = Gathering::of(&run);
        while let Some(sums) = reader.next_sums(&mut gathering.texts)? {
            run.take(&sums, &mut gathering);
        }
        reader.rest(|sums| run.take(&sums, &mut gathering))?;
        run.notes = reader.notes().clone();
        run.metrics = reader.metrics().clone();
        Ok(run)
    }

    /// Where a bin begins and ends, ns from the run's start.
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

    /// How many bins there are from the start to the end.
    pub(crate) fn bins_count(&self) -> u64 {
        let last_ns = self.whole.span_ns.saturating_sub(1);
        let last = second_of(self.started_unix_ns, last_ns).saturating_sub(self.first_second);
        let known = self.bins.last_key_value().map_or(0, |(&bin, _)| bin);
        (last / self.width).min(BINS_MAX).max(known) + 1
    }

    fn take(&mut self, sums: &FileSums, gathering: &mut Gathering) {
        let expected = self.expected;
        sums.for_each(|second, outcome, sums| {
            let at = self.bin_of(second);
            self.bins
                .entry(at)
                .or_default()
                .add(outcome, sums, &expected);
            let name = gathering.texts.get(outcome.label);
            if let Some(&label) = gathering.places.get(&*name) {
                let bin = self.labels[label].bins.entry(at).or_default();
                bin.hits = bin.hits.saturating_add(sums.hits);
                if outcome.failed(&expected) {
                    bin.failed = bin.failed.saturating_add(sums.hits);
                }
                for (bucket, count) in sums.response_ns.pairs() {
                    let known = bin.response.entry(bucket >> LABEL_SHIFT).or_default();
                    *known = known.saturating_add(count);
                }
            }
        });
        let Some(state) = sums.state else { return };
        let before = match sums.until_ns {
            u64::MAX => second_of(self.started_unix_ns, self.whole.span_ns) + 1,
            until_ns => second_of(self.started_unix_ns, until_ns),
        };
        let number = sums.number as usize;
        if number < self.loops.min(4096) {
            self.take_state(number, before, &state, gathering);
        }
    }

    /// What a loop did since it last said so is put where that was.
    fn take_state(&mut self, number: usize, before: u64, state: &LoopState, known: &mut Gathering) {
        let first_second = self.first_second;
        if known.loops.len() <= number {
            known
                .loops
                .resize(number + 1, (first_second, LoopState::default()));
        }
        let (from, last) = known.loops[number];
        let at = self.bin_of(from);
        let bin = self.bins.entry(at).or_default();
        bin.scheduled += state.scheduled.saturating_sub(last.scheduled);
        bin.started += state.started.saturating_sub(last.started);
        bin.dropped += state.dropped.saturating_sub(last.dropped);
        if bin.cpu_ns.len() <= number {
            bin.cpu_ns.resize(number + 1, 0);
        }
        bin.cpu_ns[number] += state.cpu_ns.saturating_sub(last.cpu_ns);
        bin.users = bin.users.saturating_add(state.users);
        bin.running = bin.running.saturating_add(state.running);
        known.loops[number] = (before.max(from), *state);
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
            for label in &mut self.labels {
                let bins = std::mem::take(&mut label.bins);
                for (at, bin) in bins {
                    label.bins.entry(at / 2).or_default().merge(&bin);
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
        self.users = self.users.max(other.users);
        self.running = self.running.max(other.running);
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

/// What is needed while a file is read.
struct Gathering {
    texts: Texts,
    /// Labels by name.
    places: HashMap<String, usize>,
    /// Up to which second each loop has spoken, and what it said.
    loops: Vec<(u64, LoopState)>,
}

impl Gathering {
    fn of(run: &Run) -> Self {
        let names = run.labels.iter().enumerate();
        Self {
            texts: Texts::default(),
            places: names.map(|(at, label)| (label.name.clone(), at)).collect(),
            loops: Vec::new(),
        }
    }
}

const _: () = assert!(BUCKETS < 1 << 20);
