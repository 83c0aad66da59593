//! The native result file: the contents of its frames.
//!
//! | kind | payload (little endian) |
//! |---|---|
//! | 1 run | schema version u32, start of the run in unix ns u64, event loops u32, expected statuses (length u32, text), settings as text |
//! | 2 strings | number of the first u32, then for each: length u32, bytes |
//! | 3 hits | number of the first in this file u64, event loop u32, then [`HIT_BYTES`] for each |
//! | 4 end | hits u64, hits not recorded u64, duration of the run in ns u64 (0 = not known) |
//! | 5 sums | event loop u32, flags u32, until u64, hits covered u64, then varints: the state of the loop (count of numbers, numbers), sums |
//! | 6 mark | the instant in ns u64, then text: a JSON object whose keys name its subject |
//! | 7 notes | JSON, see [`crate::notes`]; later ones replace earlier ones |
//! | 8 series | number u32, then JSON, see [`crate::series::Series`] |
//! | 9 points | for each second and series: see [`crate::series`], varints and numbers |
//!
//! The run comes first; strings come before the hits and sums that use them.
//!
//! **Sums.** Once a second each event loop writes the sums of the hits since its last
//! sums, by second (Unix time, in which the hit ended), label and outcome: counts, bytes
//! and three histograms (see [`crate::sums`], [`crate::histogram`]). Its last sums, when
//! the loop has ended, have `until` = `u64::MAX`. Many sums are spread over several
//! frames, of which flag 1 marks the last. They cover the last `hits covered` hits of
//! that loop before them in the file. So a reader of sums skips covered hits and reads
//! the others. Even in a file that was truncated anywhere, every hit then counts once.
//!
//! Flag 2: the loop had so many outcomes that sums would be longer than hits. The sums
//! are then left out and cover no hits, so the hits must be read.
//!
//! **The last whole second** of a file without an end is the last one that ends at or
//! before the smallest `until` among the latest sums of all its loops; of later seconds
//! hits may be missing. [`SumsReader::whole_until_ns`] gives it.
//!
//! **Series** are metrics that k6 has and hits don't. A series comes before its points.
//! Points of the same second and series are added, wherever they are in the file.
//!
//! Schema 1, which is still read, has neither sums nor expected statuses nor
//! event loops in its frames.

mod reader;
mod summed;
pub mod whole;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

pub use reader::{Block, Hits, Mark, ResultReader, ResultSummary, ResultsError};
pub use summed::{FileSums, SumsReader};

use crate::exemplar::Exemplar;
use crate::frame::append_frame;
use crate::notes::Notes;
use crate::series::{self, Points, Series};
use crate::sums::{self, LoopState, LoopSums, Outcome};
use crate::{Expected, Hit, StringId};

/// The schema of written files. A reader refuses newer ones.
pub const SCHEMA_VERSION: u32 = 2;
/// The length of a hit on disk.
pub const HIT_BYTES: usize = 92;
/// The most hits in one frame.
pub const HITS_MAX: usize = 32 * 1024;

const KIND_RUN: u16 = 1;
const KIND_STRINGS: u16 = 2;
const KIND_HITS: u16 = 3;
const KIND_END: u16 = 4;
pub(crate) const KIND_SUMS: u16 = 5;
const KIND_MARK: u16 = 6;
const KIND_NOTES: u16 = 7;
pub(crate) const KIND_SERIES: u16 = 8;
pub(crate) const KIND_POINTS: u16 = 9;
const KIND_EXEMPLARS: u16 = 10;
/// The last frame of these sums.
const FLAG_LAST: u32 = 1;
/// Marks sums that were left out: read the hits instead.
const FLAG_LEFT_OUT: u32 = 2;
/// Sums with fewer outcomes than this are always written.
const OUTCOMES_KEPT: usize = 256;
/// Sums with more outcomes are written only if each outcome has this many hits; otherwise
/// the hits are shorter.
const HITS_PER_OUTCOME_MIN: u64 = 3;
/// A frame of sums ends after this many bytes.
const SUMS_BYTES: usize = 1 << 20;
/// The most bytes of a text, because a peer may choose an error's text.
const TEXT_BYTES_MAX: usize = 64 * 1024;
const STRINGS_BYTES_MAX: usize = 1 << 20;

