//! Writes samples of metrics, and the requests behind them, to a result file, for k6's
//! output. Memory is bounded by the number of series, not of samples.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use crate::exemplar::{self, Exemplar, TraceContext};
use crate::formats::{NativeSink, OutputError, Sink as _};
use crate::notes::Notes;
use crate::results::Ending;
use crate::series::{MetricKind, OTHER, Points, SERIES_MAX, Series};
use crate::sums::{LoopState, LoopSums, Summing};
use crate::{Expected, Hit, StringId, Strings, Texts};

/// The requests of a file count as those of one event loop.
const LOOP: u32 = 0;
/// The most labels and error texts. Further ones count as the text [`OTHER`].
const TEXTS_MAX: u32 = 20_000;
const SECOND_NS: u64 = 1_000_000_000;

/// A sample.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// The number of the series.
    pub series: u32,
    /// Its instant, Unix time.
    pub at_unix_ns: u64,
    /// Its value.
    pub value: f64,
}

/// A request that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The number of its label.
    pub label: u32,
    /// The number of its error text; 0 means that it succeeded.
    pub error: u32,
    /// The protocol's status; 0 means none.
    pub status: u16,
    /// When it ended, Unix time.
    pub ended_unix_ns: u64,
    /// Its duration.
    pub duration_ns: u64,
    /// The trace that it took part in, if it did.
    pub trace: Option<TraceContext>,
}

/// A result file for samples.
#[derive(Debug)]
pub struct SampleWriter {
    sink: NativeSink,
    started_unix_ns: u64,
    strings: Strings,
    texts: Texts,
    kinds: Vec<MetricKind>,
    numbers: HashMap<Series, u32>,
    seconds: BTreeMap<u64, BTreeMap<u32, Points>>,
    summing: Summing,
    last_ended_ns: u64,
    state: LoopState,
    /// Those since the last write.
    exemplars: Vec<Exemplar>,
}

impl SampleWriter {
    /// Creates the file of a run that started at this instant. Only its error decides
    /// whether a request failed.
    pub fn create(path: &Path, started_unix_ns: u64, notes: &Notes) -> Result<Self, OutputError> {
        let expected: Expected = "1-1023".parse().unwrap_or_default();
        let mut sink = NativeSink::create(path, started_unix_ns, 1, &expected, "")?;
        sink.notes(notes)?;
        let strings = Strings::default();
        Ok(Self {
            sink,
            started_unix_ns,
            texts: Texts::of_run(strings.clone()),
            strings,
            kinds: Vec::new(),
            numbers: HashMap::new(),
            seconds: BTreeMap::new(),
            summing: Summing::new(started_unix_ns),
            last_ended_ns: 0,
            state: LoopState::default(),
            exemplars: Vec::new(),
        })
    }

    /// The number of a text, for labels and errors.
    pub fn text(&mut self, text: &str) -> u32 {
        let known = self.strings.intern_below(text, StringId(TEXTS_MAX));
        known.unwrap_or_else(|| self.strings.intern(OTHER)).0
    }

    /// The number of a series.
    pub fn series(&mut self, mut series: Series) -> Result<u32, OutputError> {
        if let Some(&number) = self.numbers.get(&series) {
            return Ok(number);
        }
        if self.kinds.len() >= SERIES_MAX {
            series.tags = [(OTHER.to_owned(), "true".to_owned())].into();
            if let Some(&number) = self.numbers.get(&series) {
                return Ok(number);
            }
        }
        let number = self.kinds.len() as u32;
        self.sink.series(number, &series)?;
        self.kinds.push(series.kind);
        self.numbers.insert(series, number);
        Ok(number)
    }

    /// Adds a sample. A sample of an unknown series is left out.
    pub fn sample(&mut self, sample: &Sample) {
        if let Some(&kind) = self.kinds.get(sample.series as usize) {
            let second = sample.at_unix_ns / SECOND_NS;
            let points = self.seconds.entry(second).or_default();
            let points = points.entry(sample.series).or_default();
            points.record(kind, sample.at_unix_ns, sample.value);
        }
    }

    /// Adds a request.
    pub fn request(&mut self, request: &Request) {
        let ended_ns = request.ended_unix_ns.saturating_sub(self.started_unix_ns);
        let started_ns = ended_ns.saturating_sub(request.duration_ns);
        self.last_ended_ns = self.last_ended_ns.max(ended_ns);
        self.state.scheduled += 1;
        self.state.started += 1;
        let hit = Hit {
            scheduled_ns: started_ns,
            started_ns,
            connected_ns: started_ns,
            ended_ns,
            label: StringId(request.label),
            error: StringId(request.error),
            protocol_code: request.status,
            ..Hit::default()
        };
        self.summing.record(&hit);
        if let Some(trace) = request.trace
            && self.exemplars.len() < exemplar::KEPT_MAX
        {
            self.exemplars.push(Exemplar::of(&hit, trace));
        }
    }

    /// Sets the present number of users.
    pub fn users(&mut self, users: u64) {
        self.state.users = users;
    }

