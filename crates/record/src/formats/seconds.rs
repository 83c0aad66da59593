//! Sums by second as JSON, a line for each second: for programs that show a run while it
//! goes on and would be too slow for every hit.
//!
//! A hit belongs to the second in which it ended. A second is written once it is over for
//! good; hits that come even later, because the writer was delayed, make a further line
//! for the same second. All lines together have every hit once.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::sink::{OutputError, OutputFile, Sink};
use crate::histogram::middle_of;
use crate::results::{Ending, FileSums};
use crate::sums::{OutcomeSums, second_of};
use crate::{Expected, Hit, Texts};

const SECOND_NS: u64 = 1_000_000_000;
/// How long hits are waited for, in files without sums. Recorders hand over everything
/// within a second; then a second is written.
const LATE_NS_MAX: u64 = 1_500_000_000;

/// A file of sums by second.
#[derive(Debug)]
pub struct SecondsSink {
    file: OutputFile,
    started_unix_ns: u64,
    expected: Expected,
    open: BTreeMap<u64, OutcomeSums>,
    /// The users of each event loop, from its last sums.
    users: BTreeMap<u32, u64>,
    latest_ns: u64,
}

impl SecondsSink {
    /// Creates the file.
    pub fn create(
        path: &Path,
        started_unix_ns: u64,
        expected: &Expected,
    ) -> Result<Self, OutputError> {
        Ok(Self {
            file: OutputFile::create(path)?,
            started_unix_ns,
            expected: *expected,
            open: BTreeMap::new(),
            users: BTreeMap::new(),
            latest_ns: 0,
        })
    }

    /// Takes sums from a file. Then call [`Sink::at_rest`].
    pub fn add(&mut self, sums: &FileSums) {
        if let Some(state) = sums.state {
            self.users.insert(sums.number, state.users);
        }
        sums.for_each(|second, outcome, sums| {
            self.open.entry(second).or_default().merge(*outcome, sums);
        });
    }

    /// Writes the seconds that were over at an instant of the wall clock.
    pub fn write_until(&mut self, unix_ns: u64, texts: &mut Texts) -> Result<(), OutputError> {
        while let Some(second) = self.open.first_entry()
            && (second.key() + 1).saturating_mul(SECOND_NS) <= unix_ns
        {
            let (number, sums) = second.remove_entry();
            self.append_line(number, &sums, texts);
        }
        self.file.write_out()
    }

    fn append_line(&mut self, second: u64, sums: &OutcomeSums, texts: &mut Texts) {
        let kinds = sums.iter().map(|(outcome, sums)| JsonSums {
            label: texts.get(outcome.label).to_string(),
            status: outcome.go_status(),
            error: texts.get(outcome.error).to_string(),
            answered: outcome.net_code == 0 && outcome.protocol_code != 0,
            failed: outcome.failed(&self.expected),
            hits: sums.hits,
            concurrency: sums.concurrency,
            response_ns: sums.response_ns.sum().try_into().unwrap_or(u64::MAX),
            connect_ns: sums.connect_ns,
            first_byte_ns: sums.first_byte_ns,
            sent_bytes: sums.sent_bytes,
            received_bytes: sums.received_bytes,
            response_ms: {
                let mut response_ms = BTreeMap::new();
                for (bucket, count) in sums.response_ns.pairs() {
                    let ms = (middle_of(bucket as usize) + 500_000) / 1_000_000;
                    *response_ms.entry(ms).or_default() += count;
                }
                response_ms.into_iter().collect()
            },
        });
        let kinds: Vec<_> = kinds.collect();
        let busiest = kinds.iter().map(|kind| kind.concurrency).max();
        let users = self.users.values().sum::<u64>();
        let line = JsonSecond {
            second,
            users: users.max(u64::from(busiest.unwrap_or(0))),
            kinds,
        };
        let out = &mut self.file.buffer;
        let written = serde_json::to_writer(&mut *out, &line);
        assert!(
            written.is_ok(),
            "numbers and texts are always JSON, and memory takes them"
        );
        out.push(b'\n');
    }
}

impl Sink for SecondsSink {
    fn hits(&mut self, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError> {
        for hit in hits {
            let ended_ns = self.started_unix_ns.saturating_add(hit.ended_ns);
            self.latest_ns = self.latest_ns.max(ended_ns);
            let second = second_of(self.started_unix_ns, hit.ended_ns);
            self.open.entry(second).or_default().record(hit);
        }
        self.write_until(self.latest_ns.saturating_sub(LATE_NS_MAX), texts)
    }

    fn at_rest(&mut self, unix_ns: u64, texts: &mut Texts) -> Result<(), OutputError> {
        self.write_until(unix_ns, texts)
    }

    fn finish(&mut self, _ending: Ending, texts: &mut Texts) -> Result<u64, OutputError> {
        self.write_until(u64::MAX, texts)?;
        Ok(self.file.bytes())
    }
}

/// A line.
#[derive(Serialize)]
struct JsonSecond {
    /// The second, Unix time.
    second: u64,
    /// Users at its end, including pausing ones.
    users: u64,
    kinds: Vec<JsonSums>,
}

/// Hits of a label with the same outcome. Times are sums over them.
#[derive(Serialize)]
struct JsonSums {
    label: String,
    /// The status; 999 means an error below the protocol.
    status: u16,
    error: String,
    answered: bool,
    /// Whether the hits failed: without an answer, with an unexpected status, or with an
    /// answer that breaks an assert.
    failed: bool,
    hits: u64,
    /// The greatest concurrency of these hits.
    concurrency: u32,
    response_ns: u64,
    connect_ns: u64,
    /// Times from the scheduled instant to the first byte; hits without an answer count
    /// 0.
    first_byte_ns: u64,
    sent_bytes: u64,
    received_bytes: u64,
    /// Response times, rounded to ms, with their counts.
    response_ms: Vec<(u64, u64)>,
}