/// What is known after all hits were handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// The number of hits that weren't recorded.
    pub hits_lost: u64,
    /// The duration to divide by: to the end of the last hit, or of the last gap of the
    /// schedule; 0 means unknown.
    pub span_ns: u64,
}

/// Appends the frame that describes the run.
pub fn append_run(
    out: &mut Vec<u8>,
    started_unix_ns: u64,
    loops: u32,
    expected: &Expected,
    settings_text: &str,
) {
    append_frame(out, KIND_RUN, |out| {
        out.extend_from_slice(&SCHEMA_VERSION.to_le_bytes());
        out.extend_from_slice(&started_unix_ns.to_le_bytes());
        out.extend_from_slice(&loops.to_le_bytes());
        let expected = expected.to_string();
        out.extend_from_slice(&(expected.len() as u32).to_le_bytes());
        out.extend_from_slice(expected.as_bytes());
        out.extend_from_slice(cut(settings_text, STRINGS_BYTES_MAX).as_bytes());
    });
}

/// Appends frames with texts, numbered from `first`.
pub fn append_strings<T: AsRef<str>>(out: &mut Vec<u8>, first: StringId, texts: &[T]) {
    let mut next = 0;
    while next < texts.len() {
        append_frame(out, KIND_STRINGS, |out| {
            let start = out.len();
            out.extend_from_slice(&(first.0 + next as u32).to_le_bytes());
            while next < texts.len() && out.len() - start < STRINGS_BYTES_MAX {
                let text = cut(texts[next].as_ref(), TEXT_BYTES_MAX);
                out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
                next += 1;
            }
        });
    }
}

/// Appends frames with hits of one event loop; `first` is the number of hits that the
/// file already has.
pub fn append_hits(out: &mut Vec<u8>, first: u64, number: u32, hits: &[Hit]) {
    for (chunk, hits) in hits.chunks(HITS_MAX).enumerate() {
        append_frame(out, KIND_HITS, |out| {
            out.extend_from_slice(&(first + (chunk * HITS_MAX) as u64).to_le_bytes());
            out.extend_from_slice(&number.to_le_bytes());
            let start = out.len();
            out.resize(start + hits.len() * HIT_BYTES, 0);
            let (places, _) = out[start..].as_chunks_mut::<HIT_BYTES>();
            for (place, hit) in places.iter_mut().zip(hits) {
                encode(hit, place);
            }
        });
    }
}

/// Appends frames with sums.
pub fn append_sums(out: &mut Vec<u8>, loop_sums: &LoopSums) {
    let outcomes = loop_sums.outcomes();
    let left_out =
        outcomes > OUTCOMES_KEPT && loop_sums.hits_covered < outcomes as u64 * HITS_PER_OUTCOME_MIN;
    append_sums_or_not(out, loop_sums, left_out);
}

/// Appends frames with sums of hits that aren't in the file themselves.
pub fn append_sums_alone(out: &mut Vec<u8>, loop_sums: &LoopSums) {
    append_sums_or_not(out, loop_sums, false);
}

/// The event loop of a frame of sums, and its state.
pub(crate) fn state_of(payload: &[u8]) -> Option<(u32, LoopState)> {
    let (head, mut rest) = payload.split_first_chunk::<24>()?;
    let number = u32::from_le_bytes(*head.first_chunk::<4>()?);
    Some((number, sums::take_state(&mut rest)?))
}

