//! `encarno show`: prints a result file or an input file as text.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use encarno_input::{BadLimit, InputError, InputSettings, Scripts};
use encarno_record::frame::{INPUT_MAGIC, RESULT_MAGIC};
use encarno_record::mask::Shown;
use encarno_record::results::Block;
use encarno_record::results::whole::{self, FileError};
use encarno_record::{Hit, Payload, Record, Strings, Texts};

use crate::report::printable;

/// The most bytes of a payload that are shown by default.
const SHOWN_BYTES: usize = 2000;

/// Why a file can't be shown.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// The result file can't be read.
    #[error(transparent)]
    Results(#[from] FileError),
    /// The input file can't be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The file can't be opened.
    #[error("{0}")]
    Open(io::Error),
    /// The output can't be written.
    #[error("{0}")]
    Output(#[from] io::Error),
}

/// How much of records is shown.
#[derive(Clone, Debug, Default)]
pub struct Showing {
    /// Whether payloads are shown as a whole.
    pub whole: bool,
    /// What is shown in addition to what can't be a secret.
    pub shown: Shown,
}

/// The kind of a file, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A native result file.
    Results,
    /// A native input file.
    NativeInput,
    /// Anything else, such as an input of another format.
    Other,
}

/// Finds the kind of a file by its first bytes.
pub fn kind_of(path: &Path) -> io::Result<FileKind> {
    let mut magic = [0; RESULT_MAGIC.len()];
    let file = File::open(path)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    let mut read = 0;
    let mut file = file.take(magic.len() as u64);
    while read < magic.len() {
        match file.read(&mut magic[read..])? {
            0 => break,
            bytes => read += bytes,
        }
    }
    Ok(match magic {
        RESULT_MAGIC => FileKind::Results,
        INPUT_MAGIC => FileKind::NativeInput,
        _ => FileKind::Other,
    })
}

/// Prints a file: a line for each hit, or records with their payloads. The settings say
/// how to read an input.
pub fn show(
    settings: &InputSettings,
    showing: &Showing,
    out: &mut dyn Write,
) -> Result<(), ShowError> {
    match kind_of(&settings.file).map_err(ShowError::Open)? {
        FileKind::Results => show_results(&settings.file, out),
        _ => show_input(settings, showing, out),
    }
}

fn show_results(path: &Path, out: &mut dyn Write) -> Result<(), ShowError> {
    let mut reader = whole::open(path)?;
    writeln!(
        out,
        "# started {} (unix seconds)",
        seconds(reader.started_unix_ns())
    )?;
    for line in reader.settings_text().lines() {
        writeln!(out, "# {}", printable(line))?;
    }
    writeln!(
        out,
        "#{:>13} {:>11} {:>11} {:>11} {:>11} {:>11} {:>11} {:>5} {:>5} {:>9} {:>9} {:>6} label error",
        "scheduled_s",
        "lag_us",
        "connect_us",
        "send_us",
        "first_us",
        "read_us",
        "response_us",
        "net",
        "proto",
        "sent",
        "received",
        "worker"
    )?;
    let mut texts = Texts::default();
    while let Some(block) = reader.next_block().map_err(FileError::of(path))? {
        match block {
            Block::Strings(block) => block.add_to(&mut texts),
            Block::Hits(hits) => {
                for hit in hits.iter() {
                    show_hit(&hit, &mut texts, out)?;
                }
            }
            Block::Mark(mark) => {
                let at_s = mark.at_ns as f64 * 1e-9;
                writeln!(out, "# mark at {at_s:.6} s: {}", printable(mark.text))?;
            }
            Block::Other | Block::End => {}
        }
    }
    writeln!(out, "# {}", reader.summary())?;
    if !reader.metrics().is_empty() {
        writeln!(
            out,
            "# the file has sums of requests and metrics by second: encarno stats shows them"
        )?;
    }
    Ok(())
}

