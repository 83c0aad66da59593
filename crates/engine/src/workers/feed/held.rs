//! Inputs that fit into memory, for workers that read them in order. They are read once
//! before the run, so workers need no thread and no queue.

use bytes::Bytes;
use encarno_input::{AutoLabel, InputError, InputSettings, Sharing};
use encarno_record::Payload;

use super::{Counts, Feed, Input, InputFailure, Next, check, lock};
use crate::script::{Compiler, Planned};

/// The most records that are held. Workers read a larger input as they go.
pub(super) const RECORDS_MAX: usize = 100_000;
pub(super) const BYTES_MAX: u64 = 32 << 20;
pub(super) const TOO_LARGE: &str =
    "loops need an input of at most 100000 records and 32 MiB, in a file";

/// The records of an input, and the positions of one event loop's workers.
#[derive(Debug)]
pub(crate) struct Held {
    records: Vec<Planned>,
    places: Vec<Place>,
    passes: u64,
    records_max: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    next: usize,
    pass: u64,
    taken: u64,
}

impl Held {
    pub(super) fn next(&mut self, worker: u32) -> Next {
        let Some(place) = self.places.get_mut(worker as usize) else {
            return Next::End;
        };
        if place.next == self.records.len() {
            place.next = 0;
            place.pass += 1;
        }
        if place.pass >= self.passes || place.taken >= self.records_max {
            return Next::End;
        }
        match self.records.get(place.next) {
            Some(record) => {
                place.next += 1;
                place.taken += 1;
                Next::Record(record.clone())
            }
            None => Next::End,
        }
    }

    pub(super) fn go_back(&mut self, worker: u32, records: u32) -> bool {
        let Some(place) = self.places.get_mut(worker as usize) else {
            return false;
        };
        let back = u64::from(records) + 1;
        // A worker can't go back beyond the first record.
        match place.next.checked_sub(back as usize) {
            Some(next) => {
                place.next = next;
                place.taken = place.taken.saturating_sub(back);
                true
            }
            None => false,
        }
    }

    pub(super) fn places(&self) -> usize {
        self.places.len()
    }
}

/// Reads the input into a feed for each event loop; `None` if it can't be held.
pub(super) fn read(
    settings: &InputSettings,
    open: impl Fn() -> Result<Input, InputError>,
    scripts: &Compiler,
    workers: &[usize],
    counts: &Counts,
) -> Result<Option<Vec<Feed>>, InputFailure> {
    // Labels with counters would start again in each pass, and a pipe that turns out to
    // be too long couldn't be read again.
    if settings.sharing != Sharing::PerWorker
        || settings.auto_label == AutoLabel::Unique
        || settings.enumerate
        || !settings.file.is_file()
    {
        return Ok(None);
    }
    let mut input = open()?;
    let mut records = Vec::new();
    let mut bytes = 0;
    for item in input.first_pass() {
        let Some(record) = check(item, counts)? else {
            continue;
        };
        if let Payload::Memory(payload) = &record.record.payload {
            bytes += payload.len() as u64;
        }
        if records.len() >= RECORDS_MAX || bytes > BYTES_MAX {
            counts.start_again();
            return Ok(None);
        }
        records.push(record);
    }
    lock(&counts.left_out).clone_from(input.left_out());
    // Records before the first script were read without a plan; make it now.
    for record in &mut records {
        record.plan = scripts.complete(record.plan.take());
    }
    let feed = |&count: &usize| {
        // Copy the records for each loop, so that loops don't share the payloads'
        // reference counters.
        let records = records.iter().map(|record| {
            let mut record = record.clone();
            if let Payload::Memory(payload) = &record.record.payload {
                record.record.payload = Payload::Memory(Bytes::copy_from_slice(payload));
            }
            record
        });
        Feed::Held(Held {
            records: records.collect(),
            places: vec![Place::default(); count],
            passes: input.passes().unwrap_or(u64::MAX),
            records_max: settings.records_max.map_or(u64::MAX, |max| max.get()),
        })
    };
    Ok(Some(workers.iter().map(feed).collect()))
}
