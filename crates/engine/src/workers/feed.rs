//! Records on their way from the reader's thread to the event loops.

mod chosen;
mod crowd;
mod held;
mod numbered;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TryRecvError, TrySendError, bounded};
use encarno_input::{BadRecord, InputError, InputSettings, LeftOut, Sharing};
use encarno_record::Strings;
use encarno_record::notes::Details;

use crate::script::{Compiler, Planned};
use crate::settings::Part;

type Input = encarno_input::Input<Compiler>;

/// Records per batch. A queue operation for each record would cost more than the rest of
/// the hit.
const BATCH_RECORDS: usize = 64;
/// The most batches that wait for a loop, which bounds how far a file is read ahead.
const BATCHES_MAX: usize = 8;
/// How often a waiting reader checks whether it is still needed.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(100);
/// How long a reader may take to see that it isn't needed any more.
const FAREWELL: std::time::Duration = std::time::Duration::from_secs(1);

/// The source of an event loop's records.
#[derive(Debug)]
pub(crate) enum Feed {
    /// The same record, a number of times.
    Repeat {
        /// The record.
        record: Planned,
        /// The number of hits that are left.
        left: u64,
    },
    /// The same record with the number of each hit in it.
    Numbered(Box<Numbered>),
    /// From a reader, through one queue for all workers of the loop.
    Shared(Queue),
    /// From a reader, through a queue for each worker.
    PerWorker(Vec<Queue>),
    /// From memory, with a position for each worker.
    Held(Held),
    /// From virtual users.
    Users(Crowd),
}

pub(crate) use crowd::Crowd;
pub(crate) use held::Held;
pub(crate) use numbered::Numbered;

/// A queue of batches.
#[derive(Debug)]
pub(crate) struct Queue {
    batches: Receiver<Vec<Planned>>,
    current: std::vec::IntoIter<Planned>,
}

/// The answer of a feed.
#[derive(Debug)]
pub(crate) enum Next {
    /// A record.
    Record(Planned),
    /// There is no record yet.
    NotYet,
    /// There will be no more records.
    End,
}

impl Feed {
    /// The next record for a worker.
    #[inline]
    pub(crate) fn next(&mut self, worker: u32) -> Next {
        match self {
            Self::Repeat { left: 0, .. } => Next::End,
            Self::Repeat { record, left } => {
                *left -= 1;
                Next::Record(record.clone())
            }
            Self::Numbered(numbered) => numbered.next(),
            Self::Shared(queue) => queue.next(),
            Self::PerWorker(queues) => queues
                .get_mut(worker as usize)
                .map_or(Next::End, Queue::next),
            Self::Held(held) => held.next(worker),
            Self::Users(crowd) => crowd.next(worker),
        }
    }

    /// Moves the worker back by a number of records from its last one. False if
    /// there is no such record.
    pub(crate) fn go_back(&mut self, worker: u32, records: u32) -> bool {
        match self {
            Self::Held(held) => held.go_back(worker, records),
            _ => false,
        }
    }

    /// The number of workers, if each has its own records.
    pub(crate) fn places(&self) -> Option<usize> {
        match self {
            Self::Repeat { .. } | Self::Numbered(_) | Self::Shared(_) => None,
            Self::PerWorker(queues) => Some(queues.len()),
            Self::Held(held) => Some(held.places()),
            Self::Users(crowd) => Some(crowd.places()),
        }
    }

    /// Why there is nothing more to send, if something broke down.
    #[inline]
    pub(crate) fn broken(&self) -> Option<String> {
        match self {
            Self::Users(crowd) => {
                let text = crowd.broken()?;
                Some(format!("the scenario broke down: {text}"))
            }
            Self::Numbered(numbered) => numbered.broken().map(str::to_owned),
            _ => None,
        }
    }
}

impl Queue {
    fn next(&mut self) -> Next {
        loop {
            if let Some(record) = self.current.next() {
                return Next::Record(record);
            }
            match self.batches.try_recv() {
                Ok(batch) => self.current = batch.into_iter(),
                Err(TryRecvError::Empty) => return Next::NotYet,
                Err(TryRecvError::Disconnected) => return Next::End,
            }
        }
    }
}

/// How records are distributed among loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deal {
    /// Record i goes to loop i mod n, as hit i does.
    InTurn,
    /// A loop takes the next records when it needs them.
    ByNeed,
}

/// The counts of an input that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSummary {
    /// The records that were handed over.
    pub records: u64,
    /// The broken records, which were skipped.
    pub bad: u64,
    /// What was left out on purpose, in one pass.
    pub left_out: LeftOut,
}

