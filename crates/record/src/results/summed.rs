//! Reads the sums of a native result file, and only those hits that no sums cover.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::reader::{Hits, Mark, Run, TextBlock, end_numbers};
use super::{
    FLAG_LAST, FLAG_LEFT_OUT, HIT_BYTES, KIND_END, KIND_EXEMPLARS, KIND_HITS, KIND_MARK,
    KIND_NOTES, KIND_POINTS, KIND_RUN, KIND_SERIES, KIND_STRINGS, KIND_SUMS, ResultSummary,
    ResultsError,
};
use crate::exemplar::Exemplar;
use crate::frame::{Damage, HEADER_BYTES, Header, MARK, RESULT_MAGIC};
use crate::notes::Notes;
use crate::series::{Metrics, Points, Series};
use crate::sums::{LoopState, Outcome, OutcomeSums, Summing, Sums, take_state, take_sums};
use crate::{Expected, Texts};

/// A header and the start of the payload of a frame with hits.
const LOOK_BYTES: usize = HEADER_BYTES + 12;
/// How far the search for the next frame reads at a time.
const SCAN_BYTES: usize = 64 << 10;
/// More exemplars than that don't wait to be taken.
const EXEMPLARS_MAX: usize = 10_000;
/// More marks than that aren't kept.
const MARKS_MAX: usize = 10_000;
/// The most bytes of sums that are spread over several frames.
const PARTS_BYTES_MAX: usize = 256 << 20;

/// The sums of an event loop, from a file.
#[derive(Debug, Default)]
pub struct FileSums {
    /// The event loop.
    pub number: u32,
    /// All hits of the loop that ended before this instant are in these or earlier sums.
    pub until_ns: u64,
    /// The state of the loop; `None` for hits that were read one by one.
    pub state: Option<LoopState>,
    parts: Vec<Vec<u8>>,
    summed: Vec<(u64, OutcomeSums)>,
}

impl FileSums {
    /// Calls `take` with each second, outcome and sums.
    pub fn for_each(&self, mut take: impl FnMut(u64, &Outcome, &Sums)) {
        for part in &self.parts {
            let mut bytes = &part[..];
            while let Some((second, outcome, sums)) = take_sums(&mut bytes) {
                take(second, &outcome, &sums);
            }
        }
        for (second, sums) in &self.summed {
            for (outcome, sums) in sums.iter() {
                take(*second, outcome, sums);
            }
        }
    }
}

/// Reads the sums of a result file, also while it grows.
#[derive(Debug)]
pub struct SumsReader {
    file: File,
    run: Run,
    /// The offset of the next frame, and the last known length of the file.
    offset: u64,
    length: u64,
    /// Frames with hits that no sums cover yet, by event loop.
    uncovered: BTreeMap<u32, VecDeque<HitsFrame>>,
    /// Sums whose last frame hasn't come yet.
    parts: BTreeMap<u32, Vec<Vec<u8>>>,
    untils: BTreeMap<u32, u64>,
    summary: ResultSummary,
    hits_in_file: u64,
    damaged: bool,
    span_ns: u64,
    notes: Notes,
    metrics: Metrics,
    marks: Vec<(u64, String)>,
    exemplars: Vec<Exemplar>,
}

/// A frame with hits that wasn't read.
#[derive(Clone, Copy, Debug)]
struct HitsFrame {
    offset: u64,
    header: Header,
    hits: u64,
}

