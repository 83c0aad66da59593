//! Sums by second as JSON, a line for each second: for programs that show a
//! run while it goes on, and couldn't read every hit.
//!
//! A hit belongs to the second in which it ended. A second is written once it
//! is over for good; what comes even later (a writer that was held up) makes
//! a further line for the same second. The sum of all lines is every hit, once.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::sink::{OutputError, OutputFile, Sink, Texts};
use crate::{Hit, StringId};

const SECOND_NS: u64 = 1_000_000_000;
/// Recorders hand over what they have within a second; then it has to be written.
const LATE_NS_MAX: u64 = 1_500_000_000;

/// A file of sums by second.
#[derive(Debug)]
pub struct SecondsSink {
    file: OutputFile,
    started_unix_ns: u64,
    open: BTreeMap<u64, Second>,
    latest_ns: u64,
}

/// Hits that differ in none of these are summed up together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Kind {
    label: StringId,
    error: StringId,
    status: u16,
    /// Whether there was an answer, so that the error is about what it said.
    answered: bool,
}

#[derive(Debug, Default)]
struct Second {
    places: HashMap<Kind, usize>,
    sums: Vec<(Kind, Sums)>,
    last: usize,
}

#[derive(Debug, Default)]
struct Sums {
    label: Arc<str>,
    error: Arc<str>,
    hits: u64,
    concurrency: u32,
    response_ns: u64,
    connect_ns: u64,
    first_byte_ns: u64,
    sent_bytes: u64,
    received_bytes: u64,
    response_ms: BTreeMap<u64, u64>,
}

impl SecondsSink {
    /// Creates the file.
    pub fn create(path: &Path, started_unix_ns: u64) -> Result<Self, OutputError> {
        Ok(Self {
            file: OutputFile::create(path)?,
            started_unix_ns,
            open: BTreeMap::new(),
            latest_ns: 0,
        })
    }

    fn write_until(&mut self, unix_ns: u64) -> Result<(), OutputError> {
        while let Some(second) = self.open.first_entry()
            && (second.key() + 1).saturating_mul(SECOND_NS) <= unix_ns
        {
            let (number, second) = second.remove_entry();
            append_line(&mut self.file.buffer, number, &second);
        }
        self.file.write_out()
    }
}

impl Sink for SecondsSink {
    fn hits(&mut self, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError> {
        for hit in hits {
            let ended_ns = self.started_unix_ns.saturating_add(hit.ended_ns);
            self.latest_ns = self.latest_ns.max(ended_ns);
            self.open
                .entry(ended_ns / SECOND_NS)
                .or_default()
                .add(hit, texts);
        }
        self.write_until(self.latest_ns.saturating_sub(LATE_NS_MAX))
    }

    fn at_rest(&mut self, unix_ns: u64) -> Result<(), OutputError> {
        self.write_until(unix_ns.saturating_sub(LATE_NS_MAX))
    }

    fn finish(&mut self, _hits_lost: u64) -> Result<u64, OutputError> {
        self.write_until(u64::MAX)?;
        Ok(self.file.bytes())
    }
}

impl Second {
    fn add(&mut self, hit: &Hit, texts: &mut Texts) {
        let kind = Kind {
            label: hit.label,
            error: hit.error,
            status: hit.go_status(),
            answered: hit.net_code == 0 && hit.protocol_code != 0,
        };
        // The same kind again is the common case.
        match self.sums.get_mut(self.last) {
            Some((last, sums)) if *last == kind => sums.add(hit),
            _ => {
                let next = self.sums.len();
                self.last = *self.places.entry(kind).or_insert(next);
                if self.last == next {
                    self.sums.push((kind, Sums::of(&kind, texts)));
                }
                self.sums[self.last].1.add(hit);
            }
        }
    }
}

impl Sums {
    fn of(kind: &Kind, texts: &mut Texts) -> Self {
        Self {
            label: texts.get(kind.label),
            error: texts.get(kind.error),
            ..Self::default()
        }
    }

    fn add(&mut self, hit: &Hit) {
        self.hits += 1;
        self.concurrency = self.concurrency.max(hit.concurrency);
        self.response_ns += hit.response_ns();
        self.connect_ns += hit.phases_ns()[0];
        self.first_byte_ns += hit.first_byte_ns.saturating_sub(hit.scheduled_ns);
        self.sent_bytes += hit.sent_bytes;
        self.received_bytes += hit.received_bytes;
        let response_ms = (hit.response_ns() + 500_000) / 1_000_000;
        *self.response_ms.entry(response_ms).or_default() += 1;
    }
}

fn append_line(out: &mut Vec<u8>, second: u64, sums: &Second) {
    let kinds = sums.sums.iter().map(|(kind, sums)| JsonSums {
        label: &sums.label,
        status: kind.status,
        error: &sums.error,
        answered: kind.answered,
        hits: sums.hits,
        concurrency: sums.concurrency,
        response_ns: sums.response_ns,
        connect_ns: sums.connect_ns,
        first_byte_ns: sums.first_byte_ns,
        sent_bytes: sums.sent_bytes,
        received_bytes: sums.received_bytes,
        response_ms: sums.response_ms.iter().map(|(&ms, &n)| (ms, n)).collect(),
    });
    let line = JsonSecond {
        second,
        kinds: kinds.collect(),
    };
    let written = serde_json::to_writer(&mut *out, &line);
    assert!(
        written.is_ok(),
        "numbers and texts are always JSON, and memory takes them"
    );
    out.push(b'\n');
}

/// A line.
#[derive(Serialize)]
struct JsonSecond<'a> {
    /// Unix time.
    second: u64,
    kinds: Vec<JsonSums<'a>>,
}

/// Hits of a label with the same outcome. Times are sums over them.
#[derive(Serialize)]
struct JsonSums<'a> {
    label: &'a str,
    /// 999 = an error below the protocol.
    status: u16,
    error: &'a str,
    answered: bool,
    hits: u64,
    /// The greatest of them.
    concurrency: u32,
    response_ns: u64,
    connect_ns: u64,
    /// From the scheduled instant on; hits without an answer count 0.
    first_byte_ns: u64,
    sent_bytes: u64,
    received_bytes: u64,
    /// Response times, rounded to ms, and how many hits had each.
    response_ms: Vec<(u64, u64)>,
}