impl ReadSummary {
    /// The counts, as a result file has them.
    pub(crate) fn details(&self) -> Details {
        let reasons = self.left_out.reasons();
        Details {
            records: self.records,
            broken: self.bad,
            left_out: reasons
                .map(|(reason, count)| (reason.to_owned(), count))
                .collect(),
            ..Details::default()
        }
    }
}

/// The threads that read, and their results.
#[derive(Debug)]
pub(crate) struct Reader {
    threads: Vec<JoinHandle<Result<(), InputFailure>>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    records: AtomicU64,
    bad: AtomicU64,
    unwanted: AtomicBool,
    failed: AtomicBool,
    left_out: Mutex<LeftOut>,
}

fn lock(left_out: &Mutex<LeftOut>) -> MutexGuard<'_, LeftOut> {
    left_out.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counts {
    /// Starts again to read the same input.
    fn start_again(&self) {
        self.records.store(0, Ordering::Relaxed);
        self.bad.store(0, Ordering::Relaxed);
    }
}

/// Which record an input ended with, if it was one.
fn after(bad: u64, last: &BadRecord) -> String {
    match last.of_record {
        true => format!(" after {bad} broken record(s), the last one"),
        false => String::new(),
    }
}

/// Why reading ended early.
#[derive(Debug, thiserror::Error)]
pub enum InputFailure {
    /// The input couldn't be opened.
    #[error(transparent)]
    Open(#[from] InputError),
    /// Too many records were broken, or one that made the rest unreadable.
    #[error("input ended{}: {last}", after(*bad, last))]
    Bad {
        /// The number of broken records.
        bad: u64,
        /// The last one.
        last: BadRecord,
    },
    /// The chooser of records broke down.
    #[error("the scenario broke down: {0}")]
    Chooser(String),
}

impl Reader {
    /// Opens the input and starts to read it. Returns a feed for each event loop;
    /// `workers` are their numbers of workers.
    pub(crate) fn start(
        settings: &InputSettings,
        strings: &Strings,
        scripts: &Arc<Compiler>,
        workers: &[usize],
        deal: Deal,
        part: &Part,
    ) -> Result<(Self, Vec<Feed>), InputFailure> {
        let counts = Arc::new(Counts::default());
        let open =
            || encarno_input::open(settings, strings).map(|input| input.prepared_by(scripts));
        if let Some(feeds) = held::read(settings, open, scripts, workers, &counts)? {
            let threads = Vec::new();
            return Ok((Self { threads, counts }, feeds));
        }
        if scripts.has_loops() {
            return Err(InputFailure::Open(InputError {
                operation: "go back in",
                file: settings.file.clone(),
                reason: held::TOO_LARGE.to_owned(),
            }));
        }
        let mut threads = Vec::new();
        let spawn = |input: Input, senders: Vec<Sender<Vec<Planned>>>, batch_records: usize| {
            let (counts, part) = (Arc::clone(&counts), part.clone());
            thread::Builder::new()
                .name("input".to_owned())
                .spawn(move || read(input, &senders, batch_records, &counts, &part))
        };
        let start = |input, senders, batch| {
            spawn(input, senders, batch).map_err(|error| no_thread(settings, &error))
        };
        let feeds = match settings.sharing {
            Sharing::Shared => {
                let (senders, feeds) = shared(deal, workers.len());
                threads.push(start(open()?, senders, BATCH_RECORDS)?);
                feeds
            }
            // Each worker has its own position in the file. One thread reads for all
            // workers of a loop.
            Sharing::PerWorker => {
                // The file is opened once; all workers read through one descriptor.
                let (input, count) = (open()?, workers.iter().sum());
                let mut inputs = match count {
                    1 => vec![input],
                    _ => vec![input.for_many()?],
                };
                for _ in 1..count {
                    inputs.push(inputs[0].again()?);
                }
                let mut inputs = inputs.into_iter();
                let mut feeds = Vec::new();
                for (number, &count) in workers.iter().enumerate() {
                    let mut places = Vec::new();
                    let mut queues = Vec::new();
                    for (place, input) in inputs.by_ref().take(count).enumerate() {
                        let (sender, receiver) = bounded(1);
                        places.push(Place {
                            input,
                            sender,
                            batch: Vec::new(),
                            tells: number == 0 && place == 0,
                        });
                        queues.push(Queue::of(receiver));
                    }
                    let body = {
                        let counts = Arc::clone(&counts);
                        move || read_places(places, &counts)
                    };
                    let thread = thread::Builder::new().name("input".to_owned()).spawn(body);
                    threads.push(thread.map_err(|error| no_thread(settings, &error))?);
                    feeds.push(Feed::PerWorker(queues));
                }
                feeds
            }
        };
        Ok((Self { threads, counts }, feeds))
    }

