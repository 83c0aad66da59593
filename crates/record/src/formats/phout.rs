//! phout, the results of phantom and pandora: 12 columns, tab-separated, times
//! in µs: start `seconds.mmm`, tag, interval_real, connect, send, latency,
//! receive, interval_event, size_out, size_in, net code, protocol code.

use std::path::Path;

use super::sink::{OutputError, OutputFile, Sink, Texts};
use crate::Hit;

/// A phout file.
#[derive(Debug)]
pub struct PhoutSink {
    file: OutputFile,
    started_unix_ns: u64,
}

impl PhoutSink {
    /// Creates the file.
    pub fn create(path: &Path, started_unix_ns: u64) -> Result<Self, OutputError> {
        Ok(Self {
            file: OutputFile::create(path)?,
            started_unix_ns,
        })
    }
}

impl Sink for PhoutSink {
    fn hits(&mut self, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError> {
        for hit in hits {
            append_line(
                &mut self.file.buffer,
                hit,
                self.started_unix_ns,
                &texts.get(hit.label),
            );
        }
        self.file.write_out()
    }

    fn finish(&mut self, _hits_lost: u64) -> Result<u64, OutputError> {
        self.file.write_out()?;
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
    let numbers = [interval_us]
        .into_iter()
        .chain(phases_us)
        .chain([interval_us, hit.sent_bytes, hit.received_bytes])
        .chain([u64::from(hit.net_code), u64::from(hit.protocol_code)]);
    for value in numbers {
        out.push(b'\t');
        out.extend_from_slice(number.format(value).as_bytes());
    }
    out.push(b'\n');
}
