//! The stepper writes payloads and a schedule into an stpd file.

use std::io::{self, Read, Seek, SeekFrom, Write};

use encarno_record::{Payload, Record};

/// Writes a record for each instant, as `LEN MSEC TAG`, the payload, and a line end. It
/// ends when the payloads or the instants end, and returns the number of records.
///
/// `stpd` has instants in ms, so writing a schedule down loses precision. Running from
/// the schedule is more exact.
pub fn write_stpd<E>(
    instants: impl Iterator<Item = u64>,
    mut records: impl Iterator<Item = Result<(Record, std::sync::Arc<str>), E>>,
    output: &mut impl Write,
) -> io::Result<Result<u64, E>> {
    let mut count = 0;
    for instant_ns in instants {
        let (record, label) = match records.next() {
            None => break,
            Some(Err(error)) => return Ok(Err(error)),
            Some(Ok(pair)) => pair,
        };
        let length = record.payload.len();
        write!(output, "{length} {}", instant_ns / 1_000_000)?;
        if !label.is_empty() {
            write!(output, " {label}")?;
        }
        output.write_all(b"\n")?;
        match &record.payload {
            Payload::Memory(bytes) => output.write_all(bytes)?,
            Payload::File { file, range } => {
                let mut file = file.try_clone()?;
                file.seek(SeekFrom::Start(range.start))?;
                let copied = io::copy(&mut file.take(length), output)?;
                if copied != length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        output.write_all(b"\n")?;
        count += 1;
    }
    output.write_all(b"0\n")?;
    Ok(Ok(count))
}