    /// Reads one pass of the input without keeping it, and returns the number of records.
    pub(crate) fn read_through(
        settings: &InputSettings,
        strings: &Strings,
        scripts: &Arc<Compiler>,
    ) -> Result<u64, InputFailure> {
        let counts = Counts::default();
        let mut input = encarno_input::open(settings, strings)?.prepared_by(scripts);
        for item in input.first_pass() {
            check(item, &counts)?;
        }
        Ok(counts.records.load(Ordering::Relaxed))
    }

    /// Whether reading ended with an error; [`Reader::finish`] returns it.
    pub(crate) fn failed(&self) -> bool {
        self.counts.failed.load(Ordering::Relaxed)
    }

    /// Ends reading, if it hasn't ended, and returns its result. This doesn't wait for a
    /// thread that is blocked on a pipe without data.
    pub(crate) fn finish(self) -> Result<ReadSummary, InputFailure> {
        self.counts.unwanted.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + FAREWELL;
        let mut result = Ok(());
        for thread in self.threads {
            while !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(PLACE_REST);
            }
            if !thread.is_finished() {
                continue;
            }
            match thread.join() {
                Ok(ended) => result = result.and(ended),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        result.map(|()| ReadSummary {
            records: self.counts.records.load(Ordering::Relaxed),
            bad: self.counts.bad.load(Ordering::Relaxed),
            left_out: lock(&self.counts.left_out).clone(),
        })
    }
}

/// Queues from one reader to each loop.
fn shared(deal: Deal, loops: usize) -> (Vec<Sender<Vec<Planned>>>, Vec<Feed>) {
    let feed = |receiver| Feed::Shared(Queue::of(receiver));
    match deal {
        Deal::ByNeed => {
            let (sender, receiver) = bounded(BATCHES_MAX * loops);
            let feeds = (0..loops).map(|_| feed(receiver.clone()));
            (vec![sender], feeds.collect())
        }
        Deal::InTurn => {
            let queues = (0..loops).map(|_| bounded(BATCHES_MAX));
            let (senders, receivers): (Vec<_>, Vec<_>) = queues.unzip();
            (senders, receivers.into_iter().map(feed).collect())
        }
    }
}

impl Queue {
    fn of(batches: Receiver<Vec<Planned>>) -> Self {
        Self {
            batches,
            current: Vec::new().into_iter(),
        }
    }
}

/// The most broken records that are reported one by one; all are counted.
const BAD_TOLD_MAX: u64 = 10;

/// The most bytes of records in a batch.
const BATCH_BYTES_MAX: u64 = 1 << 20;

fn read(
    mut input: Input,
    senders: &[Sender<Vec<Planned>>],
    batch_records: usize,
    counts: &Counts,
    part: &Part,
) -> Result<(), InputFailure> {
    let result = read_on(&mut input, senders, batch_records, counts, part);
    lock(&counts.left_out).clone_from(input.left_out());
    result
}

fn read_on(
    input: &mut Input,
    senders: &[Sender<Vec<Planned>>],
    batch_records: usize,
    counts: &Counts,
    part: &Part,
) -> Result<(), InputFailure> {
    let mut dealer = Dealer::new(senders, batch_records, counts);
    let mut index = 0;
    for item in input {
        match &item {
            // Other parts take the other records; a broken record is reported by one part
            // only.
            Ok(_) => {
                index += 1;
                if !part.has(index - 1) {
                    continue;
                }
            }
            Err(bad) if !bad.fatal && part.number > 0 => continue,
            Err(_) => {}
        }
        let Some(record) = check(item, counts)? else {
            continue;
        };
        if !dealer.deal(record) {
            return Ok(());
        }
    }
    dealer.end();
    Ok(())
}

/// Deals records out in batches, in turn.
struct Dealer<'a> {
    senders: &'a [Sender<Vec<Planned>>],
    counts: &'a Counts,
    batches: VecDeque<(Vec<Planned>, u64)>,
    batch_records: usize,
    turn: usize,
    size: usize,
}

impl<'a> Dealer<'a> {
    fn new(senders: &'a [Sender<Vec<Planned>>], batch_records: usize, counts: &'a Counts) -> Self {
        Self {
            senders,
            counts,
            batches: senders.iter().map(|_| (Vec::new(), 0)).collect(),
            batch_records,
            turn: 0,
            // The first batches are small, so that the run starts at once.
            size: 1,
        }
    }

