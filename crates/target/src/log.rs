//! The target's log: a line for each request.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;

/// The first line.
const HEADER: &str = "sequence,connection,received_ns,sent_ns";

/// One request. Instants are on CLOCK_MONOTONIC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogEntry {
    /// The number at the end of the request's path (or of the datagram); without one, the
    /// number of earlier requests.
    pub sequence: u64,
    /// The number of the connection, from 0.
    pub connection: u64,
    /// When its last byte was received.
    pub received_ns: u64,
    /// When the last byte of its answer was sent; 0 means never.
    pub sent_ns: u64,
}

/// Reads a log.
pub fn read_log(path: &Path) -> io::Result<Vec<LogEntry>> {
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "not a target's log");
    let mut lines = BufReader::new(File::open(path)?).lines();
    if lines.next().transpose()?.as_deref() != Some(HEADER) {
        return Err(bad());
    }
    let parse = |line: String| {
        let mut fields = line.split(',').map(str::parse::<u64>);
        let mut field = || fields.next().and_then(Result::ok).ok_or_else(bad);
        Ok(LogEntry {
            sequence: field()?,
            connection: field()?,
            received_ns: field()?,
            sent_ns: field()?,
        })
    };
    lines.map(|line| parse(line?)).collect()
}

/// The log being written, if there is one.
#[derive(Debug)]
pub(super) struct Log {
    file: Option<BufWriter<File>>,
}

impl Log {
    pub(super) fn create(path: Option<&Path>) -> io::Result<Self> {
        let file = match path {
            None => None,
            Some(path) => {
                let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
                writeln!(file, "{HEADER}")?;
                Some(file)
            }
        };
        Ok(Self { file })
    }

    pub(super) fn write(&mut self, entry: &LogEntry) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        writeln!(
            file,
            "{},{},{},{}",
            entry.sequence, entry.connection, entry.received_ns, entry.sent_ns
        )
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }
}