/// Appends a frame of sums of another file, with its numbers mapped by the closures.
/// False if the frame can't be read.
pub(crate) fn append_sums_again(
    out: &mut Vec<u8>,
    payload: &[u8],
    number: impl Fn(u32) -> u32,
    instant: impl Fn(u64) -> u64,
    mut outcome: impl FnMut(Outcome) -> Outcome,
) -> bool {
    let Some((head, mut rest)) = payload.split_first_chunk::<24>() else {
        return false;
    };
    let &[
        n0,
        n1,
        n2,
        n3,
        f0,
        f1,
        f2,
        f3,
        ref until @ ..,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
        _,
    ] = head;
    let until = u64::from_le_bytes(*until);
    let until = if until == u64::MAX {
        until
    } else {
        instant(until)
    };
    let Some(state) = sums::take_state(&mut rest) else {
        return false;
    };
    append_frame(out, KIND_SUMS, |out| {
        out.extend_from_slice(&number(u32::from_le_bytes([n0, n1, n2, n3])).to_le_bytes());
        out.extend_from_slice(&[f0, f1, f2, f3]);
        out.extend_from_slice(&until.to_le_bytes());
        out.extend_from_slice(&head[16..]);
        sums::append_state(out, &state);
        while let Some((second, of, mut sums)) = sums::take_sums(&mut rest) {
            if sums.first_scheduled_ns != u64::MAX {
                sums.first_scheduled_ns = instant(sums.first_scheduled_ns);
            }
            sums.last_ended_ns = instant(sums.last_ended_ns);
            sums::append_sums(out, second, &outcome(of), &sums);
        }
    });
    true
}

fn append_sums_or_not(out: &mut Vec<u8>, loop_sums: &LoopSums, left_out: bool) {
    let mut rest = loop_sums
        .seconds
        .iter()
        .flat_map(|(second, sums)| sums.iter().map(|(outcome, sums)| (*second, outcome, sums)))
        .filter(|_| !left_out)
        .peekable();
    loop {
        append_frame(out, KIND_SUMS, |out| {
            let start = out.len();
            out.extend_from_slice(&loop_sums.number.to_le_bytes());
            let flags = out.len();
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&loop_sums.until_ns.to_le_bytes());
            let covered = if left_out { 0 } else { loop_sums.hits_covered };
            out.extend_from_slice(&covered.to_le_bytes());
            sums::append_state(out, &loop_sums.state);
            while out.len() - start < SUMS_BYTES
                && let Some((second, outcome, sums)) = rest.next()
            {
                sums::append_sums(out, second, outcome, sums);
            }
            let last = if rest.peek().is_none() { FLAG_LAST } else { 0 };
            let left_out = if left_out { FLAG_LEFT_OUT } else { 0 };
            out[flags..flags + 4].copy_from_slice(&(last | left_out).to_le_bytes());
        });
        if rest.peek().is_none() {
            return;
        }
    }
}

/// Appends a mark about an instant, ns from the run's start.
pub fn append_mark(out: &mut Vec<u8>, at_ns: u64, text: &str) {
    append_frame(out, KIND_MARK, |out| {
        out.extend_from_slice(&at_ns.to_le_bytes());
        out.extend_from_slice(cut(text, STRINGS_BYTES_MAX).as_bytes());
    });
}

/// Appends a frame with notes.
pub fn append_notes(out: &mut Vec<u8>, notes: &Notes) {
    append_frame(out, KIND_NOTES, |out| {
        out.extend_from_slice(&notes.to_json())
    });
}

/// Adds notes to a file that has its end already: they stand for those before.
pub fn add_notes(path: &Path, notes: &Notes) -> io::Result<()> {
    let mut frame = Vec::new();
    append_notes(&mut frame, notes);
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.write_all(&frame)
}

/// Appends a frame with hits that took part in traces.
pub fn append_exemplars(out: &mut Vec<u8>, exemplars: &[Exemplar]) {
    append_frame(out, KIND_EXEMPLARS, |out| {
        exemplars
            .iter()
            .for_each(|exemplar| exemplar.append_to(out));
    });
}