    /// Writes the seconds that ended before this instant (Unix time). Samples that come
    /// later for one of them are written separately, and readers add them.
    pub fn write(&mut self, until_unix_ns: u64) -> Result<(), OutputError> {
        let later = self.seconds.split_off(&(until_unix_ns / SECOND_NS));
        let earlier = std::mem::replace(&mut self.seconds, later);
        self.sink.points(&earlier)?;
        let until_ns = until_unix_ns.saturating_sub(self.started_unix_ns);
        self.write_requests(until_ns)
    }

    fn write_requests(&mut self, until_ns: u64) -> Result<(), OutputError> {
        if !self.exemplars.is_empty() {
            self.sink.exemplars(&std::mem::take(&mut self.exemplars))?;
        }
        let sums = LoopSums {
            number: LOOP,
            until_ns,
            hits_covered: 0,
            state: self.state,
            seconds: self.summing.take(),
        };
        self.sink.sums_alone(&sums, &mut self.texts)
    }

    /// Writes the rest and completes the file. `span_ns` is the duration of the run.
    pub fn finish(mut self, notes: &Notes, span_ns: u64) -> Result<(), OutputError> {
        self.sink.points(&std::mem::take(&mut self.seconds))?;
        self.write_requests(u64::MAX)?;
        self.sink.notes(notes)?;
        let ending = Ending {
            hits_lost: 0,
            span_ns: span_ns.max(self.last_ended_ns),
        };
        self.sink.finish(ending, &mut self.texts)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test that fails here says enough

    use super::{Request, SECOND_NS, Sample, SampleWriter};
    use crate::Texts;
    use crate::exemplar::TraceContext;
    use crate::notes::Notes;
    use crate::results::SumsReader;
    use crate::series::{MetricKind, Series};

    const STARTED: u64 = 1_700_000_000_000_000_000;

    fn resident_bytes() -> u64 {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
        pages * 4096
    }

    #[test]
    fn requests_with_a_trace_are_exemplars() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.enc");
        let mut writer = SampleWriter::create(&path, STARTED, &Notes::default()).unwrap();
        let label = writer.text("label");
        let trace = |number| TraceContext {
            trace_id: number,
            span_id: 0,
        };
        for number in 0..100 {
            writer.request(&Request {
                label,
                error: 0,
                status: 200,
                ended_unix_ns: STARTED + 5_000,
                duration_ns: 3_000,
                trace: (number % 2 == 1).then(|| trace(number)),
            });
        }
        writer.write(STARTED + SECOND_NS).unwrap();
        writer.finish(&Notes::default(), 2 * SECOND_NS).unwrap();
        let mut reader = SumsReader::new(std::fs::File::open(path).unwrap()).unwrap();
        let mut texts = Texts::default();
        while reader.next_sums(&mut texts).unwrap().is_some() {}
        let exemplars = reader.take_exemplars();
        let expected: Vec<_> = (0..50).map(|half| trace(half * 2 + 1)).collect();
        let traces: Vec<_> = exemplars.iter().map(|one| one.trace).collect();
        assert_eq!(traces, expected);
        let first = exemplars[0];
        assert_eq!(texts.get(first.outcome.label).as_ref(), "label");
        assert_eq!(
            (
                first.outcome.protocol_code,
                first.ended_ns,
                first.response_ns
            ),
            (200, 5_000, 3_000)
        );
    }

    /// Ten minutes of 10,000 samples a second, and of 1,000 requests, as fast as they can be
    /// taken.
    #[test]
    fn memory_does_not_grow_with_the_length_of_a_test() {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::default();
        let path = folder.path().join("run.enc");
        let mut writer = SampleWriter::create(&path, STARTED, &notes).unwrap();
        let series: Vec<u32> = (0..10)
            .map(|number| {
                let series = Series {
                    metric: format!("metric {}", number % 5),
                    kind: [MetricKind::Trend, MetricKind::Counter][number % 2],
                    contains: "default".to_owned(),
                    tags: [("tag".to_owned(), number.to_string())].into(),
                };
                writer.series(series).unwrap()
            })
            .collect();
        let label = writer.text("label");
        let mut random = 1_u64;
        let mut first_minute = 0;
        for fifth in 0..5 * 600 {
            let from = STARTED + fifth * SECOND_NS / 5;
            for number in 0..2_000 {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let at_unix_ns = from + number * 100_000;
                let value = (random >> 40) as f64 / 1e4;
                writer.sample(&Sample {
                    series: series[(random >> 33) as usize % series.len()],
                    at_unix_ns,
                    value,
                });
                if number % 10 == 0 {
                    writer.request(&Request {
                        label,
                        error: 0,
                        status: 200,
                        ended_unix_ns: at_unix_ns,
                        duration_ns: random >> 40,
                        trace: None,
                    });
                }
            }
            writer.write(from.saturating_sub(SECOND_NS)).unwrap();
            assert!(
                writer.seconds.len() <= 3,
                "a second that has ended is written"
            );
            if fifth == 5 * 60 {
                first_minute = resident_bytes();
            }
        }
        let grown = resident_bytes().saturating_sub(first_minute);
        // Other tests run beside this one.
        assert!(grown < 32 << 20, "{grown} bytes in nine minutes");
        writer.finish(&notes, 600 * SECOND_NS).unwrap();
    }
}
