//! Merges several native result files into one, exactly: sums are added by second, label
//! and outcome, and every hit is kept.
//!
//! Event loops are renumbered, instants count from the start of the earliest run, and
//! texts get new numbers; all other data stays the same. Files are taken in the order of
//! their runs and not of their names, so the same files give the same bytes in any order.

mod growing;
mod notes;

pub use growing::Growing;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::formats::{NativeSink, OutputError, Sink};
use crate::notes::Notes;
use crate::results::whole::{self, FileError};
use crate::results::{
    self, Block, Ending, KIND_POINTS, KIND_SERIES, KIND_SUMS, ResultReader, ResultSummary,
};
use crate::series::{self, Points, Series};
use crate::sums::{LoopState, LoopSums, Outcome};
use crate::{Expected, Hit, StringId, Strings, Texts};

/// A file to merge.
#[derive(Clone, Debug)]
pub struct Part {
    /// Its path.
    pub path: PathBuf,
    /// Its name in the notes of the merged file.
    pub name: String,
}

impl Part {
    /// A file, with its last path component as its name.
    pub fn of(path: &Path) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str());
        Self {
            name: name.to_string_lossy().into_owned(),
            path: path.into(),
        }
    }
}

/// The result of merging.
#[derive(Clone, Debug, Default)]
pub struct Merged {
    /// The notes of the merged file.
    pub notes: Notes,
    /// How much was read from the parts, and how much was lost.
    pub summary: ResultSummary,
    /// Remarks for readers of the file, a sentence each.
    pub remarks: Vec<String>,
}

/// How the merged file ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// With an end frame if all parts have one, and otherwise without.
    #[default]
    AsParts,
    /// With an end frame; the notes say what is missing.
    Whole,
}

/// Why files can't be merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A file can't be read.
    #[error(transparent)]
    Read(#[from] FileError),
    /// The new file can't be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// There is no file.
    #[error("name the result files to merge")]
    Nothing,
    /// The same file is given twice.
    #[error("{} and {} are the same file: each of its hits would count twice", .0.display(), .1.display())]
    Twice(PathBuf, PathBuf),
    /// The runs expected different statuses, so a hit may have failed in one and not in
    /// the other.
    #[error(transparent)]
    Expected(Box<Unlike>),
}

/// Two files whose runs expected different statuses.
#[derive(Debug, thiserror::Error)]
#[error(
    "{file} expected the statuses {expected}, and {other_file} the statuses {other}: \
     a hit that failed in one may not fail in the other, so they can't be merged",
    file = file.display(), other_file = other_file.display()
)]
pub struct Unlike {
    /// A file.
    pub file: PathBuf,
    /// The statuses that its run expected.
    pub expected: Expected,
    /// The other file.
    pub other_file: PathBuf,
    /// The statuses that its run expected.
    pub other: Expected,
}

/// Merges files into a new one, which must be none of them. `conclude` may change the
/// notes at the end.
pub fn merge(
    parts: &[Part],
    out: &Path,
    conclude: impl FnOnce(&mut Notes) -> End,
) -> Result<Merged, MergeError> {
    let sources = sources(parts)?;
    let Some(first) = sources.first() else {
        return Err(MergeError::Nothing);
    };
    let started_unix_ns = first.started_unix_ns;
    let loops = sources.iter().map(|source| source.reader.loops());
    let loops = loops.fold(0, u32::saturating_add);
    let expected = first.reader.expected();
    let settings_text = first.reader.settings_text().to_owned();
    let sink = NativeSink::create(out, started_unix_ns, loops, &expected, &settings_text)?;
    let mut merging = Merging::new(sink, started_unix_ns);
    let mut summary = ResultSummary {
        ended: true,
        ..ResultSummary::default()
    };
    let mut read = Vec::new();
    for mut source in sources {
        let mut numbering = merging.numbering(&source.reader);
        merging.take(&mut source.reader, &source.part.path, &mut numbering)?;
        summary.merge(&source.reader.summary());
        read.push(source);
    }
    let (mut notes, remarks) = notes::merge(&read);
    let end = conclude(&mut notes);
    merging.sink.notes(&notes)?;
    let lost = summary.hits_lost.saturating_add(summary.hits_damaged);
    if summary.ended || end == End::Whole {
        let ending = Ending {
            hits_lost: lost,
            span_ns: merging.span_ns,
        };
        merging.sink.finish(ending, &mut merging.texts)?;
    } else {
        merging.sink.leave()?;
    }
    Ok(Merged {
        notes,
        summary,
        remarks,
    })
}