impl SumsReader {
    /// Reads the start of the file, which must support random access.
    pub fn new(file: File) -> Result<Self, ResultsError> {
        let mut magic = [0; RESULT_MAGIC.len()];
        if read_at(&file, &mut magic, 0)? < magic.len() || magic != RESULT_MAGIC {
            return Err(ResultsError::Magic);
        }
        let offset = magic.len() as u64;
        let mut head = [0; HEADER_BYTES];
        let read = read_at(&file, &mut head, offset)?;
        let header = Header::parse(&head[..read]).filter(|header| header.kind == KIND_RUN);
        let header = header.ok_or(ResultsError::Run)?;
        let mut payload = vec![0; header.length as usize];
        let read = read_at(&file, &mut payload, offset + HEADER_BYTES as u64)?;
        if read < payload.len() || !header.is_of(&payload) {
            return Err(ResultsError::Run);
        }
        Ok(Self {
            run: Run::of(&payload)?,
            offset: offset + (HEADER_BYTES + payload.len()) as u64,
            length: 0,
            file,
            uncovered: BTreeMap::new(),
            parts: BTreeMap::new(),
            untils: BTreeMap::new(),
            summary: ResultSummary::default(),
            hits_in_file: 0,
            damaged: false,
            span_ns: 0,
            notes: Notes::default(),
            metrics: Metrics::default(),
            marks: Vec::new(),
            exemplars: Vec::new(),
        })
    }

    /// The wall clock when the run started.
    pub fn started_unix_ns(&self) -> u64 {
        self.run.started_unix_ns
    }

    /// The statuses that the run expected.
    pub fn expected(&self) -> Expected {
        self.run.expected
    }

    /// The number of event loops of the run.
    pub fn loops(&self) -> u32 {
        self.run.loops
    }

    /// The settings of the run.
    pub fn settings_text(&self) -> &str {
        &self.run.settings_text
    }

    /// The notes up to here.
    pub fn notes(&self) -> &Notes {
        &self.notes
    }

    /// The metrics that aren't hits, up to here.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Keeps points by second from now on. Then call [`SumsReader::take_seconds`] often.
    pub fn keep_seconds(&mut self) {
        self.metrics.keep_seconds();
    }

    /// Takes the points of metrics since the last call: their second (Unix time), and
    /// their metric as a series without tags.
    pub fn take_seconds(&mut self) -> Vec<(u64, Series, Points)> {
        self.metrics.take_seconds()
    }

    /// The marks up to here, each with its instant (ns from the run's start). If there
    /// are very many, only the first ones.
    pub fn marks(&self) -> &[(u64, String)] {
        &self.marks
    }

    /// Hits that took part in traces, which came since this was asked last.
    pub fn take_exemplars(&mut self) -> Vec<Exemplar> {
        std::mem::take(&mut self.exemplars)
    }

    /// How long the run lasts, once its end was read; 0 = not known.
    pub fn span_ns(&self) -> u64 {
        self.span_ns
    }

    /// The instant (ns from the run's start) up to which seconds are complete: all hits
    /// of every second that ends at or before it are in the file. `u64::MAX` if all loops
    /// have ended.
    pub fn whole_until_ns(&self) -> u64 {
        if self.untils.len() < self.run.loops as usize {
            return 0;
        }
        self.untils.values().copied().min().unwrap_or(0)
    }

    /// How much was read up to now, and how much was lost.
    pub fn summary(&self) -> ResultSummary {
        let known = self.hits_in_file.saturating_sub(self.summary.hits);
        let waiting = self.uncovered.values().flatten();
        let waiting: u64 = waiting.map(|frame| frame.hits).sum();
        ResultSummary {
            hits_damaged: known.saturating_sub(waiting),
            incomplete_bytes: self.length.saturating_sub(self.offset),
            ..self.summary
        }
    }

