//! phout, the results of phantom and pandora: 12 columns, tab-separated, times
//! in µs: start `seconds.mmm`, tag, interval_real, connect, send, latency,
//! receive, interval_event, size_out, size_in, net code, protocol code. Lines
//! come in the order in which hits ended, as readers of phout rely on. Net codes
//! are the operating system's error numbers: a timeout is 110.

use std::path::Path;

use super::sink::{OutputError, OutputFile, Sink};
use crate::results::Ending;
use crate::{Hit, Texts, code};

/// How long earlier hits are waited for, if nothing tells when all of them have come.
const LATE_NS_MAX: u64 = 1_500_000_000;
/// The most hits that wait until all earlier ones have come, if that is told.
const WAITING_MAX: usize = 1 << 19;
/// ETIMEDOUT, which is a timeout for phantom, pandora and their readers.
const TIMEOUT: u16 = 110;

/// A phout file.
#[derive(Debug)]
pub struct PhoutSink {
    file: OutputFile,
    started_unix_ns: u64,
    /// Hits that wait because earlier ones may still come.
    waiting: Vec<Hit>,
    latest_ns: u64,
    /// Whether [`Sink::at_rest`] tells when all earlier hits have come.
    is_told: bool,
}

impl PhoutSink {
    /// Creates the file.
    pub fn create(path: &Path, started_unix_ns: u64) -> Result<Self, OutputError> {
        Ok(Self {
            file: OutputFile::create(path)?,
            started_unix_ns,
            waiting: Vec::new(),
            latest_ns: 0,
            is_told: false,
        })
    }

    /// Writes the hits that ended before an instant of the run, in order.
    fn write_until(&mut self, until_ns: u64, texts: &mut Texts) -> Result<(), OutputError> {
        self.waiting.sort_by_key(|hit| hit.ended_ns);
        let count = match until_ns {
            u64::MAX => self.waiting.len(),
            _ => self.waiting.partition_point(|hit| hit.ended_ns < until_ns),
        };
        self.write_first(count, texts)
    }

    /// Writes the first `count` of the sorted hits.
    fn write_first(&mut self, count: usize, texts: &mut Texts) -> Result<(), OutputError> {
        for hit in self.waiting.drain(..count) {
            let label = texts.get(hit.label);
            append_line(&mut self.file.buffer, &hit, self.started_unix_ns, &label);
        }
        self.file.write_out()
    }
}

impl Sink for PhoutSink {
    fn hits(&mut self, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError> {
        self.waiting.extend_from_slice(hits);
        if self.is_told {
            if self.waiting.len() > WAITING_MAX {
                self.waiting.sort_by_key(|hit| hit.ended_ns);
                self.write_first(WAITING_MAX / 2, texts)?;
            }
            return Ok(());
        }
        let latest_ns = hits.iter().map(|hit| hit.ended_ns).max().unwrap_or(0);
        // Don't sort at each call, because sorting is expensive.
        if latest_ns > self.latest_ns.saturating_add(LATE_NS_MAX / 2) {
            self.latest_ns = latest_ns;
            self.write_until(latest_ns.saturating_sub(LATE_NS_MAX), texts)?;
        }
        Ok(())
    }

    fn at_rest(&mut self, unix_ns: u64, texts: &mut Texts) -> Result<(), OutputError> {
        self.is_told = true;
        self.write_until(unix_ns.saturating_sub(self.started_unix_ns), texts)
    }

    fn finish(&mut self, _ending: Ending, texts: &mut Texts) -> Result<u64, OutputError> {
        self.write_until(u64::MAX, texts)?;
        Ok(self.file.bytes())
    }
}

/// Appends a hit as a line. The phases are rounded so that they add up to
/// `interval_real` exactly.
pub(super) fn append_line(out: &mut Vec<u8>, hit: &Hit, started_unix_ns: u64, label: &str) {
    let start_ms = (started_unix_ns + hit.started_ns) / 1_000_000;
    let mut number = itoa::Buffer::new();
    out.extend_from_slice(number.format(start_ms / 1000).as_bytes());
    let ms = start_ms % 1000;
    out.push(b'.');
    out.extend([
        b'0' + (ms / 100) as u8,
        b'0' + (ms / 10 % 10) as u8,
        b'0' + (ms % 10) as u8,
    ]);
    out.push(b'\t');
    out.extend(
        label
            .bytes()
            .map(|byte| if byte < b' ' { b' ' } else { byte }),
    );
    let interval_us = hit.service_ns() / 1000;
    let mut end_ns = 0;
    let phases_us = hit.phases_ns().map(|phase_ns| {
        let start_us = end_ns / 1000;
        end_ns += phase_ns;
        end_ns / 1000 - start_us
    });
    let net_code = match hit.net_code {
        code::TIMEOUT => TIMEOUT,
        code => code,
    };
    let numbers = [interval_us]
        .into_iter()
        .chain(phases_us)
        .chain([interval_us, hit.sent_bytes, hit.received_bytes])
        .chain([u64::from(net_code), u64::from(hit.protocol_code)]);
    for value in numbers {
        out.push(b'\t');
        out.extend_from_slice(number.format(value).as_bytes());
    }
    out.push(b'\n');
}
