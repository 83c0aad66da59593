//! Go-encarno's LDJSON results: an object on each line, times in ns.

use std::path::Path;

use serde::Serialize;

use super::sink::{OutputError, OutputFile, Sink};
use crate::results::Ending;
use crate::{Hit, Texts};

/// An LDJSON result file.
#[derive(Debug)]
pub struct LdjsonSink {
    file: OutputFile,
    started_unix_ns: u64,
}

impl LdjsonSink {
    /// Creates the file.
    pub fn create(path: &Path, started_unix_ns: u64) -> Result<Self, OutputError> {
        Ok(Self {
            file: OutputFile::create(path)?,
            started_unix_ns,
        })
    }
}

impl Sink for LdjsonSink {
    fn hits(&mut self, hits: &[Hit], texts: &mut Texts) -> Result<(), OutputError> {
        for hit in hits {
            append_line(&mut self.file.buffer, hit, self.started_unix_ns, texts);
        }
        self.file.write_out()
    }

    fn finish(&mut self, _ending: Ending, _texts: &mut Texts) -> Result<u64, OutputError> {
        self.file.write_out()?;
        Ok(self.file.bytes())
    }
}

/// Appends a hit as a line that ends in `\r\n`, as Go-encarno's do.
pub(super) fn append_line(out: &mut Vec<u8>, hit: &Hit, started_unix_ns: u64, texts: &mut Texts) {
    let [connect, sent, first_byte, read] = hit.phases_ns();
    let line = Line {
        start_ts: (started_unix_ns + hit.started_ns) / 1_000_000_000,
        status: hit.go_status(),
        error_str: &texts.get(hit.error),
        concurrency: hit.concurrency,
        elapsed: hit.service_ns(),
        connect_time: connect,
        sent_time: sent,
        first_byte_time: first_byte,
        read_time: read,
        worker: hit.worker,
        label: &texts.get(hit.label),
        sent_bytes_count: hit.sent_bytes,
        resp_bytes_count: hit.received_bytes,
    };
    let written = serde_json::to_writer(&mut *out, &line);
    assert!(
        written.is_ok(),
        "numbers and texts are always JSON, and memory takes them"
    );
    out.extend_from_slice(b"\r\n");
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Line<'a> {
    #[serde(rename = "StartTS")]
    start_ts: u64,
    status: u16,
    error_str: &'a str,
    concurrency: u32,
    elapsed: u64,
    connect_time: u64,
    sent_time: u64,
    first_byte_time: u64,
    read_time: u64,
    worker: u32,
    label: &'a str,
    sent_bytes_count: u64,
    resp_bytes_count: u64,
}