    /// The next sums; new texts are added to `texts`. `None` at the present end of the
    /// data.
    pub fn next_sums(&mut self, texts: &mut Texts) -> io::Result<Option<FileSums>> {
        while let Some(header) = self.next_header()? {
            let (offset, end) = (self.offset, self.offset + frame_bytes(&header));
            if header.kind == KIND_HITS {
                self.note_hits(offset, header)?;
                self.offset = end;
                continue;
            }
            let Some(payload) = self.payload(offset, &header)? else {
                self.lose(end - offset);
                continue;
            };
            self.offset = end;
            match header.kind {
                KIND_STRINGS => {
                    TextBlock::of(&payload).add_to(texts);
                }
                KIND_SUMS => {
                    if let Some(sums) = self.take_part(&payload)? {
                        return Ok(Some(sums));
                    }
                }
                KIND_END => {
                    let [hits, lost, span_ns] = end_numbers(&payload);
                    self.summary.ended = true;
                    self.summary.hits_lost = lost;
                    self.hits_in_file = self.hits_in_file.max(hits);
                    self.span_ns = span_ns;
                }
                KIND_NOTES => {
                    if let Some(notes) = Notes::parse(&payload) {
                        self.notes.add(notes);
                    }
                }
                KIND_EXEMPLARS => {
                    let mut rest = &payload[..];
                    while self.exemplars.len() < EXEMPLARS_MAX
                        && let Some(exemplar) = Exemplar::take_from(&mut rest)
                    {
                        self.exemplars.push(exemplar);
                    }
                }
                KIND_SERIES => self.metrics.learn(&payload),
                KIND_POINTS => self.metrics.take(&payload),
                KIND_MARK if self.marks.len() < MARKS_MAX => {
                    let mark = Mark::of(&payload);
                    self.marks
                        .extend(mark.map(|mark| (mark.at_ns, mark.text.to_owned())));
                }
                // A frame of a later version, which this one doesn't need.
                _ => {}
            }
        }
        Ok(None)
    }

    /// Reads the hits that no sums cover. Call it when no more sums will come.
    pub fn rest(&mut self, mut take: impl FnMut(FileSums)) -> io::Result<()> {
        let uncovered = std::mem::take(&mut self.uncovered);
        for (number, frames) in uncovered {
            let mut summing = Summing::new(self.run.started_unix_ns);
            let sums = |summing: &mut Summing| FileSums {
                number,
                summed: summing.take(),
                ..FileSums::default()
            };
            for frame in frames {
                self.sum_up(frame, &mut summing)?;
                if summing.is_full() {
                    take(sums(&mut summing));
                }
            }
            take(sums(&mut summing));
        }
        Ok(())
    }

    fn note_hits(&mut self, offset: u64, header: Header) -> io::Result<()> {
        let mut start = [0; 12];
        let read = read_at(&self.file, &mut start, offset + HEADER_BYTES as u64)?;
        let known = if self.run.version == 1 { 8 } else { 12 };
        // If a frame is too short, the bytes after its header aren't its own.
        let Some(bytes) = (header.length as usize).checked_sub(known) else {
            return Ok(());
        };
        let Some(hits) = Hits::of(&start[..read.min(known)], self.run.version) else {
            return Ok(());
        };
        let count = (bytes / HIT_BYTES) as u64;
        self.hits_in_file = self.hits_in_file.max(hits.first().saturating_add(count));
        let frames = self.uncovered.entry(hits.number()).or_default();
        frames.push_back(HitsFrame {
            offset,
            header,
            hits: count,
        });
        Ok(())
    }

    fn take_part(&mut self, payload: &[u8]) -> io::Result<Option<FileSums>> {
        let Some((head, mut rest)) = payload.split_first_chunk::<24>() else {
            return Ok(None);
        };
        let word = |at: usize| head[at..].first_chunk::<4>().copied().unwrap_or_default();
        let wide = |at: usize| head[at..].first_chunk::<8>().copied().unwrap_or_default();
        let number = u32::from_le_bytes(word(0));
        let flags = u32::from_le_bytes(word(4));
        let state = take_state(&mut rest);
        let parts = self.parts.entry(number).or_default();
        parts.push(rest.to_vec());
        if parts.iter().map(Vec::len).sum::<usize>() > PARTS_BYTES_MAX {
            parts.clear();
        }
        if flags & FLAG_LAST == 0 {
            return Ok(None);
        }
        let until_ns = u64::from_le_bytes(wide(8));
        let mut sums = FileSums {
            number,
            until_ns,
            state,
            parts: self.parts.remove(&number).unwrap_or_default(),
            summed: Vec::new(),
        };
        let frames = self.uncovered.entry(number).or_default();
        if flags & FLAG_LEFT_OUT != 0 {
            let mut summing = Summing::new(self.run.started_unix_ns);
            for frame in std::mem::take(frames) {
                self.sum_up(frame, &mut summing)?;
            }
            sums.summed = summing.take();
        } else {
            let covered = u64::from_le_bytes(wide(16));
            let mut left = covered;
            while let Some(frame) = frames.back().filter(|frame| frame.hits <= left)
                && left > 0
            {
                left -= frame.hits;
                frames.pop_back();
            }
            self.summary.hits = self.summary.hits.saturating_add(covered);
        }
        self.untils.insert(number, until_ns);
        Ok(Some(sums))
    }