/// An open file.
struct Source<'a> {
    part: &'a Part,
    started_unix_ns: u64,
    length: u64,
    checksum: u32,
    reader: ResultReader<File>,
}

/// The files, in the order of their runs.
fn sources(parts: &[Part]) -> Result<Vec<Source<'_>>, MergeError> {
    let mut sources = Vec::new();
    for part in parts {
        let reader = whole::open(&part.path)?;
        let (length, checksum) = checksum(&part.path).map_err(FileError::of(&part.path))?;
        sources.push(Source {
            part,
            started_unix_ns: reader.started_unix_ns(),
            length,
            checksum,
            reader,
        });
    }
    // Files with the same size and checksum are equal, and the name must not decide.
    sources.sort_by_key(|source| (source.started_unix_ns, source.length, source.checksum));
    for pair in sources.windows(2) {
        let [one, other] = pair else { continue };
        let paths = || (one.part.path.clone(), other.part.path.clone());
        if (one.length, one.checksum) == (other.length, other.checksum) {
            let (one, other) = paths();
            return Err(MergeError::Twice(one, other));
        }
        let (expected, other_expected) = (one.reader.expected(), other.reader.expected());
        if expected != other_expected {
            let (file, other_file) = paths();
            return Err(MergeError::Expected(Box::new(Unlike {
                file,
                expected,
                other_file,
                other: other_expected,
            })));
        }
    }
    Ok(sources)
}

