//! CSV (RFC 4180) with all fields of a hit: instants and times in ns.

use std::path::Path;

use super::sink::{OutputError, OutputFile, Sink};
use crate::results::Ending;
use crate::{Hit, Texts};

/// The columns. [`numbers`] gives those between the label and the error, in this order.
pub(super) const COLUMNS: [&str; 21] = [
    "scheduled_unix_ns",
    "started_unix_ns",
    "lag_ns",
    "response_ns",
    "service_ns",
    "dns_ns",
    "tls_ns",
    "connect_ns",
    "send_ns",
    "first_byte_ns",
    "read_ns",
    "sent_bytes",
    "received_bytes",
    "net_code",
    "protocol_code",
    "concurrency",
    "worker",
    "scheduled_ns",
    "started_ns",
    "label",
    "error",
];

/// The numbers of a hit, in the order of the columns.
pub(super) fn numbers(hit: &Hit, run_started_unix_ns: u64) -> [u64; 19] {
    let [connect, send, first_byte, read] = hit.phases_ns();
    [
        run_started_unix_ns + hit.scheduled_ns,
        run_started_unix_ns + hit.started_ns,
        hit.lag_ns(),
        hit.response_ns(),
        hit.service_ns(),
        u64::from(hit.dns_us) * 1000,
        u64::from(hit.tls_us) * 1000,
        connect,
        send,
        first_byte,
        read,
        hit.sent_bytes,
        hit.received_bytes,
        u64::from(hit.net_code),
        u64::from(hit.protocol_code),
        u64::from(hit.concurrency),
        u64::from(hit.worker),
        hit.scheduled_ns,
        hit.started_ns,
    ]
}

/// A CSV file.
#[derive(Debug)]
pub struct CsvSink {
    file: OutputFile,
    started_unix_ns: u64,
}

impl CsvSink {
    /// Creates the file and writes its header.
    pub fn create(path: &Path, started_unix_ns: u64) -> Result<Self, OutputError> {
        let mut file = OutputFile::create(path)?;
        file.buffer.extend_from_slice(COLUMNS.join(",").as_bytes());
        file.buffer.push(b'\n');
        file.write_out()?;
        Ok(Self {
            file,
            started_unix_ns,
        })
    }
}

impl Sink for CsvSink {
    fn hits(&mut self, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError> {
        let out = &mut self.file.buffer;
        let mut text = itoa::Buffer::new();
        for hit in hits {
            for value in numbers(hit, self.started_unix_ns) {
                out.extend_from_slice(text.format(value).as_bytes());
                out.push(b',');
            }
            append_text(out, &texts.get(hit.label));
            out.push(b',');
            append_text(out, &texts.get(hit.error));
            out.push(b'\n');
        }
        self.file.write_out()
    }

    fn finish(&mut self, _ending: Ending, _texts: &mut Texts) -> Result<u64, OutputError> {
        self.file.write_out()?;
        Ok(self.file.bytes())
    }
}

fn append_text(out: &mut Vec<u8>, text: &str) {
    if text.contains(['"', ',', '\n', '\r']) {
        out.push(b'"');
        out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(text.as_bytes());
    }
}
