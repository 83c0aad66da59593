//! A file's sums in periods of time, in the order of time.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

use encarno_record::Texts;
use encarno_record::exemplar::Exemplar;
use encarno_record::results::whole::{self, FileError};
use encarno_record::results::{FileSums, SumsReader};
use encarno_record::sums::{Outcome, Sums, second_of};

/// The most labels; further ones count as [`OTHER`].
const LABELS_MAX: usize = 500;
/// The label of further labels.
pub const OTHER: &str = "other";
const SECOND_NS: u64 = 1_000_000_000;

/// The common properties of hits of one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// The label.
    pub label: String,
    /// The protocol's status; 0 means none.
    pub status: u16,
    /// The net code; 0 means none.
    pub net_code: u16,
    /// Whether they failed.
    pub failed: bool,
}

/// The sums of a period.
#[derive(Debug)]
pub struct Step {
    /// Its start, Unix time.
    pub from_unix_ns: u64,
    /// Its end, Unix time.
    pub until_unix_ns: u64,
    /// The sums of its hits.
    pub sums: BTreeMap<Kind, Sums>,
    /// Hits that began a trace.
    pub exemplars: BTreeMap<Kind, Exemplars>,
}

/// Some hits of one kind that began a trace: the last one of each octave of response time.
#[derive(Clone, Debug, Default)]
pub struct Exemplars(BTreeMap<u32, Exemplar>);

impl Exemplars {
    /// Adds one.
    pub fn add(&mut self, exemplar: Exemplar) {
        self.0.insert(exemplar.response_ns.max(1).ilog2(), exemplar);
    }

    /// Adds later ones.
    pub fn extend(&mut self, later: &Self) {
        self.0.extend(&later.0);
    }

    /// They, in the order in which they ended.
    pub fn in_order(&self) -> Vec<Exemplar> {
        let mut all: Vec<_> = self.0.values().copied().collect();
        all.sort_unstable_by_key(|exemplar| exemplar.ended_ns);
        all
    }
}

/// Reads a file in steps.
#[derive(Debug)]
pub struct Steps {
    reader: SumsReader,
    texts: Texts,
    labels: BTreeSet<String>,
    period: u64,
    /// Periods that aren't complete yet.
    waiting: BTreeMap<u64, BTreeMap<Kind, Sums>>,
    exemplars: BTreeMap<u64, BTreeMap<Kind, Exemplars>>,
    /// The first period that wasn't given yet.
    next: u64,
    at_end: bool,
}

impl Steps {
    /// Opens a result file, in periods of this many seconds.
    pub fn open(path: &Path, seconds: u64) -> Result<Self, FileError> {
        let reader = whole::open_sums(path)?.ok_or_else(|| {
            let reason = "an export needs a file, not a pipe";
            FileError::of(path)(io::Error::other(reason))
        })?;
        Ok(Self {
            reader,
            texts: Texts::default(),
            labels: BTreeSet::new(),
            period: seconds.max(1),
            waiting: BTreeMap::new(),
            exemplars: BTreeMap::new(),
            next: 0,
            at_end: false,
        })
    }

    /// The start of the run, Unix time.
    pub fn started_unix_ns(&self) -> u64 {
        self.reader.started_unix_ns()
    }

    /// The program that made the run, if the file names it.
    pub fn program(&self) -> Option<&str> {
        self.reader.notes().program.as_deref()
    }

    /// Whether the run has ended, as far as the file was read.
    pub fn has_ended(&self) -> bool {
        self.reader.summary().ended
    }

    /// The next period with hits; `None` at the present end of the file.
    pub fn next_step(&mut self) -> io::Result<Option<Step>> {
        loop {
            if let Some(step) = self.next_whole()? {
                return Ok(Some(step));
            }
            if self.at_end {
                return Ok(None);
            }
            self.at_end = true;
            let mut rest = Vec::new();
            self.reader.rest(|sums| rest.push(sums))?;
            rest.iter().for_each(|sums| self.take(sums));
        }
    }

    /// The next complete period of a growing file; `None` if there is none yet.
    pub fn next_whole(&mut self) -> io::Result<Option<Step>> {
        loop {
            let whole_before = match (self.at_end, self.reader.whole_until_ns()) {
                (true, _) | (_, u64::MAX) => u64::MAX,
                (_, until_ns) => second_of(self.started_unix_ns(), until_ns) / self.period,
            };
            let is_whole = |period: &u64| *period < whole_before;
            if let Some(first) = self.waiting.first_entry().filter(|it| is_whole(it.key())) {
                let (period, sums) = first.remove_entry();
                self.next = period + 1;
                return Ok(Some(self.step(period, sums)));
            }
            match self.reader.next_sums(&mut self.texts)? {
                Some(sums) => self.take(&sums),
                None => return Ok(None),
            }
        }
    }

    fn step(&mut self, period: u64, sums: BTreeMap<Kind, Sums>) -> Step {
        // Those of a period before come late: they are as good now.
        let later = self.exemplars.split_off(&(period + 1));
        let mut exemplars = BTreeMap::<Kind, Exemplars>::new();
        for (kind, more) in std::mem::replace(&mut self.exemplars, later)
            .into_values()
            .flatten()
        {
            exemplars.entry(kind).or_default().extend(&more);
        }
        let at = |period: u64| {
            period
                .saturating_mul(self.period)
                .saturating_mul(SECOND_NS)
                .max(self.started_unix_ns())
        };
        Step {
            from_unix_ns: at(period),
            until_unix_ns: at(period.saturating_add(1)),
            sums,
            exemplars,
        }
    }

    fn take(&mut self, sums: &FileSums) {
        let expected = self.reader.expected();
        let (labels, texts, waiting) = (&mut self.labels, &mut self.texts, &mut self.waiting);
        let (period, next) = (self.period, self.next);
        sums.for_each(|second, outcome, sums| {
            let kind = kind(outcome, &texts.get(outcome.label), labels, &expected);
            // Hits that come after their period count for the next one.
            let periods = waiting.entry((second / period).max(next)).or_default();
            periods.entry(kind).or_default().merge(sums);
        });
        let started = self.reader.started_unix_ns();
        for exemplar in self.reader.take_exemplars() {
            let label = texts.get(exemplar.outcome.label);
            let kind = kind(&exemplar.outcome, &label, labels, &expected);
            let period = second_of(started, exemplar.ended_ns) / period;
            let kinds = self.exemplars.entry(period).or_default();
            kinds.entry(kind).or_default().add(exemplar);
        }
    }
}

fn kind(
    outcome: &Outcome,
    label: &str,
    labels: &mut BTreeSet<String>,
    expected: &encarno_record::Expected,
) -> Kind {
    let known =
        labels.contains(label) || labels.len() < LABELS_MAX && labels.insert(label.to_owned());
    Kind {
        label: if known { label } else { OTHER }.to_owned(),
        status: outcome.protocol_code,
        net_code: outcome.net_code,
        failed: outcome.failed(expected),
    }
}