    /// Reads the hits of a frame.
    fn sum_up(&mut self, frame: HitsFrame, summing: &mut Summing) -> io::Result<()> {
        match self.payload(frame.offset, &frame.header)? {
            Some(payload) => {
                let hits = Hits::of(&payload, self.run.version);
                for hit in hits.iter().flat_map(|hits| hits.iter()) {
                    summing.record(&hit);
                }
                self.summary.hits = self.summary.hits.saturating_add(frame.hits);
            }
            None => self.count_damage(frame.offset, frame_bytes(&frame.header)),
        }
        Ok(())
    }

    /// The payload of a complete frame; `None` if it is damaged.
    fn payload(&self, offset: u64, header: &Header) -> io::Result<Option<Vec<u8>>> {
        let mut payload = vec![0; header.length as usize];
        let read = read_at(&self.file, &mut payload, offset + HEADER_BYTES as u64)?;
        Ok((read == payload.len() && header.is_of(&payload)).then_some(payload))
    }

    /// The header of the next complete frame.
    fn next_header(&mut self) -> io::Result<Option<Header>> {
        loop {
            let mut look = [0; LOOK_BYTES];
            let read = read_at(&self.file, &mut look, self.offset)?;
            self.length = self.length.max(self.offset + read as u64);
            if read < HEADER_BYTES {
                return Ok(None);
            }
            match Header::parse(&look[..read]) {
                Some(header) => {
                    let end = self.offset + frame_bytes(&header);
                    if end > self.length {
                        self.length = self.file.metadata()?.len();
                    }
                    self.damaged = false;
                    return Ok((end <= self.length).then_some(header));
                }
                None => self.scan()?,
            }
        }
    }

    /// Skips bytes that aren't a frame, up to the possible start of the next one.
    fn scan(&mut self) -> io::Result<()> {
        let mut bytes = vec![0; SCAN_BYTES];
        let read = read_at(&self.file, &mut bytes, self.offset)?;
        let mut marks = memchr::memmem::find_iter(&bytes[1..read], &MARK);
        let next = marks.next().map(|at| at + 1);
        // The start of a mark may be at the end.
        let skipped = next.unwrap_or((read - MARK.len() + 1).max(1));
        self.lose(skipped as u64);
        Ok(())
    }

    fn lose(&mut self, bytes: u64) {
        if !self.damaged {
            self.damaged = true;
            self.count_damage(self.offset, bytes);
        } else {
            self.summary.damage.bytes += bytes;
        }
        self.offset += bytes;
    }

    fn count_damage(&mut self, offset: u64, bytes: u64) {
        let damage: &mut Damage = &mut self.summary.damage;
        if damage.places == 0 || offset < damage.first_offset {
            damage.first_offset = offset;
        }
        damage.places += 1;
        damage.bytes += bytes;
    }
}

fn frame_bytes(header: &Header) -> u64 {
    HEADER_BYTES as u64 + u64::from(header.length)
}

/// Reads as many bytes as there are.
fn read_at(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < out.len() {
        match file.read_at(&mut out[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(bytes) => read += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