    /// False if records aren't wanted any more.
    fn deal(&mut self, record: Planned) -> bool {
        let (batch, bytes) = &mut self.batches[self.turn];
        *bytes += record.record.payload.len();
        batch.push(record);
        if batch.len() >= self.size || *bytes >= BATCH_BYTES_MAX {
            let full = std::mem::replace(batch, Vec::with_capacity(self.batch_records));
            *bytes = 0;
            if !hand_over(&self.senders[self.turn], full, self.counts) {
                return false;
            }
            self.size = (self.size * 2).min(self.batch_records);
        }
        self.turn = (self.turn + 1) % self.senders.len();
        true
    }

    /// Hands over what is left.
    fn end(self) {
        for (sender, (batch, _)) in self.senders.iter().zip(self.batches) {
            if !batch.is_empty() && !hand_over(sender, batch, self.counts) {
                return;
            }
        }
    }
}

/// A worker's own position in the input.
struct Place {
    input: Input,
    sender: Sender<Vec<Planned>>,
    /// Records that were read but not handed over.
    batch: Vec<Planned>,
    /// Whether it reports broken records, which are the same for all positions.
    tells: bool,
}

/// The size of a batch, which is small because there may be thousands of positions.
const PLACE_BATCH_RECORDS: usize = 16;
/// How long the reader rests when all workers have enough.
const PLACE_REST: std::time::Duration = std::time::Duration::from_millis(1);

/// Keeps the queues of all places full.
fn read_places(mut places: Vec<Place>, counts: &Counts) -> Result<(), InputFailure> {
    while !places.is_empty() && !counts.unwanted.load(Ordering::Relaxed) {
        let mut moved = false;
        let mut index = 0;
        while let Some(place) = places.get_mut(index) {
            let mut ended = false;
            while place.batch.len() < PLACE_BATCH_RECORDS && !ended && !place.sender.is_full() {
                match place.input.next() {
                    None => ended = true,
                    Some(Err(bad)) if !place.tells && !bad.fatal => {}
                    Some(item) => place.batch.extend(check(item, counts)?),
                }
            }
            if !place.batch.is_empty() {
                match place.sender.try_send(std::mem::take(&mut place.batch)) {
                    Ok(()) => moved = true,
                    Err(TrySendError::Full(back)) => place.batch = back,
                    Err(TrySendError::Disconnected(_)) => ended = true,
                }
            }
            if place.tells && (ended || counts.unwanted.load(Ordering::Relaxed)) {
                lock(&counts.left_out).clone_from(place.input.left_out());
            }
            // A position whose last batch waits is visited again.
            if ended && place.batch.is_empty() {
                places.swap_remove(index);
            } else {
                index += 1;
            }
        }
        if !moved {
            thread::sleep(PLACE_REST);
        }
    }
    Ok(())
}

/// Counts a record. A broken one is reported and skipped; too many are an error.
fn check(
    item: Result<Planned, BadRecord>,
    counts: &Counts,
) -> Result<Option<Planned>, InputFailure> {
    match item {
        Ok(record) => {
            counts.records.fetch_add(1, Ordering::Relaxed);
            Ok(Some(record))
        }
        Err(bad) => {
            let of_record = u64::from(bad.of_record);
            let number = counts.bad.fetch_add(of_record, Ordering::Relaxed) + of_record;
            match number {
                _ if !bad.of_record => {}
                ..=BAD_TOLD_MAX => tracing::warn!("record skipped: {bad}"),
                _ if number == BAD_TOLD_MAX + 1 => {
                    tracing::warn!("further broken records aren't reported");
                }
                _ => {}
            }
            if bad.fatal {
                counts.failed.store(true, Ordering::Relaxed);
                return Err(InputFailure::Bad {
                    bad: number,
                    last: bad,
                });
            }
            Ok(None)
        }
    }
}

fn no_thread(settings: &InputSettings, error: &std::io::Error) -> InputFailure {
    InputFailure::Open(InputError {
        operation: "start a thread for",
        file: settings.file.clone(),
        reason: error.to_string(),
    })
}

/// Hands a batch over; false if it isn't wanted any more.
fn hand_over(sender: &Sender<Vec<Planned>>, batch: Vec<Planned>, counts: &Counts) -> bool {
    let mut batch = batch;
    loop {
        match sender.send_timeout(batch, PATIENCE) {
            Ok(()) => return true,
            Err(SendTimeoutError::Disconnected(_)) => return false,
            Err(SendTimeoutError::Timeout(_)) if counts.unwanted.load(Ordering::Relaxed) => {
                return false;
            }
            Err(SendTimeoutError::Timeout(back)) => batch = back,
        }
    }
}