fn checksum(path: &Path) -> io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let (mut length, mut checksum) = (0, 0);
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok((length, checksum)),
            Ok(bytes) => {
                length += bytes as u64;
                checksum = crc32c::crc32c_append(checksum, &buffer[..bytes]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The merged file.
#[derive(Debug)]
struct Merging {
    sink: NativeSink,
    started_unix_ns: u64,
    strings: Strings,
    texts: Texts,
    /// The series so far, with their numbers.
    series: BTreeMap<Series, u32>,
    /// The number of event loops in the previous files.
    loops: u32,
    span_ns: u64,
}

/// What becomes of the numbers of a file in the merged one.
#[derive(Debug)]
struct Numbering {
    first_loop: u32,
    /// The number of its event loops.
    loops: u32,
    /// The last states of its event loops.
    states: BTreeMap<u32, LoopState>,
    /// What is added to its instants.
    shift_ns: u64,
    ids: Ids,
    /// Of its series.
    series: BTreeMap<u32, u32>,
}

impl Merging {
    fn new(sink: NativeSink, started_unix_ns: u64) -> Self {
        let strings = Strings::default();
        Self {
            sink,
            started_unix_ns,
            texts: Texts::of_run(strings.clone()),
            strings,
            series: BTreeMap::new(),
            loops: 0,
            span_ns: 0,
        }
    }

    /// For a file whose event loops come after those of the previous ones.
    fn numbering(&mut self, reader: &ResultReader<File>) -> Numbering {
        let first_loop = self.loops;
        self.loops = first_loop.saturating_add(reader.loops());
        Numbering {
            first_loop,
            loops: reader.loops(),
            states: BTreeMap::new(),
            shift_ns: reader
                .started_unix_ns()
                .saturating_sub(self.started_unix_ns),
            ids: Ids {
                strings: self.strings.clone(),
                texts: Texts::default(),
                known: Vec::new(),
            },
            series: BTreeMap::new(),
        }
    }

    /// Takes all that a file has. If the file grows, a later call continues.
    fn take(
        &mut self,
        reader: &mut ResultReader<File>,
        path: &Path,
        numbering: &mut Numbering,
    ) -> Result<(), MergeError> {
        let Numbering {
            first_loop,
            shift_ns,
            ids,
            series,
            states,
            ..
        } = numbering;
        let (first_loop, shift_ns) = (*first_loop, *shift_ns);
        while let Some((kind, payload, block)) = reader.next_frame().map_err(FileError::of(path))? {
            match block {
                Block::Strings(block) => block.add_to(&mut ids.texts),
                Block::Hits(hits) => {
                    let number = first_loop.saturating_add(hits.number());
                    let hits: Vec<Hit> = hits.iter().map(|hit| ids.hit(&hit, shift_ns)).collect();
                    self.sink.hits_of(number, &hits, &mut self.texts)?;
                }
                Block::Mark(mark) => {
                    self.sink
                        .mark(mark.at_ns.saturating_add(shift_ns), mark.text)?;
                }
                Block::Other if kind == KIND_SUMS => {
                    if let Some((number, state)) = results::state_of(payload) {
                        states.insert(number, state);
                    }
                    let mut frame = Vec::new();
                    results::append_sums_again(
                        &mut frame,
                        payload,
                        |number| first_loop.saturating_add(number),
                        |instant_ns| instant_ns.saturating_add(shift_ns),
                        |outcome| ids.outcome(outcome),
                    );
                    self.sink
                        .frames(&mut self.texts, |out| out.append(&mut frame))?;
                }
                Block::Other if kind == KIND_SERIES => self.learn(payload, series)?,
                Block::Other if kind == KIND_POINTS => self.points(payload, series)?,
                Block::Other | Block::End => {}
            }
        }
        if reader.span_ns() > 0 {
            let span_ns = reader.span_ns().saturating_add(shift_ns);
            self.span_ns = self.span_ns.max(span_ns);
        }
        Ok(())
    }

    /// No more comes from that file.
    fn give_up(&mut self, numbering: &Numbering) -> Result<(), MergeError> {
        /// A file may claim any number.
        const LOOPS_MAX: u32 = 10_000;
        for number in 0..numbering.loops.min(LOOPS_MAX) {
            let state = numbering.states.get(&number).copied();
            let sums = LoopSums {
                number: numbering.first_loop.saturating_add(number),
                until_ns: u64::MAX,
                state: LoopState {
                    users: 0,
                    running: 0,
                    sleeping: 0,
                    ..state.unwrap_or_default()
                },
                ..LoopSums::default()
            };
            self.sink.frames(&mut self.texts, |out| {
                results::append_sums_alone(out, &sums);
            })?;
        }
        Ok(())
    }

    fn learn(
        &mut self,
        payload: &[u8],
        numbers: &mut BTreeMap<u32, u32>,
    ) -> Result<(), MergeError> {
        let Some((number, json)) = payload.split_first_chunk::<4>() else {
            return Ok(());
        };
        if let Some(series) = Series::parse(json) {
            let new = self.series.len() as u32;
            let known = *self.series.entry(series.clone()).or_insert(new);
            if known == new {
                self.sink.series(new, &series)?;
            }
            numbers.insert(u32::from_le_bytes(*number), known);
        }
        Ok(())
    }

    fn points(&mut self, payload: &[u8], numbers: &BTreeMap<u32, u32>) -> Result<(), MergeError> {
        let mut bytes = payload;
        let mut seconds: BTreeMap<u64, BTreeMap<u32, Points>> = BTreeMap::new();
        while let Some((second, number, points)) = series::take_points(&mut bytes) {
            if let Some(number) = numbers.get(&number) {
                let of_second = seconds.entry(second).or_default();
                of_second.entry(*number).or_default().merge(&points);
            }
        }
        Ok(self.sink.points(&seconds)?)
    }
}

/// The numbers of a file's texts in the new file.
#[derive(Debug)]
struct Ids {
    strings: Strings,
    texts: Texts,
    known: Vec<Option<StringId>>,
}

impl Ids {
    fn id(&mut self, id: StringId) -> StringId {
        /// The most texts, because damage may claim any number.
        const KNOWN_MAX: usize = 1 << 22;
        let place = id.0 as usize;
        if let Some(Some(known)) = self.known.get(place) {
            return *known;
        }
        let new = self.strings.intern(&self.texts.get(id));
        if place < KNOWN_MAX {
            if place >= self.known.len() {
                self.known.resize(place + 1, None);
            }
            self.known[place] = Some(new);
        }
        new
    }

    fn outcome(&mut self, outcome: Outcome) -> Outcome {
        Outcome {
            label: self.id(outcome.label),
            error: self.id(outcome.error),
            ..outcome
        }
    }

    fn hit(&mut self, hit: &Hit, shift_ns: u64) -> Hit {
        // 0 means that the instant wasn't reached.
        let later = |instant_ns: u64| match instant_ns {
            0 => 0,
            instant_ns => instant_ns.saturating_add(shift_ns),
        };
        Hit {
            scheduled_ns: hit.scheduled_ns.saturating_add(shift_ns),
            started_ns: hit.started_ns.saturating_add(shift_ns),
            connected_ns: later(hit.connected_ns),
            sent_ns: later(hit.sent_ns),
            first_byte_ns: later(hit.first_byte_ns),
            ended_ns: hit.ended_ns.saturating_add(shift_ns),
            label: self.id(hit.label),
            error: self.id(hit.error),
            ..*hit
        }
    }
}