/// Appends the frame that says what a series is.
pub fn append_series(out: &mut Vec<u8>, number: u32, series: &Series) {
    append_frame(out, KIND_SERIES, |out| {
        out.extend_from_slice(&number.to_le_bytes());
        let start = out.len();
        let mut series = series.clone();
        loop {
            // All keys are texts, so serialisation can't fail.
            let json = serde_json::to_vec(&series).unwrap_or_default();
            if json.len() <= TEXT_BYTES_MAX || series.tags.is_empty() {
                out.extend_from_slice(&json[..json.len().min(STRINGS_BYTES_MAX)]);
                return;
            }
            // The tags are too long, so leave the series out.
            out.truncate(start);
            series.tags.pop_last();
        }
    });
}

/// Appends frames with points, by second (Unix time) and series.
pub fn append_points(out: &mut Vec<u8>, seconds: &BTreeMap<u64, BTreeMap<u32, Points>>) {
    let mut rest = seconds
        .iter()
        .flat_map(|(second, series)| {
            series
                .iter()
                .map(|(number, points)| (*second, *number, points))
        })
        .peekable();
    while rest.peek().is_some() {
        append_frame(out, KIND_POINTS, |out| {
            let start = out.len();
            while out.len() - start < SUMS_BYTES
                && let Some((second, number, points)) = rest.next()
            {
                series::append_points(out, second, number, points);
            }
        });
    }
}

/// Appends the end frame, which shows that the file is complete.
pub fn append_end(out: &mut Vec<u8>, hits: u64, ending: Ending) {
    append_frame(out, KIND_END, |out| {
        out.extend_from_slice(&hits.to_le_bytes());
        out.extend_from_slice(&ending.hits_lost.to_le_bytes());
        out.extend_from_slice(&ending.span_ns.to_le_bytes());
    });
}

#[inline]
fn encode(hit: &Hit, out: &mut [u8; HIT_BYTES]) {
    let wide = [
        hit.scheduled_ns,
        hit.started_ns,
        hit.connected_ns,
        hit.sent_ns,
        hit.first_byte_ns,
        hit.ended_ns,
        hit.sent_bytes,
        hit.received_bytes,
    ];
    let narrow = [hit.label.0, hit.error.0, hit.concurrency, hit.worker];
    let (wides, rest) = out.split_at_mut(64);
    for (place, value) in wides.as_chunks_mut::<8>().0.iter_mut().zip(wide) {
        *place = value.to_le_bytes();
    }
    for (place, value) in rest.as_chunks_mut::<4>().0.iter_mut().zip(narrow) {
        *place = value.to_le_bytes();
    }
    out[80..82].copy_from_slice(&hit.net_code.to_le_bytes());
    out[82..84].copy_from_slice(&hit.protocol_code.to_le_bytes());
    out[84..88].copy_from_slice(&hit.dns_us.to_le_bytes());
    out[88..92].copy_from_slice(&hit.tls_us.to_le_bytes());
}

#[inline]
fn decode(bytes: &[u8; HIT_BYTES]) -> Hit {
    let wide = |n: usize| {
        let b = bytes.as_chunks::<8>().0[n];
        u64::from_le_bytes(b)
    };
    let narrow = |n: usize| {
        let b = bytes.as_chunks::<4>().0[n];
        u32::from_le_bytes(b)
    };
    Hit {
        scheduled_ns: wide(0),
        started_ns: wide(1),
        connected_ns: wide(2),
        sent_ns: wide(3),
        first_byte_ns: wide(4),
        ended_ns: wide(5),
        sent_bytes: wide(6),
        received_bytes: wide(7),
        label: StringId(narrow(16)),
        error: StringId(narrow(17)),
        concurrency: narrow(18),
        worker: narrow(19),
        net_code: u16::from_le_bytes([bytes[80], bytes[81]]),
        protocol_code: u16::from_le_bytes([bytes[82], bytes[83]]),
        dns_us: narrow(21),
        tls_us: narrow(22),
    }
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