fn show_hit(hit: &Hit, texts: &mut Texts, out: &mut dyn Write) -> io::Result<()> {
    let [connect, send, first, read] = hit.phases_ns().map(us);
    writeln!(
        out,
        "{:>14} {:>11} {connect:>11} {send:>11} {first:>11} {read:>11} {:>11} {:>5} {:>5} {:>9} {:>9} {:>6} {} {}",
        seconds(hit.scheduled_ns),
        us(hit.lag_ns()),
        us(hit.response_ns()),
        hit.net_code,
        hit.protocol_code,
        hit.sent_bytes,
        hit.received_bytes,
        hit.worker,
        match &*printable(&texts.get(hit.label)) {
            "" => "-",
            label => label,
        },
        printable(&texts.get(hit.error)),
    )
}

fn show_input(
    settings: &InputSettings,
    showing: &Showing,
    out: &mut dyn Write,
) -> Result<(), ShowError> {
    let settings = InputSettings {
        passes: std::num::NonZeroU64::new(1),
        scripts: Scripts::Keep,
        bad_limit: BadLimit::Share(1.0),
        ..settings.clone()
    };
    let strings = Strings::default();
    let input = encarno_input::open(&settings, &strings)?;
    for (number, record) in input.enumerate() {
        match record {
            Ok(record) => show_record(number, &record, &strings, showing, out)?,
            Err(bad) => writeln!(out, "# record {number} is broken: {bad}")?,
        }
    }
    Ok(())
}

fn show_record(
    number: usize,
    record: &Record,
    strings: &Strings,
    showing: &Showing,
    out: &mut dyn Write,
) -> io::Result<()> {
    let length = record.payload.len();
    write!(out, "# record {number}: {length} bytes")?;
    if let Some(scheduled_ns) = record.scheduled_ns {
        write!(out, ", at {} s", seconds(scheduled_ns))?;
    }
    for (name, id) in [("label", record.label), ("address", record.address)] {
        if let Some(text) = strings.get(id).filter(|text| !text.is_empty()) {
            write!(out, ", {name} {}", printable(&text))?;
        }
    }
    writeln!(out)?;
    if let Some(script) = &record.script {
        writeln!(out, "# {}", printable(&format!("{script:?}")))?;
    }
    let shown_max = if showing.whole {
        u64::MAX
    } else {
        SHOWN_BYTES as u64
    };
    match &record.payload {
        Payload::Memory(bytes) => {
            let shown = bytes
                .len()
                .min(usize::try_from(shown_max).unwrap_or(usize::MAX));
            let mut masked = bytes[..shown].to_vec();
            showing.shown.mask(&mut masked);
            out.write_all(&visible(&masked))?;
        }
        Payload::File { file, range } => {
            let mut at = range.start;
            let end = range.start.saturating_add(shown_max).min(range.end);
            let mut piece = vec![0; 64 << 10];
            while at < end {
                let wanted = piece
                    .len()
                    .min(usize::try_from(end - at).unwrap_or(usize::MAX));
                let bytes = std::os::unix::fs::FileExt::read_at(&**file, &mut piece[..wanted], at)?;
                if bytes == 0 {
                    break;
                }
                // A piece that starts within a body is masked as part of a body.
                showing.shown.mask(&mut piece[..bytes]);
                out.write_all(&visible(&piece[..bytes]))?;
                at += bytes as u64;
            }
        }
    }
    if length > shown_max {
        write!(out, "\n# … {} bytes more", length - shown_max)?;
    }
    writeln!(out)
}

/// Bytes as text, with terminal control characters escaped.
fn visible(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\n' | b'\t' | b' '..=b'~' => out.push(byte),
            b'\r' => {}
            _ => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    out
}

fn seconds(ns: u64) -> String {
    format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000)
}

fn us(ns: u64) -> String {
    format!("{}.{:03}", ns / 1000, ns % 1000)
}
